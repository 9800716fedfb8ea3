"""A stage's attempt as its Job or JobSet.

A stage whose pods work as one (training) is a JobSet with one replicated job per slice; when one pod goes, the whole
attempt ends and the next one starts from the newest checkpoint. A stage of independent shards (generation) is an
Indexed Job: a shard is tried again by itself. Every other stage is a Job of one pod, which is one attempt too.
"""

from typing import Any

from distillation_api.resource import API_VERSION, KIND, DistillationJob
from distillation_api.spec import Queue
from distillation_operator.manifests.job import job_spec
from distillation_operator.manifests.jobset import jobset_spec
from distillation_operator.manifests.labels import (
    FINGERPRINT_ANNOTATION,
    KUEUE_LABEL,
    OUTPUT_ANNOTATION,
    PRIORITY_LABEL,
    RUN_DURATION_ANNOTATION,
    child_labels,
)
from distillation_operator.manifests.settings import Installation
from distillation_operator.pipeline.names import child_name
from distillation_operator.pipeline.stage import Stage

JOBSET_API = "jobset.x-k8s.io/v1alpha2"

Object = dict[str, Any]


def child_manifest(job: DistillationJob, stage: Stage, attempt: int, installation: Installation) -> Object:
    """The Job or JobSet of an attempt."""
    name = child_name(job.metadata.name, stage.name, attempt)
    labels = child_labels(job.metadata.name, stage.name, attempt, name)
    metadata: Object = {
        "name": name,
        "namespace": job.metadata.namespace,
        "labels": {**(job.spec.pod.labels or {}), **labels},
        "annotations": {
            **(job.spec.pod.annotations or {}),
            FINGERPRINT_ANNOTATION: stage.fingerprint,
            OUTPUT_ANNOTATION: stage.output,
        },
        "ownerReferences": [_owner(job)],
    }
    queue = job.spec.queue
    suspend: Object = {}
    if queue is not None and (queue.cpu_stages or stage.placement.chips > 0):
        _put_into(queue, metadata, has_chips=stage.placement.chips > 0)
        # Created suspended, so that no pod starts before Kueue has seen it; never set again afterwards.
        suspend = {"suspend": True}
    if stage.is_training:
        return {
            "apiVersion": JOBSET_API,
            "kind": "JobSet",
            "metadata": metadata,
            "spec": {**suspend, **jobset_spec(job, stage, installation, labels, name)},
        }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {**suspend, **job_spec(job, stage, installation, labels)},
    }


def _put_into(queue: Queue, metadata: Object, has_chips: bool) -> None:
    metadata["labels"][KUEUE_LABEL] = queue.name
    if queue.priority_class is not None:
        metadata["labels"][PRIORITY_LABEL] = queue.priority_class
    # Nodes of CPU are there for all of a job's stages; asked for are those with chips.
    if queue.max_run_duration_seconds is not None and has_chips:
        metadata["annotations"][RUN_DURATION_ANNOTATION] = str(queue.max_run_duration_seconds)


def _owner(job: DistillationJob) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": job.metadata.name,
        "uid": job.metadata.uid,
        # No blockOwnerDeletion: where that is enforced (OpenShift) it takes the right to change finalizers.
        "controller": True,
    }
