"""The Jobs: one pod that is one attempt, or an Indexed Job of shards that are tried again each by itself."""

from typing import Any

from distillation_api.contract import GenerateProgram
from distillation_api.resource import DistillationJob
from distillation_operator.manifests.pod import pod_template
from distillation_operator.manifests.pod_failure_policy import attempt_policy, shard_policy
from distillation_operator.manifests.settings import Installation
from distillation_operator.pipeline.stage import Stage

Object = dict[str, Any]


def job_spec(job: DistillationJob, stage: Stage, installation: Installation, labels: dict[str, str]) -> Object:
    """The spec of the Job of one attempt."""
    template = pod_template(job, stage, installation, labels)
    if isinstance(stage.program, GenerateProgram):
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
