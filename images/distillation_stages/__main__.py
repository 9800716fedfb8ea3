"""Run the program that ``STAGE_SPEC`` names, and turn its end into a termination message and an exit code."""

import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from distillation_operator.api.contract import (
    EXIT_BAD_CONFIGURATION,
    EXIT_DONE,
    EXIT_TERMINATED,
    EXIT_TRY_AGAIN,
    PERMANENT_EXIT_CODES,
    STAGE_SPEC_ENV,
    STORAGE_MOUNT,
    StageFailure,
    StageResult,
    StageSpec,
)
from distillation_stages.failure import StageError
from distillation_stages.reporting import say, termination_log, write_termination_message
from distillation_stages.storage import Storage, refusal_of

Run = Callable[[StageSpec, Storage], StageResult | None]
"""A program: does the stage, writes its marker last and returns the result; None when another host reports it."""


def main() -> int:
    """The exit code of the program that the environment names."""
    signal.signal(signal.SIGTERM, _terminate)
    log = termination_log()
    try:
        spec = StageSpec.model_validate_json(os.environ.get(STAGE_SPEC_ENV, ""))
    except ValidationError as error:
        failure = StageFailure(stage="unknown", reason="BadStageSpec", message=str(error), permanent=True)
        write_termination_message(failure, log)
        return EXIT_BAD_CONFIGURATION
    started = time.monotonic()
    storage = Storage(Path(os.environ.get("STORAGE_MOUNT", STORAGE_MOUNT)))
    try:
        result = storage.finished(spec.output)
        if result is None:
            # Imported by name: each image has the libraries of its own programs only.
            run: Run = importlib.import_module(f"distillation_stages.{spec.program.kind}").run
            result = _run(run, spec, storage)
    except StageError as error:
        say(f"{error.reason}: {error.message}")
        failure = StageFailure(
            stage=spec.stage,
            reason=error.reason,
            message=error.message,
            permanent=error.exit_code in PERMANENT_EXIT_CODES,
        )
        write_termination_message(failure, log)
        return error.exit_code
    except Exception as error:
        failure = StageFailure(
            stage=spec.stage, reason="ProgramCrashed", message=f"{type(error).__name__}: {error}", permanent=False
        )
        write_termination_message(failure, log)
        sys.excepthook(*sys.exc_info())
        return EXIT_TRY_AGAIN
    if result is not None:
        write_termination_message(result.model_copy(update={"seconds": round(time.monotonic() - started, 1)}), log)
    return EXIT_DONE


def _run(run: Run, spec: StageSpec, storage: Storage) -> StageResult | None:
    try:
        return run(spec, storage)
    except OSError as error:
        refusal = refusal_of(error, storage.mount)
        if refusal is None:
            raise
        raise refusal from error


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(EXIT_TERMINATED)


if __name__ == "__main__":
    sys.exit(main())
