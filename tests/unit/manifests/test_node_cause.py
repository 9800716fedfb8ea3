"""What a node says of the pods with chips on it, as GKE's parts say it."""

from typing import Any

import pytest

from distillation_operator.manifests.node_signs import node_cause
from distillation_operator.pipeline.cause import Cause

PREFIX = "cloud.google.com/"
HANG = {"type": "MegascaleHangDetected", "status": "True", "message": "slice 1 waits for slice 0"}
SLICE = {"type": "SliceErrorDetected", "status": "True", "message": "SLICE_FAILURE_CHIP_DRIVER_ERROR"}
READY = {"type": "Ready", "status": "True", "message": "kubelet is posting ready status"}


def node(
    *conditions: dict[str, Any], taints: tuple[dict[str, Any], ...] = (), labels: dict[str, str] | None = None
) -> dict[str, Any]:
    return {
        "metadata": {"name": "gke-tpu-1", "labels": {PREFIX + name: value for name, value in (labels or {}).items()}},
        "spec": {"taints": list(taints)},
        "status": {"conditions": [READY, *conditions]},
    }


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (node(HANG), Cause("MegascaleHangDetected", "gke-tpu-1: slice 1 waits for slice 0")),
        (node(HANG, SLICE), Cause("SliceErrorDetected", "gke-tpu-1: SLICE_FAILURE_CHIP_DRIVER_ERROR")),
        (
            node(SLICE, labels={"active-node-maintenance": "ONGOING"}),
            Cause("SliceErrorDetected", "gke-tpu-1: SLICE_FAILURE_CHIP_DRIVER_ERROR"),
        ),
        (
            node({**SLICE, "message": ""}),
            Cause("SliceErrorDetected", "gke-tpu-1: the node says no more"),
        ),
        (
            node(labels={"active-node-maintenance": "ONGOING", "scheduled-maintenance-time": "1"}),
            Cause("NodeMaintenance", "gke-tpu-1: maintenance is ONGOING"),
        ),
        (
            node(taints=({"key": PREFIX + "impending-node-termination", "effect": "NoSchedule"},)),
            Cause("NodeMaintenance", "gke-tpu-1 is about to be terminated"),
        ),
        (
            node(labels={"scheduled-maintenance-time": "1795834800"}),
            Cause("MaintenanceScheduled", "gke-tpu-1: maintenance is scheduled for 2026-11-28T03:00:00Z"),
        ),
        (
            node(labels={"scheduled-maintenance-time": "soon"}),
            Cause("MaintenanceScheduled", "gke-tpu-1: maintenance is scheduled for soon"),
        ),
    ],
)
def test_the_worst_is_told_with_the_nodes_name(told: dict[str, Any], expected: Cause) -> None:
    assert node_cause(told) == expected


@pytest.mark.parametrize(
    "told",
    [
        node(),
        node({**HANG, "status": "False"}, {**SLICE, "status": "Unknown"}),
        node(labels={"active-node-maintenance": "NONE"}),
        node(taints=({"key": "google.com/tpu", "effect": "NoSchedule"},)),
        {"metadata": {"name": "bare"}},
    ],
)
def test_an_ordinary_node_tells_nothing(told: dict[str, Any]) -> None:
    assert node_cause(told) is None


def test_its_words_are_one_line_of_bounded_length() -> None:
    told = node_cause(node({**SLICE, "message": "a\nb\x1b[31m" + "c" * 10_000}))
    assert told is not None
    assert told.message.isprintable() and len(told.message) <= 600
