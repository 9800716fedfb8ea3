"""A stage's attempt as its Job or JobSet.

A stage whose pods work as one (training) is a JobSet with one replicated job per slice; when one pod goes, the whole
attempt ends and the next one starts from the newest checkpoint. A stage of independent shards (generation) is an
Indexed Job: a shard is tried again by itself. Every other stage is a Job of one pod, which is one attempt too.
"""

from typing import Any

from distillation_api.resource import API_VERSION, KIND, DistillationJob
from distillation_operator.manifests.labels import FINGERPRINT_ANNOTATION, KUEUE_LABEL, OUTPUT_ANNOTATION, child_labels
from distillation_operator.manifests.pod import pod_template
from distillation_operator.manifests.pod_failure_policy import attempt_policy, shard_policy
from distillation_operator.manifests.settings import Installation
from distillation_operator.pipeline.names import child_name
from distillation_operator.pipeline.stage import Stage

SLICE = "slice"
"""Name of the replicated job; its replicas are the slices."""
JOBSET_API = "jobset.x-k8s.io/v1alpha2"
EXCLUSIVE_TOPOLOGY = "alpha.jobset.sigs.k8s.io/exclusive-topology"

Object = dict[str, Any]


def child_manifest(job: DistillationJob, stage: Stage, attempt: int, installation: Installation) -> Object:
    """The Job or JobSet of an attempt."""
    name = child_name(job.metadata.name, stage.name, attempt)
    labels = child_labels(job.metadata.name, stage.name, attempt, name)
    metadata: Object = {
        "name": name,
        "namespace": job.metadata.namespace,
        "labels": dict(labels),
        "annotations": {FINGERPRINT_ANNOTATION: stage.fingerprint, OUTPUT_ANNOTATION: stage.output},
        "ownerReferences": [_owner(job)],
    }
    queued = job.spec.queue is not None and stage.placement.chips > 0
    if queued and job.spec.queue is not None:
        metadata["labels"][KUEUE_LABEL] = job.spec.queue.name
    # Created suspended, so that no pod starts before Kueue has seen it; never set again afterwards.
    suspend = {"suspend": True} if queued else {}
    if stage.is_training:
        if stage.placement.slices > 1:
            metadata["annotations"][EXCLUSIVE_TOPOLOGY] = "cloud.google.com/gke-nodepool"
        return {
            "apiVersion": JOBSET_API,
            "kind": "JobSet",
            "metadata": metadata,
            "spec": {**suspend, **_jobset_spec(job, stage, installation, labels, name)},
        }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {**suspend, **_job_spec(job, stage, installation, labels)},
    }


def _owner(job: DistillationJob) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": job.metadata.name,
        "uid": job.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _job_spec(job: DistillationJob, stage: Stage, installation: Installation, labels: dict[str, str]) -> Object:
    template = pod_template(job, stage, installation, labels)
    if stage.program.kind == "generate":
        return {
            "completionMode": "Indexed",
            "completions": stage.program.shards,
            "parallelism": stage.program.shards,
            "backoffLimitPerIndex": job.spec.retries.failures,
            "podFailurePolicy": shard_policy(),
            "template": template,
        }
    return {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": 0,
        "podFailurePolicy": attempt_policy(),
        "template": template,
    }


def _jobset_spec(
    job: DistillationJob, stage: Stage, installation: Installation, labels: dict[str, str], name: str
) -> Object:
    placement = stage.placement
    template = pod_template(job, stage, installation, labels, _distributed(stage, name))
    return {
        "failurePolicy": {"maxRestarts": 0},
        "successPolicy": {"operator": "All"},
        "network": {"enableDNSHostnames": True},
        "replicatedJobs": [
            {
                "name": SLICE,
                "replicas": placement.slices,
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "completionMode": "Indexed",
                        "completions": placement.hosts,
                        "parallelism": placement.hosts,
                        "backoffLimit": 0,
                        "podFailurePolicy": attempt_policy(),
                        "template": template,
                    },
                },
            }
        ],
    }


def _distributed(stage: Stage, name: str) -> list[Object]:
    """What jax.distributed needs on CPU, where no TPU environment tells it."""
    placement = stage.placement
    if placement.chips or placement.pods == 1:
        return [{"name": "JOB_INDEX", "value": "0"}] if placement.slices == 1 else _job_index()
    return [
        {"name": "JAX_COORDINATOR_ADDRESS", "value": f"{name}-{SLICE}-0-0.{name}"},
        {"name": "JAX_PROCESS_COUNT", "value": str(placement.pods)},
        {"name": "PROCESSES_IN_JOB", "value": str(placement.pods)},
        {"name": "JOB_INDEX", "value": "0"},
    ]


def _job_index() -> list[Object]:
    path = "metadata.labels['jobset.sigs.k8s.io/job-index']"
    return [{"name": "JOB_INDEX", "valueFrom": {"fieldRef": {"fieldPath": path}}}]
