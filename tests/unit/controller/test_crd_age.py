"""A CRD that is older than the code is found out, by the field that it lacks."""

import copy
from typing import Any

import pytest

from distillation_api.schemas.crd import custom_resource_definition
from distillation_operator.controller.crd_age import missing_fields


def document() -> dict[str, Any]:
    """What the API server serves for the CRD of this checkout."""
    schema = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return {"components": {"schemas": {"dev.distillation.v1alpha1.DistillationJob": copy.deepcopy(schema)}}}


def without(*path: str) -> dict[str, Any]:
    """The document of an older CRD."""
    made = document()
    node = made["components"]["schemas"]["dev.distillation.v1alpha1.DistillationJob"]
    for name in path[:-1]:
        node = node["items"] if name == "[]" else node["properties"][name]
    del node["properties"][path[-1]]
    return made


def test_the_crd_of_this_checkout_has_all() -> None:
    assert missing_fields(document()) == []


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (("spec", "budget"), "spec.budget"),
        (("spec", "training", "stages", "[]", "epochs"), "spec.training.stages[].epochs"),
        (("status", "stages", "[]", "chipSeconds"), "status.stages[].chipSeconds"),
        (("status",), "status"),
    ],
)
def test_what_an_older_crd_lacks_is_named(path: tuple[str, ...], told: str) -> None:
    """Case 61."""
    assert missing_fields(without(*path)) == [told]


def test_a_value_that_an_older_crd_would_refuse_is_named() -> None:
    made = document()
    job = made["components"]["schemas"]["dev.distillation.v1alpha1.DistillationJob"]
    job["properties"]["status"]["properties"]["phase"]["enum"].remove("Queued")
    stage = job["properties"]["spec"]["properties"]["training"]["properties"]["stages"]["items"]
    stage["properties"]["objective"]["enum"].remove("LogitMatching")
    assert missing_fields(made) == ["spec.training.stages[].objective=LogitMatching", "status.phase=Queued"]


def test_a_cluster_without_the_crd_lacks_it_all() -> None:
    assert missing_fields({}) == ["DistillationJob"]
