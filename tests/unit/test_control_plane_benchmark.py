"""The benchmark of the control plane: what it makes of audit logs, jobs and figures."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

import pytest

from benchmarks.control_plane import options
from benchmarks.control_plane.api import AGENT
from benchmarks.control_plane.audit import Call, calls, calls_by_kind, reads_and_writes, writes_by_kind
from benchmarks.control_plane.check import check
from benchmarks.control_plane.contender import end_of_work, parse_metrics
from benchmarks.control_plane.handoff import JobPlan, Seen, hand_off_figures
from benchmarks.control_plane.load import plan_of, status_of
from benchmarks.control_plane.options import Load
from benchmarks.control_plane.percentiles import percentile, summary
from benchmarks.control_plane.programs import INDEX_LABEL, end_of
from distillation_api.contract import StageResult
from distillation_operator.manifests.labels import STAGE_LABEL

OPERATOR = "distillation-operator/replica"
CONTROLLER = "kube-controller-manager/v1.34.4 system:serviceaccount:kube-system:job-controller"
PLAN = JobPlan(
    "ns",
    "job",
    {"fetch": "job-fetch-0", "prepare": "job-prepare-0", "train": "job-train-0"},
    {"fetch": (), "prepare": (), "train": ("fetch", "prepare")},
)
PODS = {("ns", "fetch-pod"): "job-fetch-0", ("ns", "prepare-0"): "job-prepare-0", ("ns", "prepare-1"): "job-prepare-0"}


def call(agent: str, verb: str, resource: str, name: str, received: float, done: float, code: int = 200) -> Call:
    return Call(received, done, agent, verb, resource, "ns", name, code)


def end(pod: str, done: float) -> Call:
    return call(AGENT, "patch", "pods/status", pod, done - 0.01, done)


def condition(child: str, received: float) -> Call:
    return call(CONTROLLER, "update", "jobs/status", child, received, received + 0.02)


def created(child: str, received: float, code: int = 201) -> Call:
    return call(OPERATOR, "create", "jobs", child, received, received + 0.05, code)


def test_percentiles_are_values_that_were_seen() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (50.0, 99.0, 7.0)
    assert summary([3.0, 1.0, 2.0]) == {"count": 3, "p50": 2.0, "p99": 3.0, "max": 3.0}
    assert summary([]) == {"count": 0}
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_a_hand_off_is_split_where_the_controllers_have_had_their_last_word() -> None:
    """The pod that ends last decides, and so does the controllers' last word on any of the needed children."""
    seen = [
        end("fetch-pod", 10.0), end("prepare-0", 10.2), end("prepare-1", 10.5), condition("job-fetch-0", 10.9),
        condition("job-prepare-0", 10.7), condition("job-prepare-0", 11.48), created("job-train-0", 12.0),
    ]  # fmt: skip
    (found,) = Seen(seen, PODS).hand_offs(PLAN)
    assert found.total == pytest.approx(1.55)
    assert (found.controllers, found.operator, found.api_server) == pytest.approx((1.0, 0.5, 0.05))
    assert not found.before_condition


def test_a_child_that_is_requested_before_the_controllers_have_spoken_is_the_operators_time_alone() -> None:
    seen = [
        end("fetch-pod", 10.0), end("prepare-0", 10.2), end("prepare-1", 10.5), condition("job-fetch-0", 10.4),
        created("job-train-0", 10.6), condition("job-prepare-0", 11.5),
    ]  # fmt: skip
    (found,) = Seen(seen, PODS).hand_offs(PLAN)
    assert (found.controllers, found.operator, found.api_server) == pytest.approx((0.0, 0.1, 0.05))
    assert found.before_condition
    figures: Mapping[str, Any] = hand_off_figures([found])
    assert (figures["count"], figures["p50"], figures["beforeCondition"]) == (1, 0.15, 1.0)
    assert figures["parts"]["operator"]["p99"] == 0.1


def test_hand_offs_that_were_not_seen_whole_are_left_out() -> None:
    ended = [end("fetch-pod", 10.0), end("prepare-0", 10.2)]
    assert Seen(ended, PODS).hand_offs(PLAN) == []
    assert Seen([ended[0], created("job-train-0", 12.0)], PODS).hand_offs(PLAN) == []
    refused = [*ended, created("job-train-0", 12.0, code=500)]
    assert Seen(refused, PODS).hand_offs(PLAN) == []
    assert hand_off_figures([]) == {"count": 0}


def test_the_first_child_counts_from_the_answer_to_the_users_creation() -> None:
    made = call(AGENT, "create", "distillationjobs", "job", 1.0, 1.5, 201)
    seen = Seen([made, created("job-prepare-0", 3.0), created("job-fetch-0", 2.0)], {})
    assert seen.first_child(PLAN) == pytest.approx(0.55)
    assert Seen([made], {}).first_child(PLAN) is None


def test_a_line_of_the_audit_log_is_a_call_and_a_watch_is_one_when_it_begins() -> None:
    line: dict[str, Any] = {
        "stage": "ResponseComplete", "verb": "create", "userAgent": OPERATOR, "responseStatus": {"code": 201},
        "objectRef": {"resource": "jobs", "namespace": "ns", "name": "job-fetch-0"},
        "requestReceivedTimestamp": "1970-01-01T00:00:01.250000Z", "stageTimestamp": "1970-01-01T00:00:01.500000Z",
    }  # fmt: skip
    watch = {**line, "verb": "watch", "objectRef": {"resource": "pods"}}
    log = [line, {**watch, "stage": "ResponseStarted"}, watch, {**line, "objectRef": None, "verb": "get"}]
    one, two, three = calls(json.dumps(event).encode() + b"\n" for event in log)
    assert one == Call(1.25, 1.5, OPERATOR, "create", "jobs", "ns", "job-fetch-0", 201)
    assert (two.verb, two.resource, three.resource) == ("watch", "pods", "documents")


def test_calls_are_counted_by_what_they_cost() -> None:
    seen = [
        created("a", 1.0), created("a", 2.0, 409), call(OPERATOR, "update", "distillationjobs/status", "job", 1, 2),
        call(OPERATOR, "create", "events", "e", 1, 2), call(OPERATOR, "delete", "jobs", "a", 1, 2),
        call(OPERATOR, "create", "selfsubjectaccessreviews", "", 1, 2), call("kopf/1.45.2", "list", "pods", "", 1, 2),
        call("kopf/1.45.2", "watch", "pods", "", 1, 2), end("fetch-pod", 1.0),
    ]  # fmt: skip
    assert reads_and_writes(seen) == {"reads": 2, "writes": 5, "watches": 1}
    assert writes_by_kind(seen) == {"creations": 1, "statusUpdates": 1, "events": 1, "others": 2}
    assert calls_by_kind(seen)["create jobs"] == 2
    assert "patch pods/status" not in calls_by_kind(seen)


def listed(namespace: str, name: str, version: str = "1", phase: str = "Complete") -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name, "resourceVersion": version}, "phase": phase}


def test_a_run_in_which_all_is_well_passes_the_check() -> None:
    children = [created(child, 1.0) for child in PLAN.children.values()]
    outcome = check([listed("ns", "job"), listed("f", "done")], {("f", "done"): "1"}, [PLAN], children)
    assert outcome.good
    assert outcome.figures() == {"good": True, "jobs": 2, "children": 3, "wrong": {}}


@pytest.mark.parametrize(
    ("kind", "jobs", "children"),
    [
        ("missingJobs", [listed("f", "done")], ["fetch", "prepare", "train"]),
        ("jobsNotComplete", [listed("ns", "job", phase="Running")], ["fetch", "prepare", "train"]),
        ("finishedJobsTouched", [listed("f", "done", "2"), listed("ns", "job")], ["fetch", "prepare", "train"]),
        ("unknownJobs", [listed("f", "other"), listed("ns", "job")], ["fetch", "prepare", "train"]),
        ("childrenCreatedTwice", [listed("ns", "job")], ["fetch", "prepare", "train", "train"]),
        ("childrenMissing", [listed("ns", "job")], ["fetch", "train"]),
        ("childrenNotPlanned", [listed("ns", "job")], ["fetch", "prepare", "train", "again"]),
    ],
)
def test_the_check_tells_what_is_wrong(kind: str, jobs: list[dict[str, Any]], children: list[str]) -> None:
    names = {**PLAN.children, "again": "job-train-1"}
    there = [*jobs] if any(job["metadata"]["namespace"] == "f" for job in jobs) else [*jobs, listed("f", "done")]
    outcome = check(there, {("f", "done"): "1"}, [PLAN], [created(names[child], 1.0) for child in children])
    assert kind in outcome.wrong
    assert not outcome.good


def test_a_jobs_plan_is_its_graph() -> None:
    plan = plan_of(("ns", "tiny"))
    assert plan.children["fetch-teacher"] == "tiny-fetch-teacher-0"
    assert set(plan.first_children()) == {
        ("ns", f"tiny-{stage}-0") for stage in ("fetch-teacher", "fetch-student", "prepare-dataset")
    }
    assert "train-one" in plan.needs["train-two"]


def test_a_finished_job_has_the_status_of_another_under_its_own_name() -> None:
    stages = [{"directory": "template/fetch-teacher/d457", "message": "template-fetch-teacher-0"}]
    template = {"metadata": {"name": "template"}, "status": {"phase": "Complete", "stages": stages}}
    (stage,) = status_of(template, "done-000001")["stages"]
    assert stage["directory"] == "done-000001/fetch-teacher/d457"
    assert stage["message"] == "done-000001-fetch-teacher-0"
    assert stages[0]["directory"].startswith("template/")


def test_work_ends_when_nearly_all_processor_time_is_used() -> None:
    """However small the share of a core is that a busy machine leaves to the process."""
    slow = [(float(second), 0.1 * min(second, 50)) for second in range(100)]
    rendering = [(100.0 + second, 5.0 + 0.01 * second) for second in range(10)]
    assert 48 <= end_of_work([*slow, *rendering]) <= 50
    assert end_of_work([(1.0, 7.0), (2.0, 7.01)]) == 1.0


def test_a_pod_ends_with_its_stages_result_which_the_first_host_of_a_training_alone_gives() -> None:
    def message(stage: str, index: str) -> str:
        asked = json.dumps({"stage": stage, "fingerprint": "f1"})
        labels = {STAGE_LABEL: stage, INDEX_LABEL: index}
        pod = {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"env": [{"name": "STAGE_SPEC", "value": asked}]}]},
        }
        (container,) = end_of(pod)["containerStatuses"]
        return str(container["state"]["terminated"]["message"])

    for stage, index in (("generate", "1"), ("train-one", "0")):
        result = StageResult.model_validate_json(message(stage, index))
        assert (result.stage, result.fingerprint) == (stage, "f1")
        assert result.metrics
    assert message("train-one", "1") == ""


def test_metrics_are_read_as_prometheus_reads_them() -> None:
    text = '# HELP x y\ndistillation_jobs{phase="Complete"} 301.0\ndistillation_queue_depth 0.0\ntimes 1.7958e+09\n'
    assert parse_metrics(text) == {
        'distillation_jobs{phase="Complete"}': 301.0, "distillation_queue_depth": 0.0, "times": 1.7958e9,
    }  # fmt: skip


def test_loads_and_phases_of_the_command_line() -> None:
    asked = options.parse(["--active", "20:4,30:1.5", "--phases", "failover,coldStart", "--jobs", "5"])
    assert asked.parameters.hand_offs == (Load(20, 4), Load(30, 1.5))
    assert asked.parameters.phases == ("coldStart", "failover")
    assert (asked.parameters.jobs, asked.against_parameters.jobs) == (5, 5)
    for wrong in ("300", "0:4", "x:4", "4:-1"):
        with pytest.raises(argparse.ArgumentTypeError, match="JOBS:SECONDS"):
            Load.parse(wrong)
