"""How the end of a program becomes an exit code and a termination message."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from distillation_api.contract import (
    PERMANENT_EXIT_CODES,
    STAGE_SPEC_ENV,
    TERMINATION_MESSAGE_LIMIT,
    FetchProgram,
    Source,
    StageFailure,
    StageSpec,
)
from distillation_api.reasons import REASONS
from distillation_api.reasons.reason import ProgramReason
from distillation_operator.manifests.reading import parse_outcome
from distillation_stages.__main__ import main
from distillation_stages.programs import fetch
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage

PROGRAM_REASONS = [reason for reason in REASONS.values() if isinstance(reason, ProgramReason)]

FINAL = next(reason for reason in PROGRAM_REASONS if reason.is_final)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Main handles SIGTERM, and its process ends with it; this one goes on."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the program writes its termination message, with a fetch stage asked for in the environment."""
    program = FetchProgram(source=Source(path="models/teacher"), role="teacher")
    spec = StageSpec(stage="fetch-teacher", fingerprint="f1", output="fetch", program=program)
    monkeypatch.setenv(STAGE_SPEC_ENV, spec.model_dump_json())
    monkeypatch.setenv("STORAGE_MOUNT", str(tmp_path))
    monkeypatch.setenv("TERMINATION_LOG", str(tmp_path / "message"))
    return tmp_path / "message"


@pytest.mark.parametrize("reason", PROGRAM_REASONS, ids=lambda reason: reason.name)
def test_a_program_ends_as_its_reason_says(
    reason: ProgramReason, message: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gives_up(spec: StageSpec, storage: Storage) -> None:
        raise StageError(reason, "what would be right")

    monkeypatch.setattr(fetch, "run", gives_up)
    assert main() == reason.exit_code
    assert StageFailure.model_validate_json(message.read_text()) == StageFailure(
        stage="fetch-teacher",
        reason=reason.name,
        message="what would be right",
        permanent=reason.exit_code in PERMANENT_EXIT_CODES,
    )


def test_a_crash_is_tried_again(message: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crashes(spec: StageSpec, storage: Storage) -> None:
        raise ValueError("boom")

    monkeypatch.setattr(fetch, "run", crashes)
    assert main() == 75
    failure = StageFailure.model_validate_json(message.read_text())
    assert (failure.reason, failure.message, failure.permanent) == ("ProgramCrashed", "ValueError: boom", False)


def test_the_words_of_a_crash_stay_in_the_log_where_the_installation_says_so(
    message: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """F16: they may quote a row of the dataset."""

    def crashes(spec: StageSpec, storage: Storage) -> None:
        raise ValueError("could not convert 'Jane Doe'")

    monkeypatch.setattr(fetch, "run", crashes)
    monkeypatch.setenv("LOG_TAILS", "no")
    assert main() == 75
    failure = StageFailure.model_validate_json(message.read_text())
    assert failure.message == "ValueError: its last words stand in the pod's log"
    assert "Jane Doe" in capsys.readouterr().err


def test_a_spec_of_another_version_is_final(message: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STAGE_SPEC_ENV, '{"version": "v0"}')
    assert main() == 78
    failure = StageFailure.model_validate_json(message.read_text())
    assert (failure.stage, failure.reason, failure.permanent) == ("unknown", "BadStageSpec", True)


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        ({"loss": float("nan"), "kl": float("inf"), "drop": -0.5}, {"drop": -0.5}),
        ({"loss": float("-inf")}, None),
    ],
)
def test_a_metric_that_is_no_number_hides_no_verdict(
    metrics: dict[str, float], told: dict[str, float] | None, message: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gives_up(spec: StageSpec, storage: Storage) -> None:
        raise StageError(FINAL, "a gate", metrics=metrics)

    monkeypatch.setattr(fetch, "run", gives_up)
    assert main() == FINAL.exit_code
    failure = parse_outcome(message.read_text())
    assert isinstance(failure, StageFailure) and (failure.reason, failure.metrics) == (FINAL.name, told)


@pytest.mark.parametrize(
    "text", ["column '\ud800' is missing", "\ud83d" * 3000, "\x01" * 3000, "😀" * 3000, '"\\' * 3000], ids=range(5)
)
def test_a_verdict_is_told_whatever_text_it_quotes(text: str, message: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Foreign text may hold half a surrogate pair, or take six bytes a character as JSON."""

    def gives_up(spec: StageSpec, storage: Storage) -> None:
        raise StageError(FINAL, text)

    monkeypatch.setattr(fetch, "run", gives_up)
    assert main() == FINAL.exit_code
    written = message.read_bytes()
    assert len(written) <= TERMINATION_MESSAGE_LIMIT
    told = StageFailure.model_validate_json(written)
    assert told.reason == FINAL.name
    assert told.permanent
    assert told.message
