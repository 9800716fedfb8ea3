"""Helm, built as a Go tool, and for the tests that install a cluster whose pods run."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.conftest import Kubectl, _kubectl
from testbed import binaries
from testbed.cluster import Testbed
from testbed.layout import cache
from testbed.site import Depth

CHECKOUT = Path(__file__).resolve().parents[2]
CHART = CHECKOUT / "charts" / "distillation-operator"

Helm = Callable[..., subprocess.CompletedProcess[str]]


def run_helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """One command of Helm's; its configuration and caches are its own."""
    folder = cache() / "helm"
    environment = {"HOME": str(folder), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    return subprocess.run(
        [str(binaries.HELM.path), *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Runs helm and returns what came of it."""
    if not binaries.HELM.path.exists():
        log = cache() / "logs" / "go.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        binaries.HELM.build(log)
    return run_helm


@pytest.fixture(scope="session")
def testbed() -> Iterator[Testbed]:
    """A whole cluster: the operator runs in it as a Deployment."""
    made = Testbed("pytest-chart", Depth.FULL)
    made.up()
    yield made
    made.down()


@pytest.fixture(scope="session")
def kubectl(testbed: Testbed) -> Kubectl:
    return lambda *arguments: _kubectl(testbed, *arguments)
