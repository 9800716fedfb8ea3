"""How ``local`` and what it has started end: signals, closed terminals, and what programs leave behind."""

import os
import pty
import select
import signal
from pathlib import Path

import jsonschema
import pytest

from distillation_operator.local.leftovers import mark_of_job, marked
from support import fake_stage
from support.eventually import eventually
from support.local_place import STATUS, Place

FIRST = "fetch-teacher"


def test_a_second_ctrl_c_kills_what_does_not_end(place: Place) -> None:
    place.ends(FIRST, "stubborn")
    process = place.begin()
    eventually("the stage runs", lambda: place.starts(FIRST), pause=0.05)

    def is_killed() -> bool:
        is_left = bool(marked(mark_of_job(place.folder.owner)))
        if is_left:
            process.send_signal(signal.SIGINT)
        return not is_left

    eventually("the stage is killed", is_killed, seconds=20)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output


def test_a_signal_that_comes_by_two_ways_counts_once(place: Place) -> None:
    """To a process group and handed on by its leader, as by ``make quickstart``: what runs must save what it is at."""
    place.ends(FIRST, "save")
    process = place.begin()
    eventually("the stage runs", lambda: place.starts(FIRST), pause=0.05)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode in (128 + signal.SIGTERM, 130), output
    assert (place.storage / fake_stage.FOLDER / fake_stage.SAVED).exists()


@pytest.mark.parametrize(
    ("by", "number"),
    [(["nohup"], signal.SIGHUP), (["sh", "-c", 'trap "" INT; exec "$@"', "sh"], signal.SIGINT)],
    ids=["nohup", "in the background of a script"],
)
def test_a_signal_that_it_was_started_to_ignore_is_ignored(place: Place, by: list[str], number: int) -> None:
    place.ends(FIRST, "hang")
    process = place.begin(by=by)
    eventually("the stage runs", lambda: place.starts(FIRST), pause=0.05)
    process.send_signal(number)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, output


def test_a_closed_terminal_ends_it_as_its_signal_does(place: Place) -> None:
    place.ends(FIRST, "save")
    terminal, end = pty.openpty()
    process = place.begin(by=["setsid", "--ctty", "--wait"], terminal=end)
    os.close(end)
    eventually("the stage runs", lambda: _reading(terminal) and place.starts(FIRST), pause=0)
    os.close(terminal)
    assert process.wait(60) == 128 + signal.SIGHUP
    assert (place.storage / fake_stage.FOLDER / fake_stage.SAVED).exists()
    assert place.stage(FIRST)["reason"] == "LocalEnded"


@pytest.mark.parametrize("end", ["success and orphan", "success and titled orphan"])
def test_what_a_program_leaves_behind_ends_with_it(place: Place, end: str) -> None:
    """One that gives itself a title too: written over its environment, the mark in it would be lost."""
    place.ends("fetch-teacher", end)
    try:
        assert place.local() == 0
    finally:
        pid = int((place.storage / fake_stage.FOLDER / fake_stage.ORPHAN).read_text().split()[0])
        is_left = _is_alive(pid)
        if is_left:
            os.kill(pid, signal.SIGKILL)
    assert not is_left


def _reading(terminal: int) -> bool:
    """Read what is there, for a moment: who isn't read from waits for that."""
    if select.select([terminal], [], [], 0.05)[0]:
        os.read(terminal, 1 << 16)
    return True


def _is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX"


def test_the_status_of_what_was_ended_tells_that_nothing_runs(place: Place) -> None:
    """A stage that had ended meanwhile is complete, and none that was to follow it runs."""
    place.ends("fetch-student", "hang")
    process = place.begin()
    eventually("it runs", lambda: place.starts("fetch-student"), pause=0.05)
    eventually("another has ended", lambda: place.stage("fetch-teacher").get("state") == "Complete", pause=0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    thing = place.folder.read() or {}
    jsonschema.validate(thing["status"], STATUS)
    states = {stage["name"]: stage["state"] for stage in thing["status"]["stages"]}
    assert states["fetch-teacher"] == "Complete"
    assert "Running" not in states.values()
    stage = place.stage("fetch-student")
    assert (stage["state"], stage["reason"]) == ("Pending", "LocalEnded")
    assert thing["status"]["reason"] == "LocalEnded"
    assert place.local() == 0
    assert place.stage("fetch-student").get("reason") is None


def test_what_goes_wrong_at_the_end_does_not_hide_what_went_wrong_first(place: Place) -> None:
    """The status can't be written, and then not the attempts either."""
    place.ends("fetch-student", "finish")
    process = place.begin()
    eventually("it runs", lambda: place.starts("fetch-student"), pause=0.05)
    eventually("its status says so", lambda: place.stage("fetch-student").get("state") == "Running", pause=0.05)
    files = [place.folder.status_file, place.folder.path / "attempts.json"]
    for file in files:
        # A folder is replaced by no file, whoever one is.
        file.rename(file.with_suffix(".aside"))
        (file / "in the way").mkdir(parents=True)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert "Traceback" not in output
    assert "status.yaml" in output.splitlines()[-1]
    for file in files:
        (file / "in the way").rmdir()
        file.rmdir()
        file.with_suffix(".aside").rename(file)
    assert place.local() == 0
