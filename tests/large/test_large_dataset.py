"""A whole job on a real node whose dataset is large and partly broken: it ends, and each row is accounted for."""

import copy
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo import places
from demo.operator_process import OperatorProcess
from demo.places import NAMESPACE, Place
from e2e.broken_rows import ROWS, line
from support.eventually import eventually
from testbed.cluster import Testbed

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLE = CHECKOUT / "examples" / "smollm2-cpu.yaml"
JOB = "large-dataset"
HOLDOUT = 24
MINUTE = 60.0


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A node with the models and the dataset in its storage."""
    testbed = Testbed("large", say=lambda text: print(text, flush=True))
    made = places.testbed_place(testbed, print)
    assert made.storage is not None
    (made.storage / "chats.jsonl").write_text("".join(f"{line(row)[0]}\n" for row in range(ROWS)))
    made.kubectl("apply", "--server-side", "-f", str(CHECKOUT / "crds" / "distillationjobs.yaml"))
    made.kubectl("wait", "--for=condition=Established", "crd/distillationjobs.distillation.dev", "--timeout=60s")
    yield made
    testbed.down()


def manifest() -> str:
    """The small example, trained on the dataset's own answers, so that the teacher answers the holdout alone."""
    job: dict[str, Any] = copy.deepcopy(yaml.safe_load(EXAMPLE.read_text()))
    job["metadata"]["name"] = JOB
    spec = job["spec"]
    spec["dataset"] = {"source": {"path": "chats.jsonl"}, "messagesColumn": "conversations", "holdout": HOLDOUT}
    spec["generation"]["shards"] = 1
    spec["training"]["stages"] = [{**spec["training"]["stages"][1], "steps": 20}]
    spec["evaluation"].pop("require")
    return yaml.safe_dump(job)


@pytest.fixture(scope="module")
def counts(place: Place) -> dict[str, dict[str, int]]:
    """By stage of the job, which has ended Complete."""
    operator = OperatorProcess(place.kubeconfig, CHECKOUT / "build" / "large" / "operator.log", NAMESPACE)
    operator.start()
    try:
        place.kubectl("apply", "-f", "-", stdin=manifest())

        def ended() -> dict[str, Any] | None:
            status = (place.kubectl.get("distillationjob", JOB) or {}).get("status") or {}
            return status if status.get("phase") in ("Complete", "Failed") else None

        status = eventually("the job's end", ended, 40 * MINUTE)
    finally:
        operator.stop()
    assert status["phase"] == "Complete", status
    return {stage["name"]: stage.get("counts") or {} for stage in status["stages"]}


@pytest.mark.timeout(3600)
def test_each_row_is_accounted_for_and_training_sees_no_broken_one(counts: dict[str, dict[str, int]]) -> None:
    """U03."""
    wrong = Counter(reason for _, reason in map(line, range(ROWS)) if reason)
    too_long = wrong.pop("PromptTooLong")
    prepared, looked_at, packed = (counts[name] for name in ("prepare-dataset", "preflight", "pack-original-data"))
    print({name: counts[name] for name in counts})
    assert {name.removeprefix("rejected."): n for name, n in prepared.items() if "rejected" in name} == dict(wrong)
    assert prepared["read"] == ROWS == prepared["kept"] + wrong.total()
    assert looked_at["read"] == prepared["kept"]
    # The teacher is asked the holdout alone, so that only the prompts in it are too long for it.
    assert looked_at["read"] - looked_at["kept"] == looked_at.get("rejected.PromptTooLong", 0) <= too_long
    # None of those teaches anything, and none takes a place.
    assert packed["rows"] + packed["promptTooLong"] == prepared["train"]
    assert too_long - HOLDOUT <= packed["promptTooLong"] <= too_long
    assert counts["train-original-data"]["steps"] == 20
