"""What a node with chips tells of its end, or of a slice that hangs: conditions, labels and a taint that GKE sets.

Source: GKE's published TPU device plugin (conditions), its pages on disruptions of GPUs and TPUs (labels, taint), as of
2026-11. All of it is foreign text: it is bounded, and made one line that can be printed.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from distillation_api import reasons
from distillation_operator.manifests.pending_cause import one_line
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.status.times import format_time

Object = Mapping[str, Any]

SCHEDULED = "cloud.google.com/scheduled-maintenance-time"
ACTIVE = "cloud.google.com/active-node-maintenance"
TERMINATION = "cloud.google.com/impending-node-termination"
_CONDITIONS = {
    reason.name: reason for reason in (reasons.SLICE_ERROR_DETECTED, reasons.MEGASCALE_HANG_DETECTED)
}  # fmt: skip
"""In the order in which they count: a slice that fails makes the others wait."""
_NOT_YET = {"", "none", "false", "no_maintenance"}
_LONGEST_EPOCH = 10
"""Digits of seconds since 1970, until the year 2286."""


def node_cause(node: Object) -> Cause | None:
    """The worst that a node tells of its pods' future; None where it tells nothing."""
    return _of_conditions(node) or _of_maintenance(node)


def _of_conditions(node: Object) -> Cause | None:
    told = (node.get("status") or {}).get("conditions") or []
    true = {c.get("type"): c for c in reversed(told) if c.get("status") == "True"}
    for name, reason in _CONDITIONS.items():
        if name in true:
            words = str(true[name].get("message") or true[name].get("reason") or "the node says no more")
            return Cause.of(reason, one_line(f"{_name(node)}: {words}"))
    return None


def _of_maintenance(node: Object) -> Cause | None:
    labels = node["metadata"].get("labels") or {}
    taints = (node.get("spec") or {}).get("taints") or []
    if any(taint.get("key") == TERMINATION for taint in taints):
        return Cause.of(reasons.NODE_MAINTENANCE, one_line(f"{_name(node)} is about to be terminated"))
    active = str(labels.get(ACTIVE) or "")
    if active.lower() not in _NOT_YET:
        return Cause.of(reasons.NODE_MAINTENANCE, one_line(f"{_name(node)}: maintenance is {active}"))
    if SCHEDULED in labels:
        when = _time(str(labels[SCHEDULED]))
        return Cause.of(reasons.MAINTENANCE_SCHEDULED, one_line(f"{_name(node)}: maintenance is scheduled for {when}"))
    return None


def _time(epoch: str) -> str:
    """RFC 3339 of seconds since 1970; as written where it isn't that."""
    if not (epoch.isascii() and epoch.isdigit() and len(epoch) <= _LONGEST_EPOCH):
        return epoch
    return format_time(datetime.fromtimestamp(int(epoch), UTC))


def _name(node: Object) -> str:
    return str(node["metadata"].get("name"))
