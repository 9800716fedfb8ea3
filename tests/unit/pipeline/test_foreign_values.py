"""What others write (labels, annotations, termination messages, logs) is turned into facts that no decision trips over.

From Kubernetes' objects through ``observe`` and ``decide`` to the status, as the CRD will check it. The API server
vouches for the form of names, labels and times; all else is arbitrary.
"""

import json
import string
import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic.alias_generators import to_camel

from distillation_api.contract import MEASURED, Measurements
from distillation_api.schemas.crd import structural_schema
from distillation_api.status import DistillationJobStatus
from distillation_operator.manifests.bare_reading import bare_children, bare_pods
from distillation_operator.manifests.kept_fields import kept_child
from distillation_operator.manifests.node_signs import node_cause
from distillation_operator.manifests.pending_cause import cause_of_events
from distillation_operator.manifests.reading import observe, parse_outcome, parse_progress
from distillation_operator.pipeline.decision.internal_error import decide_on_error, internal_error
from distillation_operator.pipeline.decision.job import Decision, decide
from distillation_operator.pipeline.graph import build_pipeline
from distillation_operator.pipeline.observed import ChildState
from support.json_numbers import numbers
from support.scenario import ALL, START, Given, job_of, small_spec

UID = "uid-1"
LABEL = st.text(string.ascii_letters + string.digits, max_size=63)
NUMBER = st.one_of(st.integers(0, 3).map(str), st.integers().map(str), LABEL)
TEXT = st.text(max_size=80)
MESSY = st.text(st.characters(exclude_categories=()), max_size=20)
"""With halves of surrogate pairs, as escapes in JSON may bring them."""
NUMBERS = st.one_of(st.integers(), st.floats(), st.integers(2**62, 2**70), st.just(1e-300))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, MESSY),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(MESSY, inner, max_size=3)),
    max_leaves=6,
)
WHEN = st.sampled_from(["2026-11-25T11:59:00Z", "2026-11-25T12:00:00Z", "1970-01-01T00:00:00Z"])
RESULT = st.fixed_dictionaries(
    {"type": st.just("result"), "stage": MESSY, "fingerprint": st.one_of(MESSY, st.just("0" * 16))},
    optional={
        "outputs": st.dictionaries(MESSY, MESSY, max_size=3),
        "counts": st.dictionaries(MESSY, NUMBERS, max_size=3),
        "metrics": st.dictionaries(MESSY, NUMBERS, max_size=3),
    },
)
FAILURE = st.fixed_dictionaries(
    {
        "type": st.just("failure"),
        "stage": MESSY,
        "reason": st.one_of(MESSY, st.just("MissingColumn")),
        "message": MESSY,
        "permanent": st.booleans(),
    }
)
PROGRESS = st.fixed_dictionaries(
    {
        "type": st.just("progress"),
        "stage": MESSY,
        "done": NUMBERS,
        "total": NUMBERS,
        "unit": st.sampled_from(["rows", "x"]),
    },
    optional={"rate": NUMBERS, "metrics": st.dictionaries(MESSY, NUMBERS, max_size=2)},
)
SAID = st.one_of(TEXT, st.one_of(RESULT, FAILURE, JSON).map(json.dumps))
"""A termination message."""
CONDITIONS = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["Complete", "Completed", "Failed", "Suspended", "FailureTarget", "Other"]),
            "status": st.sampled_from(["True", "False", "Unknown"]),
            "lastTransitionTime": WHEN,
        },
        optional={"reason": TEXT, "message": TEXT},
    ),
    max_size=2,
)
STAGES = st.sampled_from(ALL)
POD_CONDITION = st.sampled_from(["PodScheduled", "Ready", "Other"])
CRASHED = st.fixed_dictionaries({"exitCode": st.sampled_from([0, 1])}, optional={"reason": TEXT, "message": TEXT})
BESIDE: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.fixed_dictionaries(
        {
            "name": LABEL,
            "state": st.one_of(
                st.just({}),
                st.just({"running": {}}),
                CRASHED.map(lambda ended: {"terminated": ended}),
                TEXT.map(lambda text: {"waiting": {"reason": "CrashLoopBackOff", "message": text}}),
            ),
            "lastState": CRASHED.map(lambda ended: {"terminated": ended}),
        }
    ),
    max_size=2,
)
"""Containers beside the program."""
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "metadata": st.just({"creationTimestamp": "2026-11-25T12:00:00Z"}),
            "type": st.sampled_from(["Warning", "Normal", ""]),
            "reason": st.one_of(TEXT, st.sampled_from(["FailedMount", "FailedScaleUp", "Pulling"])),
            "message": MESSY,
        }
    ),
    max_size=3,
)


@st.composite
def children(draw: st.DrawFn) -> dict[str, Any]:
    """A Job or JobSet with our labels; of any owner, with any name, attempt and condition."""
    stage, attempt = draw(STAGES), draw(NUMBER)
    return {
        "kind": draw(st.sampled_from(["Job", "JobSet"])),
        "metadata": {
            "name": draw(st.one_of(st.just(f"job-{stage}-{attempt}"), st.just(f"job-{stage}-0"), LABEL)),
            "uid": draw(LABEL),
            "labels": {"distillation.dev/stage": stage, "distillation.dev/attempt": attempt},
            "annotations": draw(st.dictionaries(TEXT, TEXT, max_size=2)),
            "ownerReferences": draw(st.sampled_from([[], [{"uid": UID, "controller": True}], [{"uid": "other"}]])),
            "creationTimestamp": draw(WHEN),
        },
        "spec": {"suspend": draw(st.booleans())},
        "status": {"conditions": draw(CONDITIONS)},
    }


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    """A pod that says it is of one of our children, at any point of its life."""
    ended = {
        "exitCode": draw(st.sampled_from([0, 1, 65, 78, 75, 137, 143])),
        "message": draw(SAID),
        "finishedAt": draw(WHEN),
        **draw(st.fixed_dictionaries({}, optional={"reason": TEXT})),
    }
    waiting = {"reason": draw(st.one_of(TEXT, st.just("ImagePullBackOff"))), "message": draw(TEXT)}
    state = draw(st.sampled_from([{}, {"running": {}}, {"terminated": ended}, {"waiting": waiting}]))
    return {
        "metadata": {
            "name": draw(LABEL),
            "labels": {
                "distillation.dev/child": f"job-{draw(STAGES)}-0",
                "batch.kubernetes.io/job-completion-index": draw(NUMBER),
                "jobset.sigs.k8s.io/job-index": draw(NUMBER),
            },
            "annotations": {"batch.kubernetes.io/job-index-failure-count": draw(NUMBER)},
        },
        "spec": {"nodeName": "node"},
        "status": {
            "phase": draw(st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown"])),
            "initContainerStatuses": draw(BESIDE),
            "containerStatuses": [{"name": "stage", "state": state}, *draw(BESIDE)],
            "conditions": [
                {"type": draw(POD_CONDITION), "status": "False", "reason": draw(TEXT), "message": draw(TEXT)}
            ],
            **draw(st.fixed_dictionaries({}, optional={"message": TEXT, "reason": TEXT, "startTime": WHEN})),
        },
    }


@st.composite
def nodes(draw: st.DrawFn) -> Any:
    """A Node, of which only the form is the API server's."""
    condition = st.sampled_from(["SliceErrorDetected", "MegascaleHangDetected", "Ready"])
    labels = {"cloud.google.com/scheduled-maintenance-time": TEXT, "cloud.google.com/active-node-maintenance": TEXT}
    return {
        "metadata": {"name": "node", "labels": draw(st.fixed_dictionaries({}, optional=labels))},
        "status": {"conditions": [{"type": draw(condition), "status": "True", "message": draw(TEXT)}]},
    }


@pytest.fixture(scope="module")
def validator() -> Any:
    return jsonschema.Draft202012Validator(structural_schema(DistillationJobStatus))


def check(decision: Decision, validator: Any) -> DistillationJobStatus:
    """The status, which the API server takes."""
    written = decision.status.to_json_dict()
    json.dumps(written, ensure_ascii=False).encode()
    assert [error.message for error in validator.iter_errors(written)] == []
    assert all(-(2**63) <= number < 2**63 for number in numbers(written))
    return DistillationJobStatus.model_validate(written)


@settings(deadline=None)
@given(
    made=st.lists(children(), max_size=4),
    running=st.lists(pods(), max_size=4),
    logs=st.lists(st.one_of(TEXT, PROGRESS.map(json.dumps)), max_size=2),
    events=EVENTS,
    node=nodes(),
    retry=TEXT,
    suspend=st.booleans(),
)
def test_whatever_others_write_there_is_a_decision_and_a_status_that_is_taken(
    made: list[Any],
    running: list[Any],
    logs: list[str],
    events: list[Any],
    node: Any,
    retry: str,
    suspend: bool,
    validator: Any,
) -> None:
    annotations = {"distillation.dev/retry": retry}
    job = job_of(small_spec(suspend=suspend), annotations=annotations)
    lines = {pod["metadata"]["name"]: parse_progress(log) for pod, log in zip(running, logs, strict=False)}
    progress = {name: line for name, line in lines.items() if line is not None}
    causes = {pod["metadata"]["name"]: cause_of_events(pod, events) for pod in running}
    told = {name: cause for name, cause in causes.items() if cause is not None}
    sign = node_cause(node)
    signs = {"node": sign} if sign is not None else {}
    for _ in range(3):
        # Again on what came of it: a status is read back.
        seen = observe(UID, made, [], running, progress, {}, {}, fresh=True, pod_events=told, node_signs=signs)
        job = job.model_copy(update={"status": check(decide(job, seen, START), validator)})


@settings(deadline=None)
@given(
    made=st.lists(children(), max_size=4),
    running=st.lists(pods(), max_size=4),
    budget=st.sampled_from([None, {}, {"maxChipHours": 1e-6}, {"maxChipHours": 10}]),
    suspend=st.booleans(),
    phase=st.sampled_from([None, "Running", "Complete", "Failed"]),
)
def test_where_no_decision_is_possible_there_is_one_that_stops_and_a_status_that_is_taken(
    made: list[Any], running: list[Any], budget: Any, suspend: bool, phase: Any, validator: Any
) -> None:
    before = DistillationJobStatus(phase=phase)
    error = internal_error("OverflowError", "0" * 8)
    for _ in range(3):
        seen = bare_children(UID, made), bare_pods(running)
        decision = decide_on_error({"suspend": suspend, "budget": budget}, 1, before, *seen, error, START)
        before = check(decision, validator)
    live = {child.name for child in bare_children(UID, made) if child.state is ChildState.ACTIVE}
    assert set(decision.delete) == (live if suspend or phase in ("Complete", "Failed") else set())


@settings(deadline=None)
@given(made=st.lists(children(), max_size=4), running=st.lists(pods(), max_size=4))
def test_what_is_remembered_is_all_that_decisions_read(made: list[Any], running: list[Any]) -> None:
    kept = [kept_child(child["kind"], child) for child in made], [kept_child("Pod", pod) for pod in running]
    assert observe(UID, kept[0], [], kept[1], {}, {}, {}) == observe(UID, made, [], running, {}, {}, {})
    assert bare_children(UID, kept[0]) == bare_children(UID, made)
    assert bare_pods(kept[1]) == bare_pods(running)


MEASURED_NAMES = [f"{MEASURED}{to_camel(name)}" for name in Measurements.model_fields]
COUNT_NAMES = ["read", "kept", "duplicates", "train", "holdout", "rowsRead", "sequences", "steps", "compileCacheHits"]
COUNTS = st.dictionaries(st.sampled_from(COUNT_NAMES), st.integers(-(2**53), 2**53))
METRICS = st.dictionaries(st.sampled_from([*MEASURED_NAMES, "tokensPerSecond"]), st.floats())
SAYS = st.fixed_dictionaries({"counts": COUNTS, "metrics": METRICS, "seconds": st.floats()})
PREVIEWED: dict[str, Any] = {"preview": {"then": "Stop"}, "training": {"stages": [{"name": "one", "epochs": 3}]}}
OF_PREVIEW = [
    name for name, stage in build_pipeline(job_of(small_spec(**PREVIEWED)).spec).items() if stage.is_of_preview
]


@settings(deadline=None, max_examples=50)
@given(said=st.fixed_dictionaries({name: SAYS for name in ("prepare-dataset", *OF_PREVIEW)}))
def test_whatever_the_pods_of_a_preview_say_there_is_a_status_that_is_taken(
    said: dict[str, dict[str, Any]], validator: Any
) -> None:
    given = Given(**PREVIEWED).done("fetch-teacher", "fetch-student", "convert-student", "preflight")
    for name, members in said.items():
        given.completed(name, ago=0, **members)
        status = check(given.decide().decision, validator)
    assert status.preview is not None


def test_a_pod_whose_child_is_gone_may_still_write() -> None:
    """Of a DistillationJob of the same name that was deleted, say: its labels tell, and it decides nothing else."""
    running = {"name": "stage", "state": {"running": {}}}
    labels = {"distillation.dev/child": "job-fetch-teacher-0"}
    pod = {"metadata": {"name": "p", "labels": labels}, "status": {"phase": "Running", "containerStatuses": [running]}}
    seen = decide(job_of(small_spec()), observe(UID, [], [], [], {}, {}, {}, fresh=True, strangers=[pod]), START)
    stage = next(stage for stage in seen.status.stages if stage.name == "fetch-teacher")
    assert stage.reason == "PredecessorRuns"
    assert sorted(creation.stage.name for creation in seen.create) == ["fetch-student", "prepare-dataset"]
    assert seen.requeue_after is not None, "no watch tells of its end"


@pytest.mark.parametrize("attempt", ["1", "2000000", "99999999999", "9" * 63])
@pytest.mark.parametrize("owners", [[], [{"uid": "other", "controller": True}]])
def test_the_labels_of_an_object_that_is_not_ours_decide_nothing(attempt: str, owners: list[Any]) -> None:
    """One such label on one suspended Job of any tenant stopped the operator of the whole cluster."""
    foreign = {
        "kind": "Job",
        "metadata": {
            "name": f"job-fetch-teacher-{attempt}",
            "labels": {"distillation.dev/stage": "fetch-teacher", "distillation.dev/attempt": attempt},
            "ownerReferences": owners,
        },
        "spec": {"suspend": True},
    }
    started = time.monotonic()
    with_it = decide(job_of(small_spec()), observe(UID, [foreign], [], [], {}, {}, {}, fresh=True), START)
    assert time.monotonic() - started < 1
    assert with_it == decide(job_of(small_spec()), observe(UID, [], [], [], {}, {}, {}, fresh=True), START)


@pytest.mark.parametrize("name", ["job-fetch-teacher-99999999999", "job-fetch-teacher-0", "else"])
def test_a_child_whose_labels_were_edited_is_not_taken_for_an_attempt(name: str) -> None:
    edited = {
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": {"distillation.dev/stage": "fetch-teacher", "distillation.dev/attempt": "99999999"},
            "ownerReferences": [{"uid": UID}],
        },
        "spec": {},
    }
    seen = decide(job_of(small_spec()), observe(UID, [edited], [], [], {}, {}, {}, fresh=True), START)
    stage = next(stage for stage in seen.status.stages if stage.name == "fetch-teacher")
    assert stage.attempt == 0
    assert (stage.reason == "NameTaken") is (name == "job-fetch-teacher-0")


@pytest.mark.parametrize(
    "message",
    [
        '{"type": "failure", "stage": "s", "reason": "\\ud800", "message": "m", "permanent": true}',
        '{"type": "failure", "stage": "s", "reason": "not a name", "message": "m", "permanent": true}',
        '{"type": "result", "stage": "s", "fingerprint": "f", "counts": {"kept": 9223372036854775808}}',
        "[" * 100_000,
    ],
)
def test_a_termination_message_that_no_program_of_ours_writes_is_none(message: str) -> None:
    assert parse_outcome(message) is None


def test_half_a_character_in_a_verdict_does_not_hide_it() -> None:
    told = parse_outcome('{"type": "failure", "stage": "s", "reason": "Odd", "message": "\\ud83d!", "permanent": true}')
    assert told is not None and not isinstance(told, str)
    assert told.model_dump()["message"] == "?!"
