"""MaxText's SFT trainer with its own data pipeline, over the rows that the training stage reads: its command line."""

import json
import subprocess
from pathlib import Path

from distillation_api.contract import StageResult, TrainProgram
from distillation_stages.maxtext.command import TrainingPaths, training_arguments
from distillation_stages.runtime.storage import Storage
from e2e import maxtexts_own
from e2e.stage_programs import environment, interpreter

BARE_MODULE = "maxtext.trainers.post_train.sft.train_sft"
"""MaxText's own command for SFT."""
_PACKAGE = "import importlib.util as u; print(u.find_spec('maxtext').submodule_search_locations[0])"


def sft_config() -> Path:
    """The trainer's configuration file for SFT, of the installed MaxText."""
    command = [str(interpreter("trainer")), "-c", _PACKAGE]
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
    return Path(found.stdout.strip()) / "configs" / "post_train" / "sft.yml"


def written_rows(storage: Storage, folder: Path) -> dict[str, str]:
    """Write the storage's prepared rows into the folder, in the order of the stage's first epoch; the settings that
    have MaxText's pipeline read them.
    """
    script = str(Path(maxtexts_own.__file__))
    command = [str(interpreter("trainer")), script, str(storage.mount), str(folder)]
    variables = environment(HOME=str(folder.parent))
    written = subprocess.run(command, check=True, capture_output=True, text=True, env=variables)
    settings: dict[str, str] = json.loads(written.stdout.splitlines()[-1])
    return settings


def sft_arguments(
    storage: Storage, program: TrainProgram, steps: int, converted: StageResult, rows: dict[str, str], output: Path
) -> list[str]:
    """The arguments of the SFT trainer, its configuration file first, with which it reads ``rows`` and else does what
    the stage has it do. ``rows``: of ``written_rows``.
    """
    checkpoint = storage.at(converted.outputs["checkpoint"])
    paths = TrainingPaths(checkpoint, Path(rows["tokenizer_path"]), output, output.with_name(f"{output.name}-jax"))
    arguments = training_arguments(program, steps, converted.settings, paths)
    return [str(sft_config()), *arguments, *(f"{name}={value}" for name, value in rows.items())]
