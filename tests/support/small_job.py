"""One small job on a cluster whose pods the test ends, and short ways to look at it."""

from typing import Any

from kubernetes import client

from support.eventually import eventually
from support.objects import Jobs
from support.operating import Pods

NAME = "tiny"


FIRST = ("fetch-teacher", "fetch-student", "prepare-dataset")


def manifest(**spec: Any) -> dict[str, Any]:
    """A job on CPU with two shards and two training stages, the first on two hosts."""
    return {
        "apiVersion": "distillation.dev/v1alpha1",
        "kind": "DistillationJob",
        "metadata": {"name": NAME, "annotations": {"argocd.argoproj.io/tracking-id": "app:distillation"}},
        "spec": {
            "teacher": {"source": {"path": "models/t"}},
            "student": {"source": {"path": "models/s"}, "maxTextModel": "llama3.1-8b"},
            "dataset": {"source": {"path": "d.jsonl"}, "messagesColumn": "messages", "holdout": 10},
            "storage": {"persistentVolumeClaim": {"claimName": "c"}},
            "generation": {"shards": 2, "maxModelLen": 256, "sampling": {"maxTokens": 64}},
            "training": {
                "stages": [
                    {"name": "one", "steps": 10, "hosts": 2, "parallelism": {"fsdp": 2}},
                    {"name": "two", "steps": 10, "data": "OriginalDataset"},
                ]
            },
            **spec,
        },
    }


def named(made: dict[str, Any], name: str) -> dict[str, Any]:
    """The job under another name, with a folder of its own in the storage: jobs that share one wait for each other."""
    made["metadata"]["name"] = name
    made["spec"]["storage"]["prefix"] = name
    return made


def stage(jobs: Jobs, name: str) -> dict[str, Any]:
    """A stage's status; empty while there is none."""
    stages = (jobs.get(NAME).get("status") or {}).get("stages") or []
    return next((dict(stage) for stage in stages if stage["name"] == name), {})


def condition(jobs: Jobs, kind: str) -> dict[str, Any]:
    """A condition; empty while there is none."""
    conditions = (jobs.get(NAME).get("status") or {}).get("conditions") or []
    return next((dict(c) for c in conditions if c["type"] == kind), {})


def wait_state(jobs: Jobs, name: str, state: str, reason: str | None = None) -> dict[str, Any]:
    """The stage's status, once it is in that state (for that reason)."""

    def there() -> dict[str, Any] | None:
        seen = stage(jobs, name)
        return seen if seen.get("state") == state and reason in (None, seen.get("reason")) else None

    return eventually(f"{name} {state} {reason or ''}", there)


def batch_of(api_client: client.ApiClient) -> Any:
    """The client of Jobs; untyped, since every field of a typed one may be None."""
    return client.BatchV1Api(api_client)


def finish_first(pods: Pods) -> None:
    """End the stages that read nothing, and the one that looks at what they have brought."""
    for name in (*FIRST, "preflight", "pack-two"):
        pods.succeed(name)


def finish_generation(pods: Pods, **result: Any) -> None:
    """End both shards, and what lays out their answers for the first training stage."""
    pods.succeed("generate", 2, **result)
    pods.succeed("pack-one")
