"""The last words of the accelerator's driver stand in the message of the failure: its log ends with the pod."""

import os
import time
from pathlib import Path

import pytest

from distillation_api import reasons
from distillation_api.contract import TERMINATION_MESSAGE_LIMIT, FetchProgram, Source, StageFailure, StageSpec
from distillation_api.reasons.reason import ProgramReason
from distillation_stages.__main__ import main
from distillation_stages.programs import fetch
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage

HEADER = """Log file created at: 2026/11/27 15:29:49
Running on machine: job-train-one-0-0
Log line format: [IWEF]mmdd hh:mm:ss.uuuuuu threadid file:line] msg
"""
LINE = "E1127 15:29:49.123456     123 tpu_hal.cc:300] "


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The driver's folder."""
    folder = tmp_path / "tpu_logs"
    folder.mkdir()
    monkeypatch.setenv("TPU_LOG_DIR", str(folder))
    return folder


def write(folder: Path, *lines: str, process: int = 7) -> Path:
    """A log as libtpu keeps it: a file of the process, and a link to the newest."""
    file = folder / f"tpu_driver.host.root.log.ERROR.20261127-152949.{process}"
    file.write_text(HEADER + "".join(f"{LINE}{line}\n" for line in lines))
    link = folder / "tpu_driver.ERROR"
    link.unlink(missing_ok=True)
    link.symlink_to(file.name)
    return file


def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> StageFailure:
    """What the pod of a program that ends so says last."""

    def ends(spec: StageSpec, storage: Storage) -> None:
        raise error

    monkeypatch.setattr(fetch, "run", ends)
    program = FetchProgram(source=Source(path="models/teacher"), role="teacher")
    spec = StageSpec(stage="fetch-teacher", fingerprint="f1", output="fetch", program=program)
    monkeypatch.setenv("STAGE_SPEC", spec.model_dump_json())
    monkeypatch.setenv("STORAGE_MOUNT", str(tmp_path))
    monkeypatch.setenv("TERMINATION_LOG", str(tmp_path / "message"))
    assert main() != 0
    written = (tmp_path / "message").read_bytes()
    assert len(written) <= TERMINATION_MESSAGE_LIMIT
    return StageFailure.model_validate_json(written)


CRASH = StageError(reasons.MAX_TEXT_FAILED, "MaxText ended with exit code 1")


@pytest.mark.parametrize(
    ("error", "begin"),
    [
        (CRASH, "MaxText ended with exit code 1"),
        (ValueError("no devices"), "ValueError: no devices"),
        (StageError(reasons.ACCELERATOR_BUSY, "held"), "held"),
        (StageError(reasons.ENGINE_REFUSED_MODEL, "vLLM refuses it"), "vLLM refuses it"),
    ],
)
def test_a_failure_has_the_drivers_last_errors(
    error: Exception, begin: str, logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(logs, "first", "Could not open chip 0")
    message = told(tmp_path, monkeypatch, error).message
    assert message == f"{begin}; libtpu: tpu_hal.cc:300] first | tpu_hal.cc:300] Could not open chip 0"


@pytest.mark.parametrize("reason", [reasons.MISSING_COLUMN, reasons.HUB_UNAVAILABLE], ids=lambda reason: reason.name)
def test_what_no_driver_has_to_do_with_stands_alone(
    reason: ProgramReason, logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(logs, "Could not open chip 0")
    assert told(tmp_path, monkeypatch, StageError(reason, "said")).message == "said"


def test_of_a_long_log_the_end_is_told_and_the_message_is_not_lost(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(logs, *(f"error {number} {'x' * 60}" for number in range(2000)), "the last \x1b[31m\ud7ff" + "y" * 10)
    error = StageError(reasons.MAX_TEXT_FAILED, "MaxText ended. " + "z" * 600 + " Lower perDeviceBatchSize")
    message = told(tmp_path, monkeypatch, error).message
    assert message.startswith("MaxText ended. ") and "Lower perDeviceBatchSize; libtpu: …" in message
    assert message.endswith("yyyyyyyyyy") and "\x1b" not in message
    assert len(message) <= 1000


def test_what_a_long_message_ends_with_is_told(logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to do stands there."""
    write(logs, "y" * 500)
    cure = f"The cure: {'c' * 330}."
    error = StageError(reasons.ACCELERATOR_DENIED, f"MaxText ended with RuntimeError: {'z' * 900}. {cure}")
    message = told(tmp_path, monkeypatch, error).message
    assert message.startswith("MaxText ended with RuntimeError: zzz") and f"z. {cure}; libtpu: …yyy" in message
    assert len(message) == 1000


@pytest.mark.parametrize("kind", ["dangling", "loop", "folder"])
def test_what_is_no_log_hides_none(kind: str, logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(logs, "Could not open chip 0")
    path = logs / "tpu_driver.a.ERROR"
    match kind:
        case "dangling":
            path.symlink_to("gone")
        case "loop":
            path.symlink_to(path.name)
        case "folder":
            path.mkdir()
            os.utime(path, (time.time() + 60, time.time() + 60))
    assert told(tmp_path, monkeypatch, CRASH).message.endswith("Could not open chip 0")


def test_a_secret_is_hidden_though_it_is_cut(logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "hf_" + "s" * 300
    monkeypatch.setenv("HF_TOKEN", secret)
    write(logs, f"environment {secret} {'x' * 250}")
    message = told(tmp_path, monkeypatch, CRASH).message
    assert "sss" not in message and "***" in message


def test_it_stays_in_the_log_where_the_installation_says_so(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_TAILS", "no")
    write(logs, "Could not open chip 0")
    assert told(tmp_path, monkeypatch, CRASH).message == "MaxText ended with exit code 1"
    assert "Could not open chip 0" in capsys.readouterr().err


def test_what_another_pod_has_left_there_is_not_told(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is the node's: on tpu7x several pods share it."""
    file = write(logs, "of yesterday")
    yesterday = time.time() - 86_400
    os.utime(file, (yesterday, yesterday))
    assert "libtpu" not in told(tmp_path, monkeypatch, CRASH).message


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "nothing"])
def test_nothing_else_is_read_as_a_log(kind: str, logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may write into the node's folder could have a pod tell its own files, or wait for ever."""
    path = logs / "tpu_driver.ERROR"
    match kind:
        case "link":
            (tmp_path / "private").write_text("private\n")
            path.symlink_to(tmp_path / "private")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
    assert told(tmp_path, monkeypatch, CRASH).message == "MaxText ended with exit code 1"
