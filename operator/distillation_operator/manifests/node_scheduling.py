"""The nodes that a stage's pods choose, and the taints that they tolerate."""

from typing import Any

from distillation_api.node_labels import COMPUTE_CLASS, FLEX_START, QUEUED, RESERVATION, SPOT
from distillation_api.spec import Accelerator, PodOptions
from distillation_operator.pipeline.stage import Stage

Object = dict[str, Any]

_CHOSEN = {"Spot": (SPOT,), "FlexStart": (FLEX_START,), "FlexStartQueued": (QUEUED,)}
_TOLERATED = {"Spot": (SPOT,), "FlexStart": (FLEX_START,), "FlexStartQueued": (QUEUED, FLEX_START)}
"""Nodes of one provisioning may have these taints, or none."""


def node_scheduling(options: PodOptions, stage: Stage) -> Object:
    """The members ``nodeSelector`` and ``tolerations`` of a pod, where there is something in them."""
    selector = dict(options.node_selector or {})
    tolerations = [toleration.to_json_dict() for toleration in options.tolerations or ()]
    accelerator = stage.placement.accelerator
    if accelerator is not None:
        selector.update(_selected(accelerator, stage, selector))
        tolerations = [*_tolerated(accelerator, stage), *tolerations]
    return {
        **({"nodeSelector": selector} if selector else {}),
        **({"tolerations": tolerations} if tolerations else {}),
    }


def _selected(accelerator: Accelerator, stage: Stage, of_all_pods: dict[str, str]) -> dict[str, str]:
    platform = stage.placement.platform
    users = accelerator.node_selector or {}
    selector = {}
    # A compute class decides on accelerator and topology; GKE takes pods that select it without those labels.
    if COMPUTE_CLASS not in users and COMPUTE_CLASS not in of_all_pods:
        selector = {platform.type_label: accelerator.type, platform.topology_label: accelerator.topology}
        if accelerator.chips_per_host is not None:
            selector[platform.chips_per_host_label] = str(accelerator.chips_per_host)
    selector.update((label, "true") for label in _CHOSEN.get(accelerator.provisioning, ()))
    if accelerator.reservation_name is not None:
        selector[RESERVATION] = accelerator.reservation_name
    return {**users, **selector}


def _tolerated(accelerator: Accelerator, stage: Stage) -> list[Object]:
    chips: Object = {"key": stage.placement.platform.resource, "operator": "Exists", "effect": "NoSchedule"}
    taints = _TOLERATED.get(accelerator.provisioning, ())
    return [chips, *({"key": key, "operator": "Equal", "value": "true", "effect": "NoSchedule"} for key in taints)]
