"""The comparison with Argo Workflows: the graph as a Workflow, and what is read of the audit log."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.control_plane.argo.audit import Call, Stage, calls, hand_offs, last_events, spread, writes_per_job
from benchmarks.control_plane.argo.contestants import ARGO_BEST, ARGO_DEFAULT, Argo, Operator
from benchmarks.control_plane.argo.installation import configured, version
from benchmarks.control_plane.argo.ratios import ratios
from benchmarks.control_plane.argo.workflow import Node, graph, stage_of_task, workflow
from support.small_job import manifest

GRAPH = graph(manifest()["spec"])
DIAMOND = {"a": Node((), 1), "b": Node(("a",), 2), "c": Node(("a",), 1), "d": Node(("b", "c"), 1)}


def tasks(made: dict[str, Any]) -> dict[str, list[str]]:
    """Each task of a Workflow and what it waits for."""
    templates = {template["name"]: template for template in made["spec"]["templates"]}
    return {task["name"]: task["dependencies"] for task in templates[made["spec"]["entrypoint"]]["dag"]["tasks"]}


def test_the_graph_is_that_of_the_small_job() -> None:
    assert len(GRAPH) == 13
    assert sum(node.pods for node in GRAPH.values()) == 15
    assert GRAPH["generate"].pods == 2
    assert GRAPH["train-one"] == Node(("convert-student", "fetch-student", "pack-one", "preflight"), 2)


def test_a_workflow_has_a_task_for_each_pod_which_waits_for_all_pods_of_what_it_needs() -> None:
    made = workflow("job", DIAMOND, "argo-best")
    assert tasks(made) == {
        "a": [],
        "b-pod0": ["a"],
        "b-pod1": ["a"],
        "c": ["a"],
        "d": ["b-pod0", "b-pod1", "c"],
    }
    assert made["metadata"]["labels"] == {"workflows.argoproj.io/controller-instanceid": "argo-best"}


def test_a_task_is_found_again_as_its_stage() -> None:
    named = {task: stage_of_task(task) for task in tasks(workflow("job", GRAPH, "i"))}
    assert set(named.values()) == set(GRAPH)
    assert named["generate-pod1"] == "generate"
    assert named["export-one"] == "export-one"


def test_a_pod_of_argo_is_its_own_child_and_one_of_the_operator_has_its_jobs() -> None:
    argo = Argo("argo-best", ARGO_BEST, GRAPH).read(
        {
            "metadata": {
                "namespace": "n",
                "name": "job-1-stage-123",
                "labels": {"workflows.argoproj.io/workflow": "job-1"},
                "annotations": {"workflows.argoproj.io/node-name": "job-1.generate-pod1"},
            }
        }
    )
    assert (argo.job, argo.stage, argo.child) == (("n", "job-1"), "generate", ("n", "job-1-stage-123"))
    labels = {"distillation.dev/job": "job-1", "distillation.dev/stage": "export", "distillation.dev/child": "c-0"}
    asked = json.dumps({"stage": "export", "fingerprint": "f" * 16})
    ours = Operator().read(
        {
            "metadata": {"namespace": "n", "name": "c-0-xyz", "labels": labels},
            "spec": {"containers": [{"env": [{"name": "STAGE_SPEC", "value": asked}]}]},
        }
    )
    assert (ours.job, ours.stage, ours.child) == (("n", "job-1"), "export", ("n", "c-0"))
    assert json.loads(ours.message)["fingerprint"] == "f" * 16


def test_argo_reads_what_it_is_configured_with_and_nothing_more_at_its_default() -> None:
    assert configured("argo-default", ARGO_DEFAULT.configuration)["data"] == {"instanceID": "argo-default"}
    best = configured("argo-best", ARGO_BEST.configuration)
    assert best["metadata"]["namespace"] == best["data"]["instanceID"] == "argo-best"
    assert json.loads(best["data"]["nodeEvents"]) == {"enabled": False}
    assert version().startswith("v4.")


def event(second: int, verb: str = "create", **members: Any) -> dict[str, Any]:
    """A line of the audit log."""
    return {
        "stage": "ResponseComplete",
        "verb": verb,
        "userAgent": "argo-workflows/untagged argo-controller",
        "objectRef": {"resource": "pods", "namespace": "n", "name": "p"},
        "responseStatus": {"code": 201},
        "stageTimestamp": f"2026-11-28T03:00:{second:02}.250000Z",
        **members,
    }


def test_only_answered_calls_of_the_span_count_and_no_watch() -> None:
    begun = 1795834800.0
    log = [
        event(1),
        event(2, "watch"),
        event(3, "patch", objectRef={"resource": "pods", "subresource": "status", "namespace": "n", "name": "p"}),
        event(4, stage="ResponseStarted"),
        {key: value for key, value in event(5).items() if key != "objectRef"},
        event(9),
    ]
    assert list(calls(log, begun + 1, begun + 6)) == [
        Call(begun + 1.25, "argo-workflows/untagged argo-controller", "create", "pods", ("n", "p"), 201),
        Call(begun + 3.25, "argo-workflows/untagged argo-controller", "patch", "pods/status", ("n", "p"), 201),
    ]


@pytest.mark.parametrize(
    ("verb", "resource", "kind"),
    [
        ("create", "jobs", "children"),
        ("create", "jobsets", "children"),
        ("create", "pods", "children"),
        ("create", "events", "events"),
        ("patch", "events", "events"),
        ("create", "configmaps", "otherCreations"),
        ("update", "workflows", "updates"),
        ("patch", "distillationjobs/status", "updates"),
        ("deletecollection", "workflowtaskresults", "deletions"),
    ],
)
def test_writes_are_told_by_kind(verb: str, resource: str, kind: str) -> None:
    made = [Call(0, "a", verb, resource, ("n", "x"), 200), Call(0, "a", "list", "pods", ("n", ""), 200)]
    assert writes_per_job(made, 4) == {kind: 0.25, "all": 0.25}


def test_a_hand_off_begins_with_the_last_end_that_a_stage_needs() -> None:
    stages = {
        "a": Stage(created=11.0, seen=11.5, ended=12.0),
        "b": Stage(created=12.5, seen=13.0, ended=20.0),
        "c": Stage(created=13.0, seen=13.5, ended=14.0),
        "d": Stage(created=20.25, seen=21.0, ended=22.0),
    }
    told = hand_offs(DIAMOND, [(10.0, stages)])
    assert told.child == [0.5, 1.0, 0.25]
    assert told.pod == [1.0, 1.5, 1.0]
    assert told.first == [1.0]


def test_a_spread_has_the_nearest_rank() -> None:
    assert spread([float(value) for value in range(1, 201)]) == {"p50": 100.5, "p99": 198.0, "max": 200.0, "count": 200}
    assert spread([0.5]) == {"p50": 0.5, "p99": 0.5, "max": 0.5, "count": 1}


def figures(seconds: float, grown: float, jobs: int = 10) -> dict[str, Any]:
    """A contestant's figures, all alike."""
    spread_of = {"p50": seconds, "p99": seconds}
    return {
        "jobs": jobs,
        "handOff": spread_of,
        "handOffToPod": spread_of,
        "createdToFirstChild": spread_of,
        "cpuMsPerJob": {"controller": seconds, "kube-apiserver": seconds},
        "writesPerJob": {"all": seconds},
        "clusterWritesPerJob": {"all": seconds},
        "memory": {"allFinished": {"residentMB": seconds}, "per1000JobsMB": grown},
        "coldStart": {"seconds": seconds, "cpuSeconds": seconds, "residentMB": seconds},
    }


def test_ratios_are_the_operators_part_of_each_other_one_where_there_is_one() -> None:
    told = ratios({"operator": figures(1.0, 3.0), "argo-default": figures(4.0, -1.0), "argo-best": figures(2.0, 2.0)})
    assert told["argo-default"]["handOffP99"] == 0.25
    assert "memoryPer1000Jobs" not in told["argo-default"]
    assert told["argo-best"]["memoryPer1000Jobs"] == 1.5
    assert ratios({"argo-best": figures(2.0, 2.0)}) == {}


def test_what_is_of_all_jobs_is_only_compared_between_as_many() -> None:
    told = ratios({"operator": figures(1.0, 3.0), "argo-default": figures(2.0, 2.0, jobs=5)})["argo-default"]
    assert told["writesPerJob"] == 0.5
    assert not {"memoryAllFinished", "memoryPer1000Jobs", "coldStartSeconds", "coldStartCpu"} & set(told)


def test_the_end_of_the_log_is_read_without_cut_lines(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    lines = [json.dumps({"number": number}) for number in range(10)]
    log.write_text("\n".join(lines) + "\n" + lines[0][:5])
    whole = len(lines[0]) + 1
    assert [event["number"] for event in last_events(log, 2 * whole + 7)] == [8, 9]
    assert [event["number"] for event in last_events(log, 10**6)] == list(range(10))
