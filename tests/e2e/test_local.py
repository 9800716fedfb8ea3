"""A small distillation by ``local``, with the real programs in the images' environments; killed once on the way."""

import shutil
from pathlib import Path

import pytest

from distillation_api.resource import DistillationJob
from distillation_operator.local.leftovers import mark_of_job, marked
from distillation_operator.pipeline.graph import build_pipeline
from distillation_stages.runtime.storage import Storage
from e2e.local_run import JOB, STEPS, Local, write_small_inputs
from support.eventually import eventually

pytestmark = pytest.mark.timeout(1800)


def test_a_distillation_that_is_killed_while_it_trains_goes_on_to_its_end(tmp_path: Path) -> None:
    local = Local(tmp_path, tmp_path / "storage")
    write_small_inputs(local.storage)
    process = local.begin(tmp_path / "first.log")
    try:
        eventually(
            "a checkpoint", lambda: process.poll() is not None or local.newest_checkpoint() >= 2, 900, pause=0.05
        )
        assert process.poll() is None, (tmp_path / "first.log").read_text()
    finally:
        process.kill()
        process.wait()
    done = {path: path.stat().st_mtime_ns for path in local.folder.logs.glob("generate-*")}
    assert len(done) == 1

    process = local.begin(tmp_path / "second.log")
    assert process.wait(900) == 0, (tmp_path / "second.log").read_text()
    thing = local.folder.read() or {}
    assert thing["status"]["phase"] == "Complete"
    assert not marked(mark_of_job(local.folder.owner))
    training = local.stage("train-one")
    assert training["counts"]["steps"] == STEPS
    assert training["counts"]["restarts"] == 1
    assert training["counts"]["repeatedSteps"] < STEPS, "it went on from a checkpoint"
    assert training["attempts"] == {"failures": 0, "disruptions": 0}
    assert {path: path.stat().st_mtime_ns for path in done} == done, "what is done is not done again"
    storage = Storage(local.storage)
    assert storage.at(thing["status"]["results"]["report"]).is_file()
    assert storage.at(thing["status"]["results"]["exportedModel"]).joinpath("config.json").is_file()
    # A cluster with this storage finds all of it: the markers are where its fingerprints say.
    for stage in build_pipeline(DistillationJob.parse(JOB).spec).values():
        assert storage.finished(f"{stage.output}/shard-0" if stage.is_indexed else stage.output) is not None, stage.name
    # And so does whoever else works on it, with nothing but the storage.
    shutil.rmtree(local.folder.path)
    process = local.begin(tmp_path / "third.log")
    assert process.wait(600) == 0, (tmp_path / "third.log").read_text()
    again = (local.folder.read() or {})["status"]["stages"]
    assert [stage["name"] for stage in again if not stage["reused"]] == []
