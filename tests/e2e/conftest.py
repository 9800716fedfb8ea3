"""The full testbed for the e2e layer: a real node, real vLLM and MaxText; it goes down at the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.places import Place, testbed_place
from testbed.cluster import Testbed

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def testbed() -> Iterator[Testbed]:
    """The testbed, up."""
    made = Testbed("e2e", say=lambda text: print(text, flush=True))
    made.up()
    yield made
    made.down()


@pytest.fixture(scope="session")
def place(testbed: Testbed) -> Place:
    """The testbed with the demo's inputs in its storage and the CRD applied."""
    made = testbed_place(testbed, print)
    made.kubectl("apply", "--server-side", "-f", str(CHECKOUT / "crds" / "distillationjobs.yaml"))
    made.kubectl("wait", "--for=condition=Established", "crd/distillationjobs.distillation.dev", "--timeout=60s")
    return made
