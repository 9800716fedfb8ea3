"""Running stage programs as in their pods, but without a cluster: an interpreter, ``STAGE_SPEC`` and a storage."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from distillation_api.contract import COMPILE_CACHE_ENV, StageResult, StageSpec
from e2e import compiled_programs
from testbed import environments

CHECKOUT = Path(__file__).resolve().parents[2]


def interpreter(name: str) -> Path:
    """The Python of a stage image's environment: ``CONVERTER_PYTHON``, ``TRAINER_PYTHON``, or the testbed's own."""
    path = Path(os.environ.get(f"{name.upper()}_PYTHON") or environments.python(name))
    assert path.exists(), f"no environment {name}: set {name.upper()}_PYTHON or run 'make toolchain'"
    return path


def environment(**variables: str) -> dict[str, str]:
    """As a pod of a CPU stage has it, where the installation shares compiled programs."""
    path = os.pathsep.join(str(CHECKOUT / folder) for folder in ("operator", "images", "tests", ""))
    fixed = {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu", "HF_HUB_OFFLINE": "1", COMPILE_CACHE_ENV: "cache"}
    return {**os.environ, **fixed, **variables}


def run_stage(python: Path, spec: StageSpec, storage: Path, log: Path) -> StageResult:
    """Run the stage to its end; its output goes to files next to ``log``."""
    compiled_programs.lend(storage)
    code, message = end_of_stage(python, spec, storage, log)
    assert code == 0, f"{spec.stage} ended with {code}: {message}; see {log.with_suffix('.err')}"
    compiled_programs.keep(storage)
    return StageResult.model_validate(json.loads(message))


def end_of_stage(
    python: Path,
    spec: StageSpec,
    storage: Path,
    log: Path,
    program: Sequence[str] = ("-m", "distillation_stages"),
    **others: str,
) -> tuple[int, str]:
    """The exit code and the termination message of the stage, with other environment variables besides."""
    variables = {
        "STAGE_SPEC": spec.model_dump_json(by_alias=True),
        "STORAGE_MOUNT": str(storage),
        "TERMINATION_LOG": str(log),
        "HOME": str(log.parent),
        **others,
    }
    with log.with_suffix(".out").open("w") as out, log.with_suffix(".err").open("w") as err:
        command = [str(python), *program]
        done = subprocess.run(command, env=environment(**variables), stdout=out, stderr=err, timeout=600, check=False)
    return done.returncode, log.read_text() if log.exists() else "no termination message"
