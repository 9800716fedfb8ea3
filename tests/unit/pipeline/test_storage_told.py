"""Status and Events tell how the storage renames a directory, where prepare-dataset has found out."""

from typing import Any

import pytest

from distillation_api import reasons
from distillation_operator.pipeline.status.events import Event, transitions
from support.scenario import Given

STAGE = "prepare-dataset"


def events_of(given: Given, **result: Any) -> list[Event]:
    """The Events about the stage when its pod has told this result."""
    given.act()
    before = given.status
    seen = given.completed(STAGE, **result).decide()
    assert seen.stage(STAGE).state == "Complete"
    return [event for event in transitions(before, seen.status) if event.message.startswith(STAGE)]


@pytest.mark.parametrize("told", ["FileByFile", "Refused"])
def test_a_storage_without_atomic_renames_is_told_with_the_remedy(told: str) -> None:
    given = Given()
    complete, warning = events_of(given, settings={"directoryRename": told})
    assert (complete.type, complete.message) == ("Normal", f"{STAGE} is complete.")
    assert (warning.type, warning.reason) == ("Warning", reasons.NO_ATOMIC_DIRECTORY_RENAME.name)
    assert "hierarchical namespace" in warning.message
    assert given.act().stage(STAGE).reason == warning.reason


def test_a_storage_that_renames_at_once_is_told_without_a_warning() -> None:
    events = events_of(Given(), settings={"directoryRename": "AtOnce"})
    assert [(event.type, event.message) for event in events] == [
        ("Normal", f"{STAGE} is complete. The storage renames directories atomically.")
    ]


@pytest.mark.parametrize("settings", [{}, {"directoryRename": "Sideways"}])
def test_a_result_of_another_version_tells_nothing(settings: dict[str, Any]) -> None:
    assert [event.message for event in events_of(Given(), settings=settings)] == [f"{STAGE} is complete."]
