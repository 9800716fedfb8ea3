"""What tests ask of a cluster with the administrator's kubectl."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kubernetes import client, config

from distillation_api.resource import GROUP, PLURAL
from support.eventually import eventually
from support.objects import CHECKOUT
from testbed.cluster import Testbed
from testbed.site import Depth

CRD_FILE = CHECKOUT / "crds" / "distillationjobs.yaml"


Kubectl = Callable[..., str]


@contextmanager
def control_plane(name: str) -> Iterator[tuple[Testbed, client.ApiClient]]:
    """A control plane of that name with the committed CRD, and the administrator's client of it; it goes down after."""
    testbed = Testbed(name, Depth.CONTROL_PLANE, say=lambda text: print(f"{name}: {text}", flush=True))
    testbed.up()
    try:
        apply_crd(testbed)
        yield testbed, config.new_client_from_config(str(testbed.kubeconfig))  # type: ignore[no-untyped-call]
    finally:
        testbed.down()


def apply_crd(testbed: Testbed, file: Path = CRD_FILE) -> None:
    """The committed CRD, or another version's, established."""
    run_kubectl(testbed, "apply", "--server-side", "--force-conflicts", "-f", str(file))
    # Not `kubectl wait`: it fails at once where a new CRD has no conditions yet.
    eventually("the CRD is established", lambda: _is_established(testbed), 30.0)


def _is_established(testbed: Testbed) -> bool:
    crd = json.loads(run_kubectl(testbed, "get", f"crd/{PLURAL}.{GROUP}", "-o", "json"))
    conditions = crd.get("status", {}).get("conditions") or []
    return any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions)


def run_kubectl(testbed: Testbed, *arguments: str) -> str:
    """What the testbed's kubectl prints; fails the test when it fails."""
    command = [str(testbed.kubectl), "--kubeconfig", str(testbed.kubeconfig), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


@contextmanager
def cluster_with_kueue(name: str) -> Iterator[Testbed]:
    """A control plane of its own: Kueue looks at every Job of its cluster."""
    made = Testbed(name, Depth.CONTROL_PLANE)
    made.up()
    try:
        made.add_kueue()
        apply_crd(made)
        yield made
    finally:
        made.down()
