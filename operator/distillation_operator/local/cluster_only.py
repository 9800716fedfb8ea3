"""What a manifest asks of a cluster and this machine doesn't have: refused field by field, or left out at the user's
word.
"""

import copy
from collections.abc import Collection
from typing import Any

from distillation_api.resource import DistillationJob
from distillation_operator.pipeline.graph import build_pipeline

Object = dict[str, Any]

OPTION = "--ignore-accelerators"
_OF_PODS = (
    "serviceAccountName", "priorityClassName", "imagePullSecrets", "nodeSelector", "tolerations", "labels",
    "annotations",
)  # fmt: skip
"""Members of spec.pod that nothing here reads."""


def refusals(job: DistillationJob, chips: int, secrets: Collection[tuple[str, str]]) -> list[str]:
    """What of a valid job can't be had on this machine with so many chips and these Secrets, one message each."""
    spec = job.spec
    found = []
    if spec.queue is not None:
        found.append(_refusal("spec.queue", spec.queue.name, f"there is no Kueue here; remove it, or give {OPTION}"))
    for member, accelerator in (
        ("generation", spec.generation.accelerator),
        ("training", spec.training.accelerator),
    ):
        if accelerator is None:
            continue
        field = f"spec.{member}.accelerator"
        asked = next(s.placement for s in build_pipeline(spec).values() if s.placement.accelerator == accelerator)
        if asked.pods > 1:
            what = f"{accelerator.type} {accelerator.topology}, {asked.pods} hosts"
            found.append(_refusal(field, what, f"this is one host; give a topology of one host, or {OPTION}"))
        elif asked.chips > chips:
            what = f"{accelerator.type} {accelerator.topology}, {asked.chips} chips"
            found.append(_refusal(field, what, f"this machine has {chips}; remove it to run on CPU, or give {OPTION}"))
    for index, stage in enumerate(spec.training.stages):
        if spec.training.accelerator is None and (stage.hosts or 1) > 1:
            field = f"spec.training.stages[{index}].hosts"
            found.append(_refusal(field, str(stage.hosts), f"this is one host; give 1, or {OPTION}"))
    token = spec.hugging_face_token
    if token is not None and (token.secret_name, token.key) not in secrets:
        found.append(_secret("spec.huggingFaceToken", token.secret_name, token.key))
    for index, _, key in spec.pod.secrets:
        if (key.secret_name, key.key) not in secrets:
            found.append(_secret(f"spec.pod.env[{index}].secret", key.secret_name, key.key))
    return found


def ignored(job: DistillationJob) -> list[str]:
    """Members that a cluster reads and nothing does here."""
    there = job.spec.pod.to_json_dict()
    return [f"spec.pod.{member}" for member in _OF_PODS if there.get(member)]


def without_accelerators(thing: Object) -> tuple[Object, list[str]]:
    """The object with all of its stages on one host's CPU, and what of it was left out."""
    changed = copy.deepcopy(thing)
    spec = changed["spec"]
    left_out = [f"spec.{member}" for member in ("queue",) if spec.pop(member, None) is not None]
    for member in ("generation", "training"):
        if (spec.get(member) or {}).pop("accelerator", None) is not None:
            left_out.append(f"spec.{member}.accelerator")
    for index, stage in enumerate(spec["training"]["stages"]):
        for member in ("hosts", "parallelism"):
            if stage.pop(member, None) is not None:
                left_out.append(f"spec.training.stages[{index}].{member}")
    return changed, left_out


def _refusal(field: str, value: str, right: str) -> str:
    return f"{field}: Invalid value: {value}: {right}"


def _secret(field: str, name: str, key: str) -> str:
    return _refusal(
        field,
        f"{name}/{key}",
        f"there are no Secrets here; give its value by --secret {name}/{key}=env:VARIABLE or "
        f"--secret {name}/{key}=file:PATH",
    )
