"""Whether every job is as it must be: finished ones untouched, the others complete, nothing done twice or missed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.control_plane.audit import Call, is_creation
from benchmarks.control_plane.handoff import Child, JobPlan

SHOWN = 10
"""Wrong ones of a kind that are named."""

Key = tuple[str, str]


@dataclass(frozen=True)
class Check:
    """What was wrong, by kind, as NAMESPACE/NAME; nothing when all is well."""

    jobs: int
    children: int
    wrong: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether all is well."""
        return not self.wrong

    def figures(self) -> dict[str, Any]:
        """The same as JSON has it: of each kind the number, and the first few by name."""
        wrong = {kind: {"count": len(names), "first": names[:SHOWN]} for kind, names in self.wrong.items()}
        return {"good": self.good, "jobs": self.jobs, "children": self.children, "wrong": wrong}


def check(
    listed: Iterable[Mapping[str, Any]],
    finished: Mapping[Key, str],
    plans: Sequence[JobPlan],
    calls: Iterable[Call],
) -> Check:
    """Compare the jobs that there are with the resource versions of the finished ones and the plans of the others, and
    the children that were created with those planned."""
    jobs = {(job["metadata"]["namespace"], job["metadata"]["name"]): job for job in listed}
    active = {(plan.namespace, plan.name) for plan in plans}
    created = Counter((call.namespace, call.name) for call in calls if is_creation(call))
    planned: set[Child] = {(plan.namespace, child) for plan in plans for child in plan.children.values()}
    found = {
        "missingJobs": [key for key in (*finished, *active) if key not in jobs],
        "unknownJobs": [key for key in jobs if key not in finished and key not in active],
        "finishedJobsTouched": [
            key
            for key, version in finished.items()
            if key in jobs and jobs[key]["metadata"]["resourceVersion"] != version
        ],
        "jobsNotComplete": [key for key in active if key in jobs and jobs[key]["phase"] != "Complete"],
        "childrenCreatedTwice": [child for child, count in created.items() if count > 1],
        "childrenMissing": [child for child in planned if child not in created],
        "childrenNotPlanned": [child for child in created if child not in planned],
    }
    wrong = {kind: sorted(f"{space}/{name}" for space, name in keys) for kind, keys in found.items() if keys}
    return Check(len(jobs), len(created), wrong)
