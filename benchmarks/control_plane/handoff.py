"""From a pod's end to the next stage's child: how long it takes, and whose time that is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from benchmarks.control_plane.api import AGENT
from benchmarks.control_plane.audit import Call, is_creation
from benchmarks.control_plane.percentiles import summary

Child = tuple[str, str]
"""Namespace and name of a Job or JobSet of ours."""
Pod = tuple[str, str]

CONTROLLERS = ("jobs/status", "jobsets/status")


class JobPlan(NamedTuple):
    """The first attempts of one job's stages, and what each of them needs."""

    namespace: str
    name: str
    children: Mapping[str, str]
    """Names of children by stage."""
    needs: Mapping[str, Sequence[str]]

    def first_children(self) -> list[Child]:
        """Those that need no other."""
        return [(self.namespace, self.children[stage]) for stage, needs in self.needs.items() if not needs]


class HandOff(NamedTuple):
    """One child, from the end of the last pod that it needed; seconds."""

    total: float
    """Until the child is created."""
    controllers: float
    """Of these, until the Job or JobSet controller has written its last word on what the child needed; 0 where the
    child was requested before that."""
    operator: float
    """Until the operator's request has reached the API server."""
    api_server: float
    """Until that request was answered."""
    before_condition: bool
    """Whether the child was requested before the controllers' last word."""


class Seen:
    """Times of what hand-offs are made of, from the audit log."""

    def __init__(self, seen: Iterable[Call], pods: Mapping[Pod, str]) -> None:
        """``pods``: names of the children that pods belong to."""
        self.jobs: dict[tuple[str, str], float] = {}
        """When each DistillationJob's creation was answered."""
        self.ends: dict[Child, float] = {}
        """When the end of a child's last pod was written."""
        self.conditions: dict[Child, Call] = {}
        """The last write of a child's status."""
        self.creations: dict[Child, Call] = {}
        """The first creation of each child."""
        for call in seen:
            if call.code >= 300:
                continue
            key = (call.namespace, call.name)
            if call.agent == AGENT:
                self._note_own(call, pods)
            elif is_creation(call):
                self.creations.setdefault(key, call)
            elif call.resource in CONTROLLERS and call.verb in ("update", "patch"):
                self.conditions[key] = max(self.conditions.get(key, call), call, key=lambda one: one.received)

    def _note_own(self, call: Call, pods: Mapping[Pod, str]) -> None:
        key = (call.namespace, call.name)
        if call.resource == "pods/status" and key in pods:
            child = (call.namespace, pods[key])
            self.ends[child] = max(self.ends.get(child, 0.0), call.done)
        elif call.resource == "distillationjobs" and call.verb == "create":
            self.jobs[key] = call.done

    def hand_offs(self, plan: JobPlan) -> list[HandOff]:
        """Those of all stages that need others, as far as they were seen."""
        found = []
        for stage, needs in plan.needs.items():
            created = self.creations.get((plan.namespace, plan.children[stage]))
            needed = [(plan.namespace, plan.children[need]) for need in needs]
            if created is None or not needed or any(child not in self.ends for child in needed):
                continue
            ended = max(self.ends[child] for child in needed)
            found.append(_split(ended, created, [self.conditions.get(child) for child in needed]))
        return found

    def first_child(self, plan: JobPlan) -> float | None:
        """Seconds from a job's creation to that of its first child; None when either wasn't seen."""
        created = self.jobs.get((plan.namespace, plan.name))
        children = [self.creations.get((plan.namespace, child)) for child in plan.children.values()]
        done = [call.done for call in children if call is not None]
        return min(done) - created if created is not None and done else None


def _split(ended: float, created: Call, conditions: list[Call | None]) -> HandOff:
    """The controllers' part ends with their last word on any of what was needed, if the operator waited for that."""
    known = [call for call in conditions if call is not None]
    last = max(known, key=lambda call: call.done) if len(known) == len(conditions) else None
    before = last is None or last.received >= created.received
    # The watch may bring a word before the answer to whoever wrote it is complete.
    spoken = ended if last is None or before else max(min(last.done, created.received), ended)
    return HandOff(
        total=created.done - ended,
        controllers=spoken - ended,
        operator=created.received - spoken,
        api_server=created.done - created.received,
        before_condition=before,
    )


def hand_off_figures(found: Sequence[HandOff]) -> dict[str, object]:
    """Percentiles of the whole and of its parts, and the share that didn't wait for the controllers."""
    figures: dict[str, object] = dict(summary([one.total for one in found]))
    if found:
        figures["parts"] = {
            "controllers": summary([one.controllers for one in found]),
            "operator": summary([one.operator for one in found]),
            "apiServer": summary([one.api_server for one in found]),
        }
        figures["beforeCondition"] = round(sum(one.before_condition for one in found) / len(found), 3)
    return figures
