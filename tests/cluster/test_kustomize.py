"""kustomize changes the names that a DistillationJob refers to with those of the objects themselves."""

from pathlib import Path

import yaml

from distillation_operator.commands.validation import validate
from support.cluster import run_kubectl
from testbed.cluster import Testbed

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "kustomize"


def test_a_prefix_and_the_hash_of_a_secret_reach_the_job(testbed: Testbed) -> None:
    """U26."""
    objects = list(yaml.safe_load_all(run_kubectl(testbed, "kustomize", str(FOLDER))))
    [job] = [made for made in objects if made["kind"] == "DistillationJob"]
    assert validate(job) == []
    spec = job["spec"]
    named = {
        ("Secret", spec["huggingFaceToken"]["secretName"]),
        ("Secret", spec["pod"]["imagePullSecrets"][0]),
        ("Secret", spec["pod"]["env"][1]["secret"]["secretName"]),
        ("ServiceAccount", spec["pod"]["serviceAccountName"]),
        ("PersistentVolumeClaim", spec["storage"]["persistentVolumeClaim"]["claimName"]),
        ("LocalQueue", spec["queue"]["name"]),
    }
    assert named == {(made["kind"], made["metadata"]["name"]) for made in objects} - {
        ("DistillationJob", job["metadata"]["name"])
    }
    assert all(name.startswith("team-a-") for _, name in named)
