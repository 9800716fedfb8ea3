"""Run the program that ``STAGE_SPEC`` names, and turn its end into a termination message and an exit code."""

import importlib
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType

from pydantic import ValidationError

from distillation_api import reasons
from distillation_api.contract import (
    EXIT_DONE,
    EXIT_TERMINATED,
    STAGE_SPEC_ENV,
    STORAGE_MOUNT,
    StageResult,
    StageSpec,
)
from distillation_api.reasons.reason import ProgramReason
from distillation_stages.runtime.device_access import lift_locked_memory, require_devices
from distillation_stages.runtime.driver_log import with_driver_words
from distillation_stages.runtime.failure import StageError, stage_failure
from distillation_stages.runtime.reporting import last_words, say, termination_log, write_termination_message
from distillation_stages.runtime.storage import Storage, storage_error

Run = Callable[[StageSpec, Storage], StageResult | None]
"""A program: does the stage, writes its marker last and returns the result; None when another host reports it."""

Again = Callable[[StageSpec, Storage, StageResult], StageResult]
"""Looks at what was found done, and may refuse it: this job may ask what no fingerprint holds."""

PROGRAMS = {
    "fetch": "distillation_stages.programs.fetch",
    "prepare": "distillation_stages.programs.prepare",
    "convert": "distillation_stages.programs.convert",
    "check_tokenizers": "distillation_stages.programs.check_tokenizers",
    "pack": "distillation_stages.programs.pack",
    "preflight": "distillation_stages.programs.preflight.preflight",
    "generate": "distillation_stages.programs.generate.shard",
    "train": "distillation_stages.programs.train.training",
    "export": "distillation_stages.programs.export",
    "evaluate": "distillation_stages.programs.evaluate.evaluation",
    "publish": "distillation_stages.programs.publish",
}
"""The module of each kind of stage; its ``run`` does the work."""

LOOKED_AT_AGAIN = {"fetch"}
"""Kinds whose module has ``again`` besides."""

SHARED_WITH_GROUP = 0o002
"""Mode bits that files and folders don't get. Pods of all stages have one group, and not always one user: a profile for
older nodes has root, which without capabilities writes where it may as everybody."""


def main() -> int:
    """The exit code of the program that the environment names."""
    signal.signal(signal.SIGTERM, _terminate)
    os.umask(SHARED_WITH_GROUP)
    lift_locked_memory()
    log = termination_log()
    try:
        spec = StageSpec.model_validate_json(os.environ.get(STAGE_SPEC_ENV, ""))
    except ValidationError as error:
        return _give_up("unknown", reasons.BAD_STAGE_SPEC, str(error), log)
    started = time.monotonic()
    storage = Storage(Path(os.environ.get("STORAGE_MOUNT", STORAGE_MOUNT)))
    try:
        result = _result(spec, storage)
    except StageError as error:
        say(f"{error.reason.name}: {error.message}")
        return _give_up(spec.stage, error.reason, error.message, log, error)
    except Exception as error:
        exit_code = _give_up(
            spec.stage, reasons.PROGRAM_CRASHED, f"{type(error).__name__}: {last_words(str(error))}", log
        )
        say("".join(traceback.format_exception(error)).rstrip())
        return exit_code
    if result is not None:
        # Of what was found done the marker tells what it has taken.
        taken = {} if result.reused else {"seconds": round(time.monotonic() - started, 1)}
        write_termination_message(result.model_copy(update=taken), log)
    return EXIT_DONE


def _module(spec: StageSpec) -> ModuleType:
    # Imported by name: each image has the libraries of its own programs only.
    return importlib.import_module(PROGRAMS[spec.program.kind])


def _result(spec: StageSpec, storage: Storage) -> StageResult | None:
    """What was found done, or else what the program makes. The storage's errors are told as such."""
    try:
        found = storage.finished(spec.output, spec.work)
        if found is None:
            require_devices()
            run: Run = _module(spec).run
            return run(spec, storage)
        if spec.program.kind in LOOKED_AT_AGAIN:
            again: Again = _module(spec).again
            return again(spec, storage, found)
        return found
    except OSError as error:
        known = storage_error(error, storage.mount)
        if known is None:
            raise
        raise known from error


def _give_up(stage: str, reason: ProgramReason, message: str, log: Path, error: StageError | None = None) -> int:
    """Write the termination message of a stage that ends for this reason; returns its exit code. ``error``: what knows
    more of it.
    """
    failure = stage_failure(stage, reason, with_driver_words(reason, message), error.start_up if error else None)
    if error is not None:
        # JSON has no NaN: it would be null, which the operator reads no message with.
        finite = {name: value for name, value in (error.metrics or {}).items() if math.isfinite(value)}
        known = {"outputs": error.outputs, "metrics": finite}
        failure = failure.model_copy(update={name: dict(told) for name, told in known.items() if told})
    write_termination_message(failure, log)
    return reason.exit_code


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(EXIT_TERMINATED)


if __name__ == "__main__":
    sys.exit(main())
