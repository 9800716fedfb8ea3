"""What one installation allows jobs to name, rule by rule, and what a job that names something else is told."""

from typing import Any

import pytest
from pydantic import ValidationError

from cluster.wrong_manifests import changed, put
from distillation_api.resource import DistillationJob
from distillation_operator.manifests.allowed import Allowed, refusals
from distillation_operator.manifests.settings import Installation

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def job(changes: dict[str, object]) -> DistillationJob:
    """The good manifest of the API's tests with members changed, in namespace ml."""
    made = [put(f"spec.{path}", value) for path, value in changes.items()]
    return DistillationJob.parse(changed(put("metadata.namespace", "ml"), put("metadata.uid", "1"), *made))


CASES: list[tuple[str, Any, dict[str, object], dict[str, object], str]] = [
    ("serviceAccounts", ["distill", "train-*"], {"pod.serviceAccountName": "train-a"},
     {"pod.serviceAccountName": "admin"}, "pod.serviceAccountName: Forbidden: 'admin'"),
    ("serviceAccounts", ["distill"], {"pod.serviceAccountName": "distill"},
     {}, "pod.serviceAccountName: Forbidden: 'default'"),
    ("priorityClasses", ["low"], {}, {"pod.priorityClassName": "system-cluster-critical"},
     "pod.priorityClassName: Forbidden: 'system-cluster-critical'"),
    ("imagePullSecrets", ["registry"], {"pod.imagePullSecrets": ["registry"]},
     {"pod.imagePullSecrets": ["registry", "other"]}, "pod.imagePullSecrets[1]: Forbidden: 'other'"),
    ("secrets", ["hf-*"], {}, {"huggingFaceToken": {"secretName": "db-password", "key": "p"}},
     "huggingFaceToken.secretName: Forbidden: 'db-password'"),
    ("buckets", ["distill-{namespace}"], {"storage": {"gcs": {"bucket": "distill-ml"}}},
     {"storage": {"gcs": {"bucket": "distill-research"}}}, "storage.gcs.bucket: Forbidden: 'distill-research'"),
    ("claims", [], {}, {"storage": {"persistentVolumeClaim": {"claimName": "c"}}},
     "storage.persistentVolumeClaim.claimName: Forbidden: 'c'"),
    ("sourceUris", ["gs://bucket", "gs://public/models"],
     {"teacher.source": {"gcs": {"uri": "gs://public/models/a"}}},
     {"teacher.source": {"gcs": {"uri": "gs://public/models-of-others/a"}}},
     "teacher.source.gcs.uri: Forbidden: 'gs://public/models-of-others/a'"),
    ("exportUris", ["gs://out/{namespace}/"], {"export": {"to": {"gcs": {"uri": "gs://out/ml/student"}}}},
     {"export": {"to": {"gcs": {"uri": "gs://out/mlx"}}}}, "export.to.gcs.uri: Forbidden: 'gs://out/mlx'"),
    ("reservations", ["ours"], {}, {"training.accelerator.provisioning": "Reservation",
     "training.accelerator.reservationName": "theirs"},
     "training.accelerator.reservationName: Forbidden: 'theirs'"),
    ("secrets", ["hf-*"], {}, {"pod.env": [{"name": "A", "value": "a"}, {"name": "B", "secret": {"secretName": "db",
     "key": "p"}}]}, "pod.env[1].secret.secretName: Forbidden: 'db'"),
    ("nodeSelectors", ["pool=a-*"], {"pod.nodeSelector": {"pool": "a-1"}}, {"pod.nodeSelector": {"pool": "b"}},
     "pod.nodeSelector: Forbidden: 'pool=b'"),
    ("nodeSelectors", ["pool=a"], {"training.accelerator.nodeSelector": {"pool": "a"}},
     {"training.accelerator.nodeSelector": {"zone": "a"}}, "training.accelerator.nodeSelector: Forbidden: 'zone=a'"),
    ("tolerations", ["team"], {"pod.tolerations": [{"key": "team", "operator": "Exists"}]}, {"pod.tolerations": [{"key":
     "team", "operator": "Exists"}, {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]},
     "pod.tolerations[1]: Forbidden: 'node-role.kubernetes.io/control-plane'"),
    ("env", ["*_PROXY", "HF_ENDPOINT"], {"pod.env": [{"name": "HTTPS_PROXY", "value": "http://proxy"}]},
     {"pod.env": [{"name": "XLA_FLAGS", "value": "--xla_dump_to=/storage"}]}, "pod.env[0]: Forbidden: 'XLA_FLAGS'"),
    ("labels", ["team=ml-*"], {"pod.labels": {"team": "ml-a"}}, {"pod.labels": {"app": "billing"}},
     "pod.labels: Forbidden: 'app=billing'"),
    ("annotations", ["example.com/*"], {"pod.annotations": {"example.com/owner": "ml"}},
     {"pod.annotations": {"sidecar.istio.io/inject": "false"}},
     "pod.annotations: Forbidden: 'sidecar.istio.io/inject'"),
    ("queues", ["queue"], {}, {"queue": {"name": "fast-lane"}}, "queue.name: Forbidden: 'fast-lane'"),
    ("queues", ["queue"], {}, {"generation.accelerator": None, "training.accelerator": None,
     "training.stages[0].parallelism": None, "queue": {"name": "fast-lane", "cpuStages": True}},
     "queue.name: Forbidden: 'fast-lane'"),
    ("workloadPriorityClasses", ["batch-*"], {"queue": {"name": "queue", "priorityClass": "batch-low"}},
     {"queue": {"name": "queue", "priorityClass": "urgent"}}, "queue.priorityClass: Forbidden: 'urgent'"),
    ("queues", ["queue"], {}, {"queue": None}, "queue.name: Forbidden: this installation asks for one"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "value", "good", "bad", "told"), CASES, ids=[f"{c[0]}-{c[4][:30]}" for c in CASES])
def test_a_rule_allows_what_it_names_and_refuses_the_rest_by_field_and_value(
    rule: str, value: Any, good: dict[str, object], bad: dict[str, object], told: str
) -> None:
    allowed = Allowed.model_validate({rule: value})
    assert refusals(job(good), allowed) == []
    [message] = refusals(job(bad), allowed)
    assert message.startswith(f"spec.{told}")
    assert message.endswith(f"(the chart's value allowed.{rule})")
    assert refusals(job(bad), Allowed()) == []


@pytest.mark.parametrize("name", ["HF_ENDPOINT", "SSL_CERT_FILE"])
def test_the_token_is_sent_elsewhere_only_where_the_installation_says_so(name: str) -> None:
    """Else whoever may make jobs could read every Secret of the namespace."""
    elsewhere = {"pod.env": [{"name": name, "value": "https://evil.example"}]}
    token = {"huggingFaceToken": {"secretName": "db", "key": "password"}}
    [message] = refusals(job({**elsewhere, **token}), Allowed())
    assert message.startswith(f"spec.pod.env[0]: Forbidden: '{name}' beside huggingFaceToken")
    assert refusals(job({**elsewhere, **token}), Allowed(env=[name])) == []
    assert refusals(job({**elsewhere, "huggingFaceToken": None}), Allowed()) == []


def test_a_refusal_says_what_would_be_right() -> None:
    allowed = Allowed(buckets=["distill-{namespace}", "scratch-*"])
    [message] = refusals(job({"storage": {"gcs": {"bucket": "other"}}}), allowed)
    assert message == (
        "spec.storage.gcs.bucket: Forbidden: 'other' is not among what this installation allows: distill-ml, scratch-* "
        "(the chart's value allowed.buckets)"
    )


def test_of_many_names_some_are_shown() -> None:
    [message] = refusals(job({}), Allowed(buckets=[f"b{number}" for number in range(200)]))
    assert "b0, b1, b2, b3, b4 and 195 more" in message and len(message) < 250


def test_an_empty_list_allows_nothing() -> None:
    [message] = refusals(job({}), Allowed(secrets=[]))
    assert "this installation allows: nothing" in message


def test_a_job_without_an_accelerator_needs_no_queue() -> None:
    cpu = {"generation": {"shards": 1}, "training": {"stages": [{"name": "one", "steps": 1}]}, "queue": None}
    assert refusals(job(cpu), Allowed(queues=["queue"])) == []


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:-1], COMMIT.upper(), f"{COMMIT}\n"])
def test_a_revision_that_can_be_moved_is_refused_where_commits_are_asked_for(revision: str) -> None:
    source = {"huggingFace": {"repo": "org/teacher", "revision": revision}}
    [message] = refusals(job({"teacher.source": source}), Allowed(require_commit=True))
    assert message.startswith("spec.teacher.source.huggingFace.revision: Forbidden")
    assert "commit, its 40 hexadecimal digits" in message
    pinned = {"huggingFace": {"repo": "org/teacher", "revision": COMMIT}}
    assert refusals(job({"teacher.source": pinned}), Allowed(require_commit=True)) == []


def test_all_that_is_wrong_is_told_at_once_under_one_reason() -> None:
    allowed = Allowed(service_accounts=["distill"], buckets=["b"])
    refusal = Installation(allowed=allowed).refusal(job({}))
    assert refusal is not None and refusal.reason == "NotAllowedHere"
    assert "serviceAccountName" in refusal.message and "storage.gcs.bucket" in refusal.message
    assert Installation().refusal(job({})) is None


@pytest.mark.parametrize("wrong", [{"bucket": ["b"]}, {"buckets": "b"}, {"sourceUris": ["bucket"]}, {"queues": [""]}])
def test_a_rule_that_is_none_is_refused_before_anything_runs(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Allowed.model_validate(wrong)
