"""The rendered training command against MaxText's own validation: a key that this version lacks would show here."""

import json
import pickle
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from distillation_api.contract import TrainProgram
from distillation_api.maxtext import MAX_TEXT_MODELS
from distillation_api.maxtext.managed import MANAGED
from distillation_api.maxtext.settings import ALLOWED, Boolean, Enumeration, Integer, Kind, Number
from distillation_stages.maxtext.command import TrainingPaths, training_arguments
from distillation_stages.maxtext.distillation_config import Checkpoint
from distillation_stages.maxtext.families import FAMILIES, sized_settings
from distillation_stages.maxtext.known_models import KNOWN, Shape, shape_of
from e2e.stage_programs import environment, interpreter
from unit.stages.training_inputs import LLAMA2_7B, logit_matching, train_program

TERMINATION_LOG = Path("/dev/termination-log")

VALIDATE = """
import sys
from distillation_stages.maxtext.distillation_config import Checkpoint
from distillation_stages.maxtext.command import config_file
from distillation_stages.maxtext.start import patch_imports
patch_imports()
from maxtext.configs import pyconfig
config = pyconfig.initialize_pydantic(["validate", str(config_file("post_train/sft.yml")), *sys.argv[1:]])
print("VALID", config.steps, config.base_emb_dim, config.rope_type.value, config.global_batch_size_to_load)
print("TUNED", config.enable_dropout, config.dropout_rate, config.adam_eps, config.tensors_to_offload)
"""


NAMES = """
from pathlib import Path
from typing import get_args
from distillation_stages.maxtext.families import FAMILIES, _names_of
from distillation_stages.maxtext.start import patch_imports
patch_imports()
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
    paths = TrainingPaths(*(folder / name for name in ("checkpoint", "tokenizer", "output", "cache")))
    settings = sized_settings("llama2-7b", LLAMA2_7B)
    arguments = training_arguments(program, 20, settings, paths)
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
    assert f"VALID 20 4096 llama3.1 {batch}" in done.stdout, done.stderr[-2000:]


@pytest.mark.timeout(300)
def test_maxtext_accepts_tuning_settings_over_the_file_of_the_model(tmp_path: Path) -> None:
    tuning = {"enable_dropout": "true", "dropout_rate": "0.1", "remat_policy": "custom", "mlpwo": "offload"}
    tuning |= {"adam_eps": "1e-9", "quantization": "int8", "sa_block_q": "1024", "lr_schedule_type": "wsd"}
    done = validate(train_program(max_text=tuning), tmp_path, 1)
    assert "VALID 20 4096 llama3.1 4" in done.stdout, done.stderr[-2000:]
    assert "TUNED True 0.1 1e-09 ['mlpwo']" in done.stdout


WALK = """
import enum, json, sys, types, typing
from pydantic import TypeAdapter, ValidationError
from distillation_api.maxtext.settings import ALLOWED, Enumeration, Integer, Number
from distillation_stages.maxtext.user_settings import installed_fields

def kinds(annotation):
    origin, members = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return kinds(members[0])
    if origin in (typing.Union, types.UnionType):
        return {kind for member in members if member is not type(None) for kind in kinds(member)}
    if origin is typing.Literal or isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return {"words"}
    return {annotation.__name__ if annotation in (int, float, bool, str) else "other"}

def refused(annotation, kind):
    values = getattr(kind, "values", None) or [getattr(kind, "low", False), getattr(kind, "high", True)]
    for value in values:
        try:
            TypeAdapter(annotation).validate_python(value)
        except ValidationError:
            yield value

fields = installed_fields()
from maxtext.configs.types import DType, RematPolicy
own = {"remat_policy": RematPolicy, "mu_dtype": DType}
print("WALK", json.dumps({
    "kinds": {name: sorted(kinds(annotation)) for name, annotation in fields.items()},
    "refused": {name: list(refused(fields[name], setting.kind)) for name, setting in ALLOWED.items() if name in fields},
    "words": {name: [word.value for word in words] for name, words in own.items()},
}))
"""

KINDS: dict[type[Kind], list[list[str]]] = {
    Integer: [["int"]],
    Number: [["float"], ["float", "int"]],
    Boolean: [["bool"]],
    Enumeration: [["words"]],
}
"""What MaxText may declare a setting of each kind to be."""
WORDS_THAT_MAXTEXT_DECLARES_AS_TEXT = {
    "attention", "remat_policy", "mu_dtype", "sa_q_layout", "sa_k_layout", "sa_v_layout",
}  # fmt: skip
"""Its code knows a few words only, and so does our table."""


def in_trainer(script: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(interpreter("trainer")), "-c", script, *arguments], env=environment(HOME=str(folder)),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.timeout(300)
def test_the_tables_of_settings_are_those_of_the_installed_maxtext(tmp_path: Path) -> None:
    done = in_trainer(WALK, tmp_path)
    (told,) = [line.removeprefix("WALK ") for line in done.stdout.splitlines() if line.startswith("WALK ")] or [""]
    assert told, done.stderr
    walk = json.loads(told)
    kinds = walk["kinds"]
    assert sorted({*ALLOWED, *MANAGED} - kinds.keys()) == []
    text = {name for name in ALLOWED if kinds[name] == ["str"]}
    assert text == WORDS_THAT_MAXTEXT_DECLARES_AS_TEXT
    assert all(isinstance(ALLOWED[name].kind, Enumeration) for name in text)
    others = {name: kinds[name] for name, setting in ALLOWED.items() if kinds[name] not in KINDS[type(setting.kind)]}
    assert others.keys() == text
    assert {name: values for name, values in walk["refused"].items() if values} == {}
    for name, words in walk["words"].items():
        kind = ALLOWED[name].kind
        assert isinstance(kind, Enumeration)
        assert set(kind.values) <= set(words)
    # Every axis of a mesh, also those that a newer MaxText may bring.
    assert {name for name in kinds if name.startswith(("ici_", "dcn_"))} <= MANAGED.keys()


USERS = """
import json, pickle, sys
from distillation_stages.runtime.failure import StageError
from distillation_stages.maxtext.user_settings import user_settings
for program in pickle.loads(bytes.fromhex(sys.argv[1])):
    try:
        print("USERS", json.dumps(user_settings(program)))
    except StageError as error:
        print("REFUSED", error)
"""


@pytest.mark.timeout(300)
def test_unlisted_settings_are_compared_with_the_installed_maxtext(tmp_path: Path) -> None:
    asked = [
        {"mtp_num_layers": "1", "use_qk_clip": "true", "kv_quant_dtype": "int4"},
        {"mtp_num_layers": "-1"},
        {"mtp_num_layers": "one"},
        {"no_such_setting": "1"},
        {"prompt": "hello"},
        {"logical_axis_rules": "x"},
    ]
    programs = [train_program(max_text_unlisted=settings) for settings in asked]
    done = in_trainer(USERS, tmp_path, pickle.dumps(programs).hex())
    told = [line for line in done.stdout.splitlines() if line.startswith(("USERS ", "REFUSED "))]
    assert len(told) == len(asked), done.stderr
    assert told[0] == 'USERS {"mtp_num_layers": 1, "use_qk_clip": true, "kv_quant_dtype": "int4"}'
    assert all(
        line.startswith("REFUSED ") and next(iter(settings)) in line
        for line, settings in zip(told[1:], asked[1:], strict=True)
    ), told


DROPOUT = {"enable_dropout": "true", "dropout_rate": "0.1"}
"""Most of MaxText's model files turn it off."""

VALIDATE_MATCHING = """
import sys
from distillation_stages.maxtext.start import patch_imports
patch_imports()
from maxtext.configs import pyconfig
read = pyconfig.initialize(["validate", sys.argv[1]])
student, teacher = (
    pyconfig.initialize(["validate", sys.argv[1]], **overrides)
    for overrides in (read.student_overrides, read.teacher_overrides)
)
print("VALID", student.steps, student.base_emb_dim, teacher.base_emb_dim)
print("DROPOUT", student.enable_dropout, teacher.enable_dropout)
print("LOSS", student.distill_alpha, student.distill_beta_end)
print("PATHS", student.load_parameters_path, teacher.load_parameters_path, student.global_batch_size_to_load)
"""


@pytest.mark.timeout(300)
def test_maxtext_accepts_the_configuration_of_logit_matching(tmp_path: Path) -> None:
    matching = logit_matching(alpha=0.9, beta=0.5, beta_end=0.1, beta_schedule="Linear", layer_indices=[0, 31])
    program = train_program(objective=matching, gradient_accumulation_steps=2, max_text=DROPOUT)
    settings = sized_settings("llama2-7b", LLAMA2_7B)
    student, teacher = (Checkpoint(tmp_path / name / "items", settings) for name in ("student", "teacher"))
    paths = TrainingPaths(*(tmp_path / name for name in ("checkpoint", "tokenizer", "output", "cache")))
    script = """
import pickle, sys
from distillation_stages.maxtext.distillation_config import configuration, write
program, student, teacher, paths, path = pickle.loads(bytes.fromhex(sys.argv[1]))
write(configuration(program, program.objective, 20, student, teacher, paths), path)
"""
    path = tmp_path / "distillation.yml"
    told = pickle.dumps((program, student, teacher, paths, path)).hex()
    # Where MaxText is: its own configuration is named in the file.
    run = partial(subprocess.run, env=environment(HOME=str(tmp_path)), capture_output=True, text=True, timeout=300)
    written = run([str(interpreter("trainer")), "-c", script, told])
    assert written.returncode == 0, written.stderr[-2000:]
    done = run([str(interpreter("trainer")), "-c", VALIDATE_MATCHING, str(path)])
    assert "VALID 20 4096 4096" in done.stdout, done.stderr[-2000:]
    assert "DROPOUT True" in done.stdout
    assert "LOSS 0.9 0.1" in done.stdout
    assert f"PATHS {student.path} {teacher.path} 8" in done.stdout


@pytest.mark.timeout(300)
def test_the_names_that_the_api_allows_are_those_that_maxtext_trains_and_converts(tmp_path: Path) -> None:
    done = in_trainer(NAMES, tmp_path)
    told = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("NAMES ")]
    assert told, done.stderr
    assert told[0] == sorted(MAX_TEXT_MODELS)


TABLES = """
import json
from pathlib import Path
import yaml
from distillation_api.maxtext import MAX_TEXT_MODELS
from distillation_stages.maxtext.start import patch_imports
patch_imports()
from maxtext.checkpoint_conversion.utils import hf_model_configs, hf_shape, param_mapping
from maxtext.utils import globals as maxtext_globals
models = Path(maxtext_globals.MAXTEXT_CONFIGS_DIR) / "models"
for name in MAX_TEXT_MODELS:
    config = hf_model_configs.HF_MODEL_CONFIGS.get(name)
    print("TABLES", json.dumps({
        "name": name,
        "config": config.to_dict() if config else None,
        "file": yaml.safe_load((models / f"{name.removesuffix('-Instruct')}.yml").read_text()),
        "converts": name in param_mapping.PARAM_MAPPING and name in param_mapping.HOOK_FNS,
        "convertsBack": name in hf_shape.HF_SHAPE,
    }, default=str))
"""

ROPE_OF_THE_FILE_ALONE = ("gemma3-", "olmo3-")
"""MaxText builds them with the RoPE of its model file, which its table of configurations leaves out."""


@pytest.mark.timeout(300)
def test_the_shapes_by_which_names_are_found_are_those_of_the_installed_maxtext(tmp_path: Path) -> None:
    done = in_trainer(TABLES, tmp_path)
    told = [json.loads(line.removeprefix("TABLES ")) for line in done.stdout.splitlines() if line.startswith("TABLES ")]
    assert [entry["name"] for entry in told] == list(MAX_TEXT_MODELS), done.stderr
    differing = {entry["name"]: found for entry in told if (found := list(_differences(entry)))}
    assert differing == {}


def _differences(entry: dict[str, Any]) -> Iterator[str]:
    name, file, config = entry["name"], entry["file"], entry["config"]
    known = KNOWN[name]
    shape = known.shape
    if known.model_type in FAMILIES:
        installed = Shape(
            hidden_size=file["base_emb_dim"],
            intermediate_size=file["base_mlp_dim"],
            num_hidden_layers=file["base_num_decoder_layers"],
            num_attention_heads=file["base_num_query_heads"],
            num_key_value_heads=file["base_num_kv_heads"],
            vocab_size=file["vocab_size"],
            tie_word_embeddings=file["logits_via_embedding"],
            rope_theta=file.get("rope_max_timescale", 10_000),
        )
        yield from shape.differences(installed)
        if file["decoder_block"] != FAMILIES[known.model_type].decoder:
            yield file["decoder_block"]
        return
    installed = shape_of(config)
    if name.startswith(ROPE_OF_THE_FILE_ALONE):
        installed = replace(installed, rope_theta=file["rope_max_timescale"], rope_scaling=None)
    if name.startswith("olmo3-"):
        factor = file.get("rope_factor")
        installed = replace(installed, rope_scaling=f"{file['rope_type']} {factor:g}" if factor else "none")
    yield from installed.differences(shape)
    for member in ("model_type", "converts", "convertsBack"):
        ours = {"model_type": known.model_type, "converts": known.converts, "convertsBack": known.converts_back}[member]
        theirs = config["model_type"] if member == "model_type" else entry[member]
        # One that does not convert at all is not asked for its way back.
        if ours != theirs and (known.converts or member != "convertsBack"):
            yield f"{member}: {ours} (MaxText: {theirs})"


LACKING = """
import importlib
from functools import reduce
from distillation_stages.maxtext import FOREIGN
from distillation_stages.maxtext.start import patch_imports
patch_imports()
missing = []
for module, names in FOREIGN.items():
    loaded = importlib.import_module(module)
    for name in names:
        try:
            reduce(getattr, name.split("."), loaded)
        except AttributeError:
            missing.append(f"{module}.{name}")
print("LACKING", *missing)
"""


def test_the_installed_maxtext_has_every_name_that_is_called_or_patched() -> None:
    command = [str(interpreter("trainer")), "-c", LACKING]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert "LACKING" in done.stdout.splitlines(), done.stdout + done.stderr
