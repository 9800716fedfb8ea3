"""Compiled programs on a storage: what may be half written is compiled again."""

import signal

import pytest

from support.eventually import eventually
from support.local_place import Place

STAGE = "convert-student"


def entries(place: Place) -> set[str]:
    """What the next program finds compiled."""
    return {path.name for path in (place.storage / "distillation" / "cache").rglob("*-cache")}


def test_what_a_program_has_compiled_that_ended_well_is_kept(place: Place) -> None:
    place.ends(STAGE, "success and compiled")
    assert place.local() == 0
    assert entries(place) == {f"{STAGE}-cache"}


def test_what_a_program_was_writing_that_did_not_end_well_is_removed_and_nothing_older(place: Place) -> None:
    place.ends("fetch-teacher", "success and compiled")
    place.ends("pack-two", "crash, compiled")
    assert place.local() == 1
    assert entries(place) == {"fetch-teacher-cache"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_being_written_when_all_was_ended_is_removed(place: Place, number: int) -> None:
    place.ends("fetch-teacher", "success and compiled")
    place.ends("preflight", "hang, compiled")
    process = place.begin()
    eventually("the stage runs", lambda: place.starts("preflight"), pause=0.05)
    assert entries(place) == {"fetch-teacher-cache", "preflight-cache"}
    process.send_signal(number)
    process.communicate(timeout=60)
    assert place.local() == 0
    assert entries(place) == {"fetch-teacher-cache"}
