"""The whole path, from what anybody may write in a namespace to the status that the API server takes.

The real reconciler, cache and log reader, before a stand-in for the API server that checks each status against the CRD.
Whatever bytes, JSON, numbers, labels and owner references come: there is a decision, and the status is taken.
"""

import asyncio
import json
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from distillation_operator.controller.kube import Kube
from distillation_operator.manifests.labels import FINGERPRINT_ANNOTATION
from distillation_operator.pipeline.graph import build_pipeline
from support.api_server import Server
from support.controller import Controller
from support.json_numbers import numbers
from support.scenario import job_of, small_spec
from support.virtual_time import run

CHECKOUT = Path(__file__).parents[3]
CRD = yaml.safe_load((CHECKOUT / "crds" / "distillationjobs.yaml").read_text())
STATUS = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
ONLINE = yaml.safe_load((CHECKOUT / "examples" / "mixed-sft-then-logits.yaml").read_text())["spec"]
SPECS: tuple[dict[str, Any], ...] = (
    {},
    {"budget": {"maxChipHours": 5}},
    {**ONLINE, "retries": {"failures": 1, "disruptions": 1}},
)

# What the API server vouches for: texts are UTF-8, labels and times have their form. All else is whatever it is.
LABEL = st.text(string.ascii_letters + string.digits, max_size=63)
NUMBER = st.one_of(st.integers(0, 3).map(str), st.integers().map(str), st.just("9" * 63), LABEL)
TEXT = st.text(max_size=60)
LONG = st.sampled_from(["x" * 5000, "\u00e9" * 3000, "\x1b[2J\x00" * 400, "\U0001f600" * 2000])
MESSY = st.text(st.characters(exclude_categories=()), max_size=20)
"""With halves of surrogate pairs, as escapes in JSON may bring them."""
NUMBERS = st.one_of(
    st.integers(-1, 3), st.integers(), st.floats(), st.sampled_from([2**53, 2**63, 10**400, 1e-300, 5e-324, 1e308])
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, MESSY),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(MESSY, inner, max_size=3)),
    max_leaves=5,
)
WHEN = st.sampled_from(
    ["2026-11-25T11:59:00Z", "2026-11-25T12:00:00.123456Z", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z",
     "9999-12-31T23:59:59Z"]
)  # fmt: skip
COUNTS = ("train", "holdout", "answers", "steps", "withTools")
METRICS = (
    "loss", "crossEntropyBefore", "klAfter", "degenerateAfter", "repetitionAfter", "repetitionTeacher",
    "answerTokensAfter", "answerTokensTeacher",
)  # fmt: skip


def members(names: tuple[str, ...], values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A map with names that somebody reads, or any."""
    return st.dictionaries(st.one_of(st.sampled_from(names), MESSY), values, max_size=5)


RESULT = st.fixed_dictionaries(
    {"type": st.just("result"), "stage": MESSY},
    optional={
        "outputs": members(("model", "report", "checkpoint"), st.one_of(MESSY, LONG)),
        "counts": members(COUNTS, st.integers(-(2**53), 2**53)),
        "metrics": members(METRICS, st.floats()),
        "settings": members(("model_name",), st.one_of(MESSY, LONG, st.booleans(), st.floats(), st.integers())),
        "reused": st.booleans(),
        "seconds": st.floats(),
    },
)
"""A result but for its fingerprint, in a form that is believed."""
FAILURE = st.fixed_dictionaries(
    {
        "type": st.just("failure"),
        "stage": MESSY,
        "reason": st.sampled_from(["MissingColumn", "AcceleratorBusy", "WaitsForOtherJob", "X" * 128]) | MESSY,
        "message": st.one_of(MESSY, LONG),
        "permanent": st.booleans(),
    }
)
PROGRESS = st.fixed_dictionaries(
    {
        "type": st.just("progress"),
        "stage": MESSY,
        "done": NUMBERS,
        "total": NUMBERS,
        "unit": st.sampled_from(["rows", "steps", "bytes", "x"]),
    },
    optional={"rate": NUMBERS, "metrics": members(METRICS, NUMBERS)},
)
SAID = st.one_of(TEXT, LONG, st.one_of(RESULT, FAILURE, JSON).map(json.dumps))
"""A termination message."""
LOG = st.lists(st.one_of(st.binary(max_size=40), PROGRESS.map(json.dumps).map(str.encode)), max_size=3).map(b"\n".join)
CONDITION = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["Complete", "Completed", "Failed", "Suspended", "FailureTarget", "Other"]),
        "status": st.sampled_from(["True", "False", "Unknown"]),
    },
    optional={
        "reason": st.one_of(TEXT, st.just("PodFailurePolicy")),
        "message": st.one_of(TEXT, LONG, st.just("has condition DisruptionTarget matching FailJob rule")),
        "lastTransitionTime": WHEN,
    },
)


FORMATS = jsonschema.FormatChecker(formats=())


def is_time(value: object) -> bool:
    """A time as the API server takes it."""
    return isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value) is not None


FORMATS.checks("date-time")(is_time)


class StrictServer(Server):
    """Takes only a status that the CRD takes, and has logs of any bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: dict[str, bytes] = {}
        self.refused: list[str] = []
        self.count = lambda verb, resource, code: None
        self._core: Any = self
        schema = jsonschema.Draft202012Validator(STATUS, format_checker=FORMATS)

        def is_unreadable(status: Any) -> bool:
            json.dumps(status, ensure_ascii=False, allow_nan=False).encode()
            self.refused += [error.message for error in schema.iter_errors(status)]
            self.refused += [f"{number} is no int64" for number in numbers(status) if not -(2**63) <= number < 2**63]
            return bool(self.refused)

        self.unreadable_status = is_unreadable

    # The real reader of logs, on a client that brings bytes.
    read_log_tail = Kube.read_log_tail

    async def read_namespaced_pod_log_without_preload_content(self, pod: str, *args: Any, **kwargs: Any) -> Any:
        return Response(self.bytes.get(pod, b""))


class Response:
    """A response that the client has not read."""

    status = 200

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        return self._body


class Adversary:
    """Everybody else who writes in the job's namespace: Kubernetes' controllers, programs, and who means no good."""

    def __init__(self, controller: Controller, server: StrictServer, draw: Callable[..., Any]) -> None:
        self.key, self.server, self.draw = controller.key, server, draw
        self.made = 0

    def act(self) -> None:
        """Something with each child and pod, and some more of both."""
        draw = self.draw
        kind = draw(st.sampled_from(["go on", "go on", "go on", "anything"]))
        for child in self.server.children(self.key):
            if kind == "go on":
                self.completes(child)
            elif draw(st.booleans()):
                self.changes(child)
        for _ in range(draw(st.integers(0, 2))):
            self.adds_a_child()
        for _ in range(draw(st.integers(0, 2))):
            self.adds_a_pod(draw(st.sampled_from([*self.server.children(self.key), None])))
        if draw(st.integers(0, 3)) == 0:
            self.annotates()

    def completes(self, child: dict[str, Any]) -> None:
        """As a child that does what it was asked, with a result that says anything."""
        asked = child["metadata"].get("annotations", {}).get(FINGERPRINT_ANNOTATION)
        completions = child["spec"].get("completions")
        for index in range(completions if isinstance(completions, int) else 1):
            said = {**self.draw(RESULT), "fingerprint": asked}
            owner = self.job_of_jobset(child) if child["kind"] == "JobSet" else child
            self.pod_of(owner, index, {"exitCode": 0, "message": json.dumps(said), "finishedAt": self.draw(WHEN)})
        condition = {"type": "Completed" if child["kind"] == "JobSet" else "Complete", "status": "True"}
        self.replaces(child, status={"conditions": [{**condition, "lastTransitionTime": self.draw(WHEN)}]})

    def changes(self, child: dict[str, Any]) -> None:
        """As who may edit a child, its labels and owners among it."""
        draw, metadata = self.draw, dict(child["metadata"])
        metadata["labels"] = {**metadata["labels"], **draw(labels())}
        if draw(st.booleans()):
            metadata["annotations"] = draw(st.dictionaries(st.just(FINGERPRINT_ANNOTATION) | LABEL, TEXT | LONG))
        if draw(st.booleans()):
            metadata["ownerReferences"] = self.owners()
        if draw(st.integers(0, 4)) == 0:
            metadata["deletionTimestamp"] = draw(WHEN)
        spec = {**child["spec"], "suspend": draw(st.booleans())}
        status = {"conditions": draw(st.lists(CONDITION, max_size=3))}
        self.replaces(child, metadata=metadata, spec=spec, status=status)

    def adds_a_child(self) -> None:
        """A Job or JobSet with our labels."""
        draw = self.draw
        known = [child["metadata"]["labels"]["distillation.dev/stage"] for child in self.server.children(self.key)]
        said = {**self.common(), **draw(labels(tuple(known)))}
        name = f"job-{said['distillation.dev/stage'].lower()}-{said['distillation.dev/attempt'].lower()}"
        if ("Job", "ml", name) in self.server.objects:
            return
        metadata = {"name": name, "namespace": "ml", "labels": said, "ownerReferences": self.owners()}
        metadata["creationTimestamp"] = draw(WHEN)
        status = {"conditions": draw(st.lists(CONDITION, max_size=3))}
        kind = draw(st.sampled_from(["Job", "JobSet"]))
        self.server.add(kind, {"metadata": metadata, "spec": {"suspend": draw(st.booleans())}, "status": status})

    def adds_a_pod(self, child: dict[str, Any] | None) -> None:
        """A pod at any point of its life, that says it is of a child."""
        draw = self.draw
        ended = {
            "exitCode": draw(st.sampled_from([0, 1, 65, 78, 75, 137, 143, 2**31 - 1])),
            "message": draw(SAID),
            "finishedAt": draw(WHEN),
            **draw(st.fixed_dictionaries({}, optional={"reason": TEXT})),
        }
        waiting = {"reason": draw(st.one_of(TEXT, st.just("ImagePullBackOff"))), "message": draw(TEXT | LONG)}
        states = [{}, {"running": {}}, {"running": {}}, {"terminated": ended}, {"waiting": waiting}]
        state = draw(st.sampled_from(states))
        condition = {
            "type": draw(st.sampled_from(["PodScheduled", "DisruptionTarget"])),
            "status": draw(st.sampled_from(["True", "False"])),
            "reason": draw(TEXT),
            "message": draw(TEXT | LONG),
        }
        status = {
            "phase": draw(st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown"])),
            "containerStatuses": [{"name": "stage", "state": state}],
            "conditions": [condition],
            **draw(st.fixed_dictionaries({}, optional={"message": TEXT, "reason": TEXT, "startTime": WHEN})),
        }
        container = {"name": "stage", "resources": {"limits": {"google.com/tpu": draw(NUMBER)}}}
        self.made += 1
        name = f"pod-{self.made}"
        of = child["metadata"]["labels"] if child is not None else {}
        metadata = {
            "name": name,
            "namespace": "ml",
            "labels": {**self.common(), **of, **draw(labels())},
            "annotations": {
                "batch.kubernetes.io/job-index-failure-count": draw(NUMBER),
                "batch.kubernetes.io/job-index-ignored-failure-count": draw(NUMBER),
            },
            "ownerReferences": self.owners(child),
        }
        spec = {"nodeName": "n", "containers": [container]}
        self.server.add("Pod", {"metadata": metadata, "spec": spec, "status": status})
        self.server.bytes[name] = draw(LOG)

    def annotates(self) -> None:
        """As the user, who asks for a retry, suspends or resumes."""
        draw, job = self.draw, self.server.jobs[self.key]
        failed = [stage["name"] for stage in (job.get("status") or {}).get("stages", []) if stage["state"] == "Failed"]
        nonce = st.sampled_from([f"{name}/{draw(LABEL)}" for name in failed] or ["train-one/1"])
        annotations = {"distillation.dev/retry": draw(st.one_of(TEXT, LONG, nonce))}
        metadata = {**job["metadata"], "annotations": annotations, "generation": job["metadata"]["generation"] + 1}
        spec = {**job["spec"], "suspend": draw(st.booleans())}
        self.server.jobs[self.key] = self.server._stamped({**job, "metadata": metadata, "spec": spec})

    def common(self) -> dict[str, str]:
        """The labels by which the operator finds what is its own."""
        return {"distillation.dev/job": "job", "distillation.dev/child": "job-fetch-teacher-0"} | {
            "distillation.dev/stage": "fetch-teacher", "distillation.dev/attempt": "0"
        }  # fmt: skip

    def owners(self, child: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Owner references, which nobody checks."""
        uids = ["other", "", self.server.jobs[self.key]["metadata"]["uid"]]
        uids += [made["metadata"]["uid"] for made in self.server.children(self.key)][:3]
        if child is not None:
            uids += [child["metadata"]["uid"]] * 8
        owner = st.fixed_dictionaries(
            {"uid": st.sampled_from(uids)}, optional={"controller": st.booleans(), "kind": LABEL, "name": LABEL}
        )
        return list(self.draw(st.lists(owner, max_size=2)))

    def job_of_jobset(self, jobset: dict[str, Any]) -> dict[str, Any]:
        metadata = jobset["metadata"]
        made = {
            "name": f"{metadata['name']}-slice-0",
            "namespace": "ml",
            "labels": {**metadata["labels"], "jobset.sigs.k8s.io/jobset-name": metadata["name"]},
            "ownerReferences": [{"uid": metadata["uid"], "controller": True}],
        }
        return self.server.add("Job", {"metadata": made, "spec": {}, "status": {}})

    def pod_of(self, job: dict[str, Any], index: int, terminated: dict[str, Any]) -> None:
        state = {"terminated": terminated}
        self.server.add_pod(job, index, phase="Succeeded", containerStatuses=[{"name": "stage", "state": state}])

    def replaces(self, child: dict[str, Any], **members: Any) -> None:
        """The child as somebody has written it."""
        changed = {**child, **members}
        metadata = changed["metadata"]
        self.server.objects[child["kind"], "ml", metadata["name"]] = self.server._stamped(changed)


@st.composite
def labels(draw: st.DrawFn, stages: tuple[str, ...] = ()) -> dict[str, str]:
    """Labels that decisions read, with any value."""
    stage = st.sampled_from(("fetch-teacher", "generate", "train-one", "evaluate", *stages)) | LABEL
    return draw(
        st.fixed_dictionaries(
            {},
            optional={
                "distillation.dev/stage": stage,
                "distillation.dev/attempt": NUMBER,
                "batch.kubernetes.io/job-completion-index": NUMBER,
                "jobset.sigs.k8s.io/job-index": NUMBER,
                "kueue.x-k8s.io/queue-name": LABEL,
            },
        )
    )


def told_of_an_error(status: dict[str, Any]) -> list[str]:
    """What a status tells of decisions that failed."""
    reasons = ("InternalError", "StatusUnreadable", "InvalidSpec")
    return [c["message"] for c in status.get("conditions", []) if c["reason"] in reasons]


def until(controller: Controller, spec: dict[str, Any], stage: str) -> None:
    """The job has come to that stage."""
    pipeline = build_pipeline(job_of(spec).spec)
    names = [*pipeline][: [*pipeline].index(stage)]
    done = [
        {"name": n, "state": "Complete", "fingerprint": pipeline[n].fingerprint, "directory": pipeline[n].output}
        for n in names
    ]
    controller.server.jobs[controller.key]["status"] = {"phase": "Running", "stages": done}


@pytest.mark.parametrize("stage", ["fetch-teacher", "generate", "train-{}", "evaluate"])
@settings(max_examples=12, deadline=None, database=None, phases=[Phase.generate])
@given(st.data(), st.sampled_from(SPECS))
def test_whatever_comes_there_is_a_decision_and_a_status_that_is_taken(
    stage: str, data: st.DataObject, members: Any
) -> None:
    async def scenario() -> None:
        server = StrictServer()
        controller = Controller(server=server, **members)
        spec = small_spec(**members)
        until(controller, spec, stage.format(spec["training"]["stages"][0]["name"]))
        adversary = Adversary(controller, server, data.draw)
        for number in range(data.draw(st.integers(1, 8), label="rounds")):
            await controller.step()
            # Later on the job may wait before it tries again, with no child in between.
            assert number or server.children(controller.key)
            # Logs are read meanwhile, and a watch has missed something.
            await asyncio.sleep(5)
            adversary.act()
            controller.reconciler.request_fresh_lists(controller.key)
        await controller.step()
        assert server.refused == []
        assert told_of_an_error(controller.status) == []

    run(scenario())
