"""One folder, which ``local`` writes as a user of this machine and pods write through a claim: each finishes what the
other has begun.
"""

import copy
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.operator_process import OperatorProcess
from demo.places import NAMESPACE, Place
from distillation_api.contract import MARKER_NAME
from distillation_operator.local.leftovers import mark_of_job, marked
from distillation_operator.manifests.security_profiles import GROUP
from e2e.local_run import CHECKOUT, JOB, Local, write_small_inputs
from support.eventually import eventually
from testbed.cluster import Testbed

CLAIM = "both-places"
MINUTE = 60.0
A_USER = ("setpriv", "--reuid=0", "--regid=0", f"--groups={GROUP}", "--inh-caps=-all", "--bounding-set=-all")
"""Root without capabilities, and in the group of pods: it reads the environments of the root that runs the tests, and
writes where a user of that group may.
"""

pytestmark = [pytest.mark.long, pytest.mark.timeout(60 * MINUTE)]

Object = dict[str, Any]


def job_of(name: str, **spec: Any) -> Object:
    """The small job on the claim, changed."""
    job = copy.deepcopy(JOB)
    job["metadata"] = {"name": name, "namespace": NAMESPACE}
    job["spec"] |= {"storage": {"persistentVolumeClaim": {"claimName": CLAIM}}, **spec}
    return job


@dataclass
class Shared:
    """The folder behind the claim, and the cluster that has it."""

    storage: Path
    place: Place

    def done(self) -> dict[Path, int]:
        """The markers that stand, with the times at which they were written, in nanoseconds."""
        return {path: path.stat().st_mtime_ns for path in self.storage.glob(f"distillation/**/{MARKER_NAME}")}

    def stages_of(self, markers: dict[Path, int]) -> set[str]:
        """The stages whose markers these are."""
        return {path.relative_to(self.storage / "distillation").parts[0] for path in markers}

    def give_to_pods(self) -> None:
        """What the page has its reader do."""
        page = (CHECKOUT / "docs" / "local.md").read_text()
        [script] = [text for text in re.findall(r"^```bash\n(.*?)^```", page, re.MULTILINE | re.DOTALL)]
        script = script.replace("sudo ", "").replace("DIR/PREFIX", f"'{self.storage}/distillation'")
        subprocess.run(["bash", "-euc", script], check=True)

    def apply(self, job: Object) -> None:
        self.place.kubectl("apply", "-f", "-", stdin=json.dumps(job))

    def status(self, job: Object) -> Object:
        """The status in the cluster; empty while there is none."""
        return dict((self.place.kubectl.get("distillationjob", job["metadata"]["name"]) or {}).get("status") or {})


def reused(status: Object) -> set[str]:
    """The stages whose work was found done."""
    return {stage["name"] for stage in status["stages"] if stage["reused"]}


def names(status: Object) -> set[str]:
    return {stage["name"] for stage in status["stages"]}


@pytest.fixture(scope="module")
def shared(testbed: Testbed, place: Place) -> Iterator[Shared]:
    """The folder with the inputs, and an operator."""
    operator = OperatorProcess(place.kubeconfig, CHECKOUT / "build" / "e2e" / "operator-both-places.log", NAMESPACE)
    found = Shared(testbed.claim(NAMESPACE, CLAIM), place)
    write_small_inputs(found.storage)
    operator.start()
    yield found
    operator.stop()


@pytest.fixture(scope="module")
def finished(shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[Path, int], Object]:
    """A job that was killed here when the teacher had answered, and has ended on the cluster: the markers of before,
    and the status.
    """
    folder, job = tmp_path_factory.mktemp("begun-here"), job_of("begun-here")
    local = Local(folder, shared.storage, job, A_USER)
    process = local.begin(folder / "log")
    try:
        eventually(
            "the answers",
            lambda: process.poll() is not None or local.stage("generate").get("state") == "Complete",
            20 * MINUTE,
        )
        assert process.poll() is None, (folder / "log").read_text()
    finally:
        process.kill()
        process.wait()
    eventually("what it has started has ended", lambda: not marked(mark_of_job(local.folder.owner)))
    before = shared.done()
    shared.give_to_pods()
    shared.apply(job)
    eventually("the job's end", lambda: shared.status(job).get("phase") in ("Complete", "Failed"), 20 * MINUTE)
    return before, shared.status(job)


def test_what_was_begun_here_is_finished_by_the_cluster(
    shared: Shared, finished: tuple[dict[Path, int], Object]
) -> None:
    before, status = finished
    assert status["phase"] == "Complete", status["conditions"]
    assert "generate" in shared.stages_of(before) and "train-one" not in shared.stages_of(before)
    assert reused(status) == shared.stages_of(before)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what is done is not done again"
    assert shared.stages_of(shared.done()) == names(status)
    assert (shared.storage / status["results"]["report"]).is_file()


def test_what_was_begun_by_the_cluster_is_finished_here(
    shared: Shared, finished: tuple[dict[Path, int], Object], tmp_path: Path
) -> None:
    # The export is the cluster's, and so is what it stands on.
    job = job_of("begun-there", export={"dtype": "bfloat16"})
    shared.apply(job)

    def exported() -> bool:
        stages = {stage["name"]: stage for stage in shared.status(job).get("stages", [])}
        return bool(stages) and stages["export"]["state"] in ("Complete", "Failed")

    eventually("the export's end", exported, 10 * MINUTE)
    there = shared.status(job)
    assert "export" not in reused(there) and "train-one" in reused(there), there
    shared.place.kubectl("delete", "distillationjob", job["metadata"]["name"])
    eventually("its pods are gone", lambda: not shared.place.kubectl.list("pod", "distillation.dev/job=begun-there"))
    before = shared.done()

    local = Local(tmp_path, shared.storage, job, A_USER)
    code = local.begin(tmp_path / "log").wait(20 * MINUTE)
    assert code == 0, (tmp_path / "log").read_text()
    status = (local.folder.read() or {})["status"]
    assert names(status) - reused(status) == {"evaluate"}
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what is done is not done again"
    assert (shared.storage / status["results"]["report"]).is_file()
