"""What ``make benchmark-crd`` compares, and how it tells it."""

import json

import pytest

from benchmarks.crd_validation import (
    COMMITTED,
    STAGES,
    UPDATES,
    WITHOUT,
    Cost,
    compared,
    running_at,
    status,
    without_rules,
)
from distillation_api.schemas.crd import custom_resource_definition
from distillation_api.status import DistillationJobStatus


def test_the_base_is_the_same_crd_but_for_the_rules() -> None:
    crd = custom_resource_definition()
    bare = without_rules(crd)
    assert "x-kubernetes-validations" in json.dumps(crd)
    assert "x-kubernetes-validations" not in json.dumps(bare)
    assert bare["spec"]["names"] == crd["spec"]["names"]
    assert json.dumps(bare).count('"description"') == json.dumps(crd).count('"description"')


@pytest.mark.parametrize("running", range(len(STAGES)))
def test_its_statuses_are_the_operators(running: int) -> None:
    read = DistillationJobStatus.model_validate(status(running))
    assert [stage.state for stage in read.stages].count("Running") == 1
    assert read.current_stage == STAGES[running] == read.stages[running].name


def test_each_update_of_an_object_is_of_the_next_stage() -> None:
    for turn in range(100):
        running = [running_at(turn, step) for step in range(UPDATES)]
        assert set(running) <= set(range(len(STAGES)))
        assert running == list(range(running[0], running[0] + UPDATES))


def test_medians_are_compared_with_the_base() -> None:
    costs = {
        COMMITTED: Cost([0.003, 0.0045, 0.9], [0.002, 0.003, 0.5]),
        WITHOUT: Cost([0.002, 0.003, 0.004], [0.001, 0.002, 0.003]),
    }
    told = compared({"create": costs})["create"]
    assert told[COMMITTED] == {"latency": 4.5, "processor": 3.0}
    assert told["overWithout"] == {COMMITTED: {"latency": 1.5, "processor": 1.5}}
