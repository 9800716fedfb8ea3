"""Which `local` may work where another one does."""

import fcntl
import os
import signal
import threading

import pytest
import yaml

from support.eventually import eventually
from support.local_place import Place


def test_a_job_waits_for_no_other_on_its_storage(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """The other works at the same stages, and neither would see that."""
    place.ends("fetch-teacher", "hang")
    process = place.begin()
    eventually("the stage runs", lambda: place.starts("fetch-teacher"), pause=0.05)
    thing = yaml.safe_load(place.file.read_text())
    thing["metadata"]["name"] = "another"
    place.file.write_text(yaml.safe_dump(thing))
    assert place.local() == 1
    err = capsys.readouterr().err
    assert f"{place.storage} is held by another `distillation-operator local`: job job, process {process.pid};" in err
    assert f"watch {place.storage}/job" in err
    assert place.starts("fetch-teacher") == ["hang"]
    assert not (place.storage / "another").exists()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert place.local() == 0


def test_who_looks_whether_a_job_is_held_refuses_it_to_nobody(place: Place) -> None:
    with place.folder.locked():
        pass
    with (place.folder.path / ".lock").open() as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        end = threading.Timer(0.3, fcntl.flock, (look, fcntl.LOCK_UN))
        end.start()
        with place.folder.locked():
            assert place.folder.is_held()
        end.join()


def test_one_folder_has_one_local(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    with place.folder.locked():
        assert place.local() == 1
    err = capsys.readouterr().err
    assert str(os.getpid()) in err
    assert "another `distillation-operator local`" in err
    assert place.local() == 0
