"""A place for a job in each test, which no process may outlive."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from distillation_operator.local.leftovers import mark_of_job, marked
from support.local_place import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A storage with a job."""
    made = Place(tmp_path)
    yield made
    if made.folder.status_file.exists():
        assert not marked(mark_of_job(made.folder.owner)), "a process is left"
