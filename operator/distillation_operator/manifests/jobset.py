"""The JobSets of training, whose pods work as one: when one goes, the whole attempt ends."""

from typing import Any

from distillation_api.resource import DistillationJob
from distillation_operator.manifests.one_pool import keep_slices_together
from distillation_operator.manifests.pod import pod_template
from distillation_operator.manifests.pod_failure_policy import attempt_policy
from distillation_operator.manifests.settings import Installation
from distillation_operator.pipeline.stage import Stage

SLICE = "slice"
"""Name of the replicated job; its replicas are the slices."""

Object = dict[str, Any]


def jobset_spec(
    job: DistillationJob, stage: Stage, installation: Installation, labels: dict[str, str], name: str
) -> Object:
    """The spec of the JobSet of one attempt: one replicated job per slice, one pod per host."""
    placement = stage.placement
    template = pod_template(job, stage, installation, labels, _distributed(stage, name))
    if placement.chips and placement.hosts > 1:
        keep_slices_together(template, placement.hosts, job.spec.queue)
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
    """What jax.distributed needs on CPU, where no TPU environment provides it."""
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
