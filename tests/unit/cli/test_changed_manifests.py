"""Changes of a job without an API server: those that it would refuse, and those that it would take."""

from typing import Any

import pytest

from distillation_operator.commands.updates import update_faults
from support.scenario import job_of, small_spec

BEFORE = small_spec(preview={"rows": 8})


@pytest.mark.parametrize(
    ("members", "faults"),
    [
        ({}, []),
        ({"suspend": True, "retries": {"failures": 7}, "queue": {"name": "q"}}, []),
        ({"training": {**BEFORE["training"], "terminationGracePeriodSeconds": 90}}, []),
        ({"preview": {"rows": 8, "then": "Continue"}}, []),
        ({"preview": {"rows": 9}}, ["spec.preview: Invalid value: rows and steps can't be changed"]),
        ({"teacher": {"source": {"path": "other"}}}, ["spec.teacher: Invalid value: teacher can't be changed"]),
        (
            {"training": {"stages": [{"name": "one", "steps": 11}]}, "export": {"dtype": "float32"}},
            ["spec.training: Invalid value: ", "spec.export: Invalid value: "],
        ),
    ],
)
def test_changes(members: dict[str, Any], faults: list[str]) -> None:
    found = update_faults(job_of(BEFORE).to_json_dict(), job_of({**BEFORE, **members}).to_json_dict())
    assert len(found) == len(faults)
    assert all(any(message.startswith(fault) for message in found) for fault in faults), found


@pytest.mark.parametrize("status", [None, {}, {"currentStage": "train-one"}, {"progress": "7%"}])
def test_no_status_hides_a_change(status: dict[str, Any] | None) -> None:
    """The API server passes over the comparison where a write is one of the status, and this is none."""
    before = {**job_of(BEFORE).to_json_dict(), "status": {"currentStage": "generate", "progress": "3%"}}
    after = {**job_of({**BEFORE, "generation": {"shards": 9}}).to_json_dict(), "status": status}
    (fault,) = update_faults(before, after)
    assert fault.startswith("spec.generation: Invalid value: generation can't be changed")


def test_a_preview_may_go_and_come() -> None:
    with_it, without = job_of(BEFORE).to_json_dict(), job_of(small_spec()).to_json_dict()
    assert update_faults(with_it, without) == update_faults(without, with_it) == []
