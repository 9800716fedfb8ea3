"""The full testbed for the e2e layer: a real node, real vLLM and MaxText; it goes down at the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.places import Place, testbed_place
from distillation_stages.runtime.storage import Storage
from e2e.killed_run import Run, run_with_kills
from e2e.training_storage import convert, small_model
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


@pytest.fixture(scope="session")
def run(place: Place) -> Run:
    """The demo's job, which has ended, though its operator and its pods were killed on the way."""
    return run_with_kills(place)


@pytest.fixture(scope="session")
def fetched_models(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """A storage with a small random teacher and a student that differs from it, to be copied (``copy_of``)."""
    storage = Storage(tmp_path_factory.mktemp("models") / "storage")
    for seed, role in enumerate(("teacher", "student")):
        small_model(storage, role, seed)
    return storage


@pytest.fixture(scope="session")
def converted_models(fetched_models: Storage) -> Storage:
    """The same storage with both as checkpoints of MaxText too."""
    for role in ("teacher", "student"):
        convert(fetched_models, role, fetched_models.mount.with_name(f"convert-{role}"))
    return fetched_models
