"""Helm, built as a Go tool, and for the tests that install a cluster whose pods run."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cluster import Kubectl, run_kubectl
from support.helm import Helm
from testbed.cluster import Testbed
from testbed.helm import helm as run_helm
from testbed.site import Depth


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Runs helm and returns what came of it."""
    return run_helm


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart of the last release, which users upgrade from; RELEASE.md tells when its archive is replaced."""
    [packed] = (Path(__file__).parent / "released").glob("*.tgz")
    folder = tmp_path_factory.mktemp("released")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    return folder / "distillation-operator"


@pytest.fixture(scope="session")
def testbed() -> Iterator[Testbed]:
    """A whole cluster: the operator runs in it as a Deployment."""
    made = Testbed("pytest-chart", Depth.FULL, images=["operator"])
    made.up()
    yield made
    made.down()


@pytest.fixture(scope="session")
def kubectl(testbed: Testbed) -> Kubectl:
    return lambda *arguments: run_kubectl(testbed, *arguments)
