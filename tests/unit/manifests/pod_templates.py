"""The pod templates of a small job's stages."""

from typing import Any

from distillation_operator.manifests.kinds import child_manifest
from distillation_operator.manifests.settings import Installation
from distillation_operator.manifests.stage_pods import StagePods
from distillation_operator.pipeline.graph import build_pipeline
from support.scenario import job_of, small_spec

Object = dict[str, Any]
BUCKET = {"gcs": {"bucket": "bucket"}}


def templates(limits: StagePods, **members: Any) -> list[Object]:
    """The pod template of each stage."""
    job = job_of(small_spec(**members))
    made = [
        child_manifest(job, stage, 0, Installation(stage_pods=limits))["spec"]
        for stage in build_pipeline(job.spec).values()
    ]
    return [
        spec["template"] if "template" in spec else spec["replicatedJobs"][0]["template"]["spec"]["template"]
        for spec in made
    ]
