"""With KUBECONFIG the demo runs on a cluster that knows nothing of this machine: its inputs go in through a pod."""

import os

import pytest

from demo.places import CLAIM, users_place
from testbed.cluster import Testbed

NAMESPACE = "theirs"


@pytest.fixture(autouse=True)
def kubectl_on_the_path(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with a cluster has kubectl."""
    monkeypatch.setenv("PATH", str(testbed.kubectl.parent), prepend=os.pathsep)


def test_the_inputs_reach_the_claim(testbed: Testbed) -> None:
    storage = testbed.claim(NAMESPACE, CLAIM)
    place = users_place(testbed.kubeconfig, print, NAMESPACE)
    assert place.storage is None, "nothing of the user's cluster is a folder of this machine"
    assert (storage / "datasets" / "conversations.jsonl").stat().st_size > 10_000
    assert (storage / "models" / "smollm2-6-layers" / "config.json").exists()


def test_a_missing_claim_is_told_with_what_to_make(testbed: Testbed) -> None:
    with pytest.raises(SystemExit, match=r"namespace default has no PersistentVolumeClaim distillation; make one"):
        users_place(testbed.kubeconfig, print, "default")
