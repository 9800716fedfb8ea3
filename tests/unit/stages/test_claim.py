"""Of two writers that need the same directory one works; the other one takes over when it is gone, and not before."""

import json
import threading
import time
from pathlib import Path

import pytest

from distillation_api.contract import WRITER_ENV
from distillation_stages.runtime.claim import CLAIM, Pace, claimed
from distillation_stages.runtime.failure import StageError
from support.eventually import eventually

QUICK = Pace(beat=0.05, alive=0.5, settle=0.0)


def claim_of(directory: Path, writer: str, age: float = 0.0) -> None:
    (directory / CLAIM).write_text(json.dumps({"writer": writer, "time": time.time() - age}))


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WRITER_ENV, "ours")


def test_who_is_alone_claims_renews_and_leaves(tmp_path: Path) -> None:
    file = tmp_path / CLAIM
    with claimed(tmp_path, QUICK):
        first = json.loads(file.read_text())
        assert first["writer"] == "ours"
        eventually("a beat", lambda: json.loads(file.read_text())["time"] > first["time"], 10)
    assert not file.exists()


def test_one_that_is_dead_is_waited_out_by_who_has_patience(tmp_path: Path) -> None:
    """A shard's Job gives it a few tries, all within the time that a claim holds."""
    claim_of(tmp_path, "theirs")
    with claimed(tmp_path, QUICK, patience=10 * QUICK.alive):
        assert json.loads((tmp_path / CLAIM).read_text())["writer"] == "ours"


def test_another_that_is_alive_is_waited_for(tmp_path: Path) -> None:
    claim_of(tmp_path, "theirs", age=60)
    with pytest.raises(StageError, match="UID theirs works at this stage") as caught, claimed(tmp_path):
        pytest.fail("both work")
    assert caught.value.reason.name == "WaitsForOtherJob"
    assert not caught.value.reason.is_final
    assert json.loads((tmp_path / CLAIM).read_text())["writer"] == "theirs"


@pytest.mark.parametrize(
    "left",
    [
        pytest.param({"writer": "theirs", "time": 1.0}, id="another, long ago"),
        pytest.param({"writer": "theirs", "time": 1e12}, id="another, by a wrong clock"),
        pytest.param({"writer": "ours", "time": time.time()}, id="our own, of an attempt that was killed"),
        pytest.param({"time": "now"}, id="no claim"),
        pytest.param([], id="something else"),
    ],
)
def test_what_was_left_is_taken_over(tmp_path: Path, left: object) -> None:
    (tmp_path / CLAIM).write_text(json.dumps(left))
    with claimed(tmp_path, QUICK):
        assert json.loads((tmp_path / CLAIM).read_text())["writer"] == "ours"


def test_of_two_at_the_same_moment_the_one_that_wrote_last_works(tmp_path: Path) -> None:
    late = threading.Timer(0.1, claim_of, (tmp_path, "theirs"))
    late.start()
    with pytest.raises(StageError, match="UID theirs"), claimed(tmp_path, Pace(beat=9, alive=9, settle=0.5)):
        pytest.fail("both work")
    assert json.loads((tmp_path / CLAIM).read_text())["writer"] == "theirs"


def test_who_has_lost_its_claim_ends(tmp_path: Path) -> None:
    """It had stood still for longer than a claim holds, and another one has begun."""
    lost = threading.Event()
    with claimed(tmp_path, QUICK, lost.set):
        claim_of(tmp_path, "theirs")
        assert lost.wait(10)
    assert json.loads((tmp_path / CLAIM).read_text())["writer"] == "theirs", "the other one's claim stays"


def test_a_run_by_hand_claims_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WRITER_ENV)
    with claimed(tmp_path, QUICK):
        assert list(tmp_path.iterdir()) == []
