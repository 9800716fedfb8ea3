"""Paths of a job's storage as they can be copied into other commands."""

from typing import Any


def storage_uri(job: dict[str, Any]) -> str:
    """The root of a job's storage: ``gs://BUCKET``, or ``pvc://CLAIM`` as KServe writes a claim; empty where the spec
    has neither.
    """
    storage = (job.get("spec") or {}).get("storage") or {}
    if "gcs" in storage:
        return f"gs://{storage['gcs']['bucket']}"
    if "persistentVolumeClaim" in storage:
        return f"pvc://{storage['persistentVolumeClaim']['claimName']}"
    return ""


def located(root: str, path: str) -> str:
    """The path below the root; the path alone where there is no root."""
    return f"{root}/{path}" if root else path
