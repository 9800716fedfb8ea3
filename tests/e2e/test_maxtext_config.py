"""The rendered training command against MaxText's own validation: a key that this version lacks would show here."""

import pickle
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import get_args

import pytest

from distillation_api.contract import TrainProgram
from distillation_api.maxtext import MaxTextModel
from distillation_stages.maxtext.command import TrainingPaths, training_arguments
from distillation_stages.maxtext.distillation_config import Checkpoint
from distillation_stages.maxtext.families import sized_settings
from e2e.stage_programs import environment, interpreter
from unit.stages.training_inputs import LLAMA2_7B, logit_matching, train_program

TERMINATION_LOG = Path("/dev/termination-log")

VALIDATE = """
import sys
from distillation_stages.maxtext.distillation_config import Checkpoint
from distillation_stages.maxtext.command import config_file
from distillation_stages.maxtext.start import lighten_imports
lighten_imports()
from maxtext.configs import pyconfig
config = pyconfig.initialize_pydantic(["validate", str(config_file("post_train/sft.yml")), *sys.argv[1:]])
print("VALID", config.steps, config.base_emb_dim, config.rope_type.value, config.global_batch_size_to_load)
"""


NAMES = """
from pathlib import Path
from typing import get_args
from distillation_stages.maxtext.families import FAMILIES, _names_of
from distillation_stages.maxtext.start import lighten_imports
lighten_imports()
from maxtext.checkpoint_conversion.utils import hf_model_configs
from maxtext.configs.types import ModelName
from maxtext.utils import globals as maxtext_globals
models = Path(maxtext_globals.MAXTEXT_CONFIGS_DIR) / "models"
sized = {name for family in FAMILIES.values() for name in _names_of(family.decoder, models)}
print("NAMES", *sorted((sized | set(hf_model_configs.HF_MODEL_CONFIGS)) & set(get_args(ModelName))))
"""


@pytest.fixture(autouse=True)
def no_termination_log() -> Iterator[None]:
    """MaxText writes its configuration errors to the pod's termination log, on any machine."""
    stood = TERMINATION_LOG.exists()
    yield
    if not stood:
        TERMINATION_LOG.unlink(missing_ok=True)


def validate(program: TrainProgram, folder: Path, devices: int) -> subprocess.CompletedProcess[str]:
    paths = TrainingPaths(*(folder / name for name in ("checkpoint", "tokenizer", "data", "output", "cache")))
    assert program.steps is not None
    settings = sized_settings("llama2-7b", LLAMA2_7B)
    arguments = training_arguments(program, program.steps, settings, paths)
    # One process stands for all hosts: this is about the settings, not about finding each other.
    arguments = [argument for argument in arguments if not argument.startswith("skip_jax_distributed_system")]
    arguments.append("skip_jax_distributed_system=True")
    variables = environment(XLA_FLAGS=f"--xla_force_host_platform_device_count={devices}", HOME=str(folder))
    return subprocess.run(
        [str(interpreter("trainer")), "-c", VALIDATE, *arguments],
        env=variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("program", "devices", "batch"),
    [
        (train_program(hosts=1), 1, 4),
        (train_program(hosts=2, parallelism={"fsdp": 2}, per_device_batch_size=2.0), 2, 4),
        (train_program(hardware="tpu", parallelism={"fsdp": 2, "tensor": 2}, dtype="bfloat16", packing=True), 4, 16),
    ],
    ids=["one host", "two hosts", "a slice"],
)
def test_maxtext_accepts_the_command(tmp_path: Path, program: TrainProgram, devices: int, batch: int) -> None:
    done = validate(program, tmp_path, devices)
    assert f"VALID {program.steps} 4096 llama3.1 {batch}" in done.stdout, done.stderr[-2000:]


@pytest.mark.timeout(300)
def test_maxtext_refuses_a_setting_that_it_does_not_know(tmp_path: Path) -> None:
    done = validate(train_program(max_text={"no_such_setting": 1}), tmp_path, 1)
    assert done.returncode != 0
    assert "no_such_setting" in done.stdout + done.stderr


VALIDATE_MATCHING = """
import sys
from distillation_stages.maxtext.start import lighten_imports
lighten_imports()
from maxtext.configs import pyconfig
read = pyconfig.initialize(["validate", sys.argv[1]])
student, teacher = (
    pyconfig.initialize(["validate", sys.argv[1]], **overrides)
    for overrides in (read.student_overrides, read.teacher_overrides)
)
print("VALID", student.steps, student.base_emb_dim, teacher.base_emb_dim)
print("LOSS", student.distill_alpha, student.distill_beta_end)
print("PATHS", student.load_parameters_path, teacher.load_parameters_path, student.global_batch_size_to_load)
"""


@pytest.mark.timeout(300)
def test_maxtext_accepts_the_configuration_of_logit_matching(tmp_path: Path) -> None:
    matching = logit_matching(alpha=0.9, beta=0.5, beta_end=0.1, beta_schedule="Linear", layer_indices=[0, 31])
    program = train_program(objective=matching, max_text={"gradient_accumulation_steps": 2})
    settings = sized_settings("llama2-7b", LLAMA2_7B)
    student, teacher = (Checkpoint(tmp_path / name / "items", settings) for name in ("student", "teacher"))
    paths = TrainingPaths(*(tmp_path / name for name in ("checkpoint", "tokenizer", "data", "output", "cache")))
    script = """
import pickle, sys
from distillation_stages.maxtext.distillation_config import configuration, write
program, student, teacher, paths, path = pickle.loads(bytes.fromhex(sys.argv[1]))
write(configuration(program, 20, student, teacher, paths), path)
"""
    path = tmp_path / "distillation.yml"
    told = pickle.dumps((program, student, teacher, paths, path)).hex()
    # Where MaxText is: its own configuration is named in the file.
    run = partial(subprocess.run, env=environment(HOME=str(tmp_path)), capture_output=True, text=True, timeout=300)
    written = run([str(interpreter("trainer")), "-c", script, told])
    assert written.returncode == 0, written.stderr[-2000:]
    done = run([str(interpreter("trainer")), "-c", VALIDATE_MATCHING, str(path)])
    assert "VALID 20 4096 4096" in done.stdout, done.stderr[-2000:]
    assert "LOSS 0.9 0.1" in done.stdout
    assert f"PATHS {student.path} {teacher.path} 8" in done.stdout


@pytest.mark.timeout(300)
def test_the_names_that_the_api_allows_are_those_that_maxtext_trains_and_converts(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(interpreter("trainer")), "-c", NAMES], env=environment(HOME=str(tmp_path)),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    told = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("NAMES ")]
    assert told, done.stderr
    assert told[0] == sorted(get_args(MaxTextModel))
