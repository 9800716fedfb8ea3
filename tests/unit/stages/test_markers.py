"""A marker is believed when it is whole and of the stage and fingerprint that its directory's name tells."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from distillation_api.contract import (
    MARKER_NAME,
    FetchProgram,
    ReportedStage,
    Source,
    StageResult,
    StageSpec,
    Work,
    work_at,
)
from distillation_stages.__main__ import main
from distillation_stages.data.stage_facts import StageFacts
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import MARKER_LIMIT, Storage
from unit.stages.stage_inputs import write_model

FINGERPRINT = "0123456789abcdef"
DIRECTORY = f"distillation/prepare-dataset/{FINGERPRINT}"
OWN = StageResult(stage="prepare-dataset", fingerprint=FINGERPRINT, outputs={"train": f"{DIRECTORY}/work/train"})
SECRET = "PRETTY_NAME of another file"


def text(**changes: object) -> bytes:
    return OWN.model_copy(update=changes).model_dump_json(by_alias=True).encode()


def put(content: bytes) -> Callable[[Path], None]:
    return lambda marker: void(marker.write_bytes(content))


def void(_: object) -> None:
    pass


def link(marker: Path) -> None:
    """To a marker that would be believed."""
    elsewhere = marker.with_name("elsewhere")
    elsewhere.write_bytes(text())
    marker.symlink_to(elsewhere)


def link_to_another_file(marker: Path) -> None:
    elsewhere = marker.with_name("elsewhere")
    elsewhere.write_text(SECRET)
    marker.symlink_to(elsewhere)


def too_long(marker: Path) -> None:
    with marker.open("wb") as file:
        file.truncate(MARKER_LIMIT + 1)


STRANGE: dict[str, Callable[[Path], None]] = {
    "of another fingerprint": put(text(fingerprint="f" * 16)),
    "of another stage": put(text(stage="generate")),
    "cut off": put(text()[:-20]),
    "no result": put(json.dumps({"quoted": SECRET}).encode()),
    "no JSON": put(SECRET.encode()),
    "no text": put(b"\xff\xfe"),
    "empty": put(b""),
    "with outputs of another directory": put(text(outputs={"train": "distillation/other/train"})),
    "with outputs outside the storage": put(text(outputs={"train": "../../etc"})),
    "with outputs that are no path": put(text(outputs={"train": "a\0b"})),
    "a link": link,
    "a link to what is no marker": link_to_another_file,
    "a pipe": lambda marker: os.mkfifo(marker),
    "a directory": lambda marker: marker.mkdir(),
    "too long": too_long,
}

each_strange = pytest.mark.parametrize("make", STRANGE.values(), ids=STRANGE)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """A storage with what the marker's outputs name."""
    (tmp_path / DIRECTORY / "work/train").mkdir(parents=True)
    (tmp_path / "distillation/other/train").mkdir(parents=True)
    return Storage(tmp_path)


def marker_of(storage: Storage) -> Path:
    return storage.mount / DIRECTORY / MARKER_NAME


def test_the_marker_of_its_own_stage_is_believed(storage: Storage) -> None:
    storage.write_marker(DIRECTORY, OWN)
    assert storage.require_marker(DIRECTORY) == OWN
    assert storage.finished(DIRECTORY) == OWN.model_copy(update={"reused": True})


@each_strange
def test_a_strange_marker_of_an_input_is_refused_for_good_and_nothing_of_it_is_quoted(
    make: Callable[[Path], None], storage: Storage
) -> None:
    """F5.2, F5.6: as ProgramCrashed it was tried again and again, with the beginning of a linked file in the status."""
    make(marker_of(storage))
    with pytest.raises(StageError, match="make a new DistillationJob") as refused:
        storage.require_marker(DIRECTORY)
    assert refused.value.reason.name == "InputRefused" and refused.value.reason.is_final
    assert DIRECTORY in refused.value.message and SECRET not in refused.value.message


@each_strange
def test_a_strange_marker_is_set_aside_by_the_stage_whose_directory_it_is(
    make: Callable[[Path], None], storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    """F5.4: another's marker in the folder of a stage made it fail for ever, until a person removed it."""
    make(marker_of(storage))
    assert storage.finished(DIRECTORY) is None
    assert not os.path.lexists(marker_of(storage))
    [aside] = marker_of(storage).parent.glob(f"{MARKER_NAME}.refused-*")
    told = capsys.readouterr().err
    assert aside.name in told and SECRET not in told
    storage.conclude(DIRECTORY, OWN, storage.mount / DIRECTORY / "work")
    assert storage.require_marker(DIRECTORY) == OWN


def test_a_strange_marker_that_stands_there_at_the_end_does_not_win(storage: Storage) -> None:
    link(marker_of(storage))
    assert storage.conclude(DIRECTORY, OWN, storage.mount / "gone") == OWN
    assert not marker_of(storage).is_symlink()


def test_a_stage_whose_marker_is_anothers_does_its_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was published to the folder that a teacher would come to lie in, before it was fetched."""
    storage, directory = Storage(tmp_path), f"distillation/fetch-teacher/{FINGERPRINT}"
    write_model(tmp_path / "models/teacher")
    storage.write_marker(directory, StageResult(stage="publish", fingerprint="e" * 16, outputs={"model": directory}))
    program = FetchProgram(source=Source(path="models/teacher"), role="teacher")
    spec = StageSpec(stage="fetch-teacher", fingerprint=FINGERPRINT, output=directory, program=program)
    for name, value in {
        "STAGE_SPEC": spec.model_dump_json(by_alias=True),
        "STORAGE_MOUNT": str(tmp_path),
        "TERMINATION_LOG": str(tmp_path / "termination"),
    }.items():
        monkeypatch.setenv(name, value)
    assert main() == 0
    told = StageResult.model_validate_json((tmp_path / "termination").read_bytes())
    assert (told.stage, told.fingerprint, told.reused) == ("fetch-teacher", FINGERPRINT, False)
    assert storage.require_marker(directory).outputs == {"model": "models/teacher"}


def test_a_report_leaves_out_what_it_does_not_believe(storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    marker_of(storage).write_bytes(text(fingerprint="f" * 16, counts={"rows": 7}))
    reported = ReportedStage(name="prepare-dataset", outputs=[DIRECTORY], chips=0)
    assert StageFacts.read(reported, storage).counts == {}
    assert DIRECTORY in capsys.readouterr().err


@pytest.mark.parametrize(
    ("directory", "work"),
    [
        (DIRECTORY, OWN),
        (f"a/b/generate/{FINGERPRINT}/shard-12", StageResult(stage="generate", fingerprint=FINGERPRINT)),
        (f"{DIRECTORY}/work", None),
        ("by-hand", None),
        (FINGERPRINT, None),
    ],
)
def test_a_directory_that_the_operator_names_tells_stage_and_fingerprint(
    directory: str, work: StageResult | None
) -> None:
    assert work_at(directory) == (Work(work.stage, work.fingerprint) if work else None)
