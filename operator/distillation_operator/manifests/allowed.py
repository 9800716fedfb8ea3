"""What one installation allows DistillationJobs to name, and what it says to a job that names something else.

Whoever may create a DistillationJob makes the operator create pods that run under the names that the spec gives. Here
the one who installs the operator says which names those may be. What isn't narrowed is allowed.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field, StringConstraints

from distillation_api.model import Model
from distillation_api.resource import DistillationJob
from distillation_api.spec import DistillationJobSpec

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHOWN = 5
"""Allowed names that a refusal lists; the chart's value has all."""

Pattern = Annotated[str, StringConstraints(pattern=r"^[^\s]+$", max_length=253)]
UriPrefix = Annotated[str, StringConstraints(pattern=r"^gs://[^\s/]+(/[^\s]*)?$", max_length=1024)]
Names = Annotated[list[Pattern], Field(max_length=256)] | None
UriPrefixes = Annotated[list[UriPrefix], Field(max_length=256)] | None
NAMESPACE = "{namespace}"
"""Stands for the namespace of the job, in every name and prefix."""


class Allowed(Model):
    """What jobs may name, with ``*`` for any characters; None narrows nothing, an empty list allows nothing."""

    service_accounts: Names = None
    """``pod.serviceAccountName``; a job without one runs as ``default``."""
    priority_classes: Names = None
    """``pod.priorityClassName``, where a job names one."""
    image_pull_secrets: Names = None
    """``pod.imagePullSecrets``."""
    secrets: Names = None
    """``huggingFaceToken.secretName`` and ``pod.env[].secret.secretName``."""
    buckets: Names = None
    """``storage.gcs.bucket``."""
    claims: Names = None
    """``storage.persistentVolumeClaim.claimName``."""
    source_uris: UriPrefixes = None
    """Buckets and folders that ``source.gcs.uri`` of teacher, student and dataset may lie in."""
    export_uris: UriPrefixes = None
    """Buckets and folders that ``export.to.gcs.uri`` may lie in."""
    reservations: Names = None
    """``accelerator.reservationName`` of generation and training."""
    queues: Names = None
    """``queue.name``. A job that asks for an accelerator must name one of them."""
    workload_priority_classes: Names = None
    """``queue.priorityClass``, where a job names one."""
    node_selectors: Names = None
    """KEY=VALUE of ``pod.nodeSelector`` and of ``accelerator.nodeSelector`` of generation and training."""
    tolerations: Names = None
    """Keys of ``pod.tolerations``."""
    env: Names = None
    """Names of ``pod.env``."""
    labels: Names = None
    """KEY=VALUE of ``pod.labels``: NetworkPolicies and bills go by them."""
    annotations: Names = None
    """Keys of ``pod.annotations``: webhooks of a cluster act on them."""
    require_commit: bool = False
    """Every ``huggingFace.revision`` must be a commit: a branch or tag can be moved to other weights or rows."""


GET_THE_TOKEN = frozenset({"HF_ENDPOINT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"})
"""Variables by which a client of the Hub is led elsewhere, or believes another server."""


def refusals(job: DistillationJob, allowed: Allowed) -> list[str]:
    """What the job names that this installation doesn't allow, one message each; empty when it is allowed."""
    namespace = job.metadata.namespace
    return [
        *_refused_names(job.spec, allowed, namespace),
        *_refused_uris(job.spec, allowed, namespace),
        *_refused_queue(job.spec, allowed, namespace),
        *_refused_revisions(job.spec, allowed),
        *_refused_addressees(job.spec, allowed),
    ]


def _refused_names(spec: DistillationJobSpec, allowed: Allowed, namespace: str) -> Iterator[str]:
    for field, value, rule, names in _names(spec, allowed):
        if names is not None and not any(fnmatchcase(value, _for(pattern, namespace)) for pattern in names):
            yield _refusal(field, value, rule, [_for(pattern, namespace) for pattern in names])


def _names(spec: DistillationJobSpec, allowed: Allowed) -> Iterator[tuple[str, str, str, list[str] | None]]:
    """Field, value, the rule about it and what that allows, of each name in a spec."""
    pod, storage = spec.pod, spec.storage
    yield "pod.serviceAccountName", pod.service_account_name or "default", "serviceAccounts", allowed.service_accounts
    if pod.priority_class_name is not None:
        yield "pod.priorityClassName", pod.priority_class_name, "priorityClasses", allowed.priority_classes
    if spec.queue is not None and spec.queue.priority_class is not None:
        rule = "workloadPriorityClasses"
        yield "queue.priorityClass", spec.queue.priority_class, rule, allowed.workload_priority_classes
    for index, name in enumerate(pod.image_pull_secrets or ()):
        yield f"pod.imagePullSecrets[{index}]", name, "imagePullSecrets", allowed.image_pull_secrets
    if spec.hugging_face_token is not None:
        yield "huggingFaceToken.secretName", spec.hugging_face_token.secret_name, "secrets", allowed.secrets
    for at, _, secret in pod.secrets:
        yield f"pod.env[{at}].secret.secretName", secret.secret_name, "secrets", allowed.secrets
    yield from _names_of_pods(spec, allowed)
    if storage.gcs is not None:
        yield "storage.gcs.bucket", storage.gcs.bucket, "buckets", allowed.buckets
    if storage.persistent_volume_claim is not None:
        claim = storage.persistent_volume_claim.claim_name
        yield "storage.persistentVolumeClaim.claimName", claim, "claims", allowed.claims
    for part, accelerator in (("generation", spec.generation.accelerator), ("training", spec.training.accelerator)):
        if accelerator is not None and accelerator.reservation_name is not None:
            field = f"{part}.accelerator.reservationName"
            yield field, accelerator.reservation_name, "reservations", allowed.reservations


def _names_of_pods(spec: DistillationJobSpec, allowed: Allowed) -> Iterator[tuple[str, str, str, list[str] | None]]:
    """Of what a user sets on pods: their nodes, their environment, and what others go by."""
    selectors = [("pod", spec.pod.node_selector)]
    for part, accelerator in (("generation", spec.generation.accelerator), ("training", spec.training.accelerator)):
        if accelerator is not None:
            selectors.append((f"{part}.accelerator", accelerator.node_selector))
    for part, selector in selectors:
        for key, value in (selector or {}).items():
            yield f"{part}.nodeSelector", f"{key}={value}", "nodeSelectors", allowed.node_selectors
    for index, toleration in enumerate(spec.pod.tolerations or ()):
        yield f"pod.tolerations[{index}]", toleration.key, "tolerations", allowed.tolerations
    for index, variable in enumerate(spec.pod.env or ()):
        yield f"pod.env[{index}]", variable.name, "env", allowed.env
    for key, value in (spec.pod.labels or {}).items():
        yield "pod.labels", f"{key}={value}", "labels", allowed.labels
    for key in spec.pod.annotations or ():
        yield "pod.annotations", key, "annotations", allowed.annotations


def _refused_uris(spec: DistillationJobSpec, allowed: Allowed, namespace: str) -> Iterator[str]:
    sources = (("teacher", spec.teacher), ("student", spec.student), ("dataset", spec.dataset))
    found = [
        (f"{name}.source.gcs.uri", part.source.gcs.uri, "sourceUris", allowed.source_uris)
        for name, part in sources
        if part.source.gcs is not None
    ]
    if spec.export.to is not None and spec.export.to.gcs is not None:
        found.append(("export.to.gcs.uri", spec.export.to.gcs.uri, "exportUris", allowed.export_uris))
    for field, uri, rule, prefixes in found:
        if prefixes is not None and not any(_lies_in(uri, _for(prefix, namespace)) for prefix in prefixes):
            yield _refusal(field, uri, rule, [_for(prefix, namespace) for prefix in prefixes])


def _lies_in(uri: str, prefix: str) -> bool:
    """Whole folders count: gs://bucket/team doesn't allow gs://bucket/team-b."""
    folder = prefix.rstrip("/")
    return uri == folder or uri.startswith(f"{folder}/")


def _refused_queue(spec: DistillationJobSpec, allowed: Allowed, namespace: str) -> Iterator[str]:
    on_cpu = spec.generation.accelerator is None and spec.training.accelerator is None
    if allowed.queues is None or (on_cpu and not (spec.queue is not None and spec.queue.cpu_stages)):
        return
    queues = [_for(pattern, namespace) for pattern in allowed.queues]
    if spec.queue is None:
        yield _refusal("queue.name", None, "queues", queues)
    elif not any(fnmatchcase(spec.queue.name, pattern) for pattern in queues):
        yield _refusal("queue.name", spec.queue.name, "queues", queues)


def _refused_revisions(spec: DistillationJobSpec, allowed: Allowed) -> Iterator[str]:
    if not allowed.require_commit:
        return
    for name, source in (
        ("teacher", spec.teacher.source.hugging_face),
        ("student", spec.student.source.hugging_face),
        ("dataset", spec.dataset.source.hugging_face),
    ):
        if source is not None and not _COMMIT.fullmatch(source.revision):
            yield (
                f"spec.{name}.source.huggingFace.revision: Forbidden: {source.revision!r} can be moved: this "
                "installation asks for a commit, its 40 hexadecimal digits (the chart's value allowed.requireCommit)"
            )


def _refused_addressees(spec: DistillationJobSpec, allowed: Allowed) -> Iterator[str]:
    """Who chooses where the Hub lies, or whom it is believed to be, is sent the token: any Secret that a job names."""
    if allowed.env is not None or spec.hugging_face_token is None:
        return
    for index, variable in enumerate(spec.pod.env or ()):
        if variable.name in GET_THE_TOKEN:
            yield (
                f"spec.pod.env[{index}]: Forbidden: {variable.name!r} beside huggingFaceToken: it can send the token "
                "elsewhere; this installation has to name the variable (the chart's value allowed.env)"
            )


def _refusal(field: str, value: str | None, rule: str, names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    what = f"{value!r} is not among what this installation allows" if value else "this installation asks for one"
    return f"spec.{field}: Forbidden: {what}: {shown or 'nothing'} (the chart's value allowed.{rule})"


def _for(pattern: str, namespace: str) -> str:
    return pattern.replace(NAMESPACE, namespace)
