"""The CRD on a real API server: defaults, printer columns, explain, and the examples."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.wrong_manifests import GOOD
from distillation_api.resource import DistillationJob
from distillation_api.schemas.crd import PRINTER_COLUMNS, WIDE_COLUMNS
from support.cluster import Kubectl
from support.objects import CHECKOUT, Jobs

EXAMPLES = sorted((CHECKOUT / "examples").glob("*.yaml"))
STATUS: dict[str, Any] = {
    "phase": "Running",
    "method": "Offline",
    "reason": "Unschedulable",
    "currentStage": "train-first",
    "progress": "43%",
    "loss": "1.92",
    "chipHours": "12.4",
    "results": {"crossEntropyAfter": "1.5", "crossEntropyDrop": "0.25", "report": "p/evaluate/h/report.html"},
}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_are_accepted(default_jobs: Jobs, file: Path) -> None:
    for manifest in yaml.safe_load_all(file.read_text()):
        default_jobs.create(manifest, dry_run=True)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_a_read_back_is_what_the_models_read(default_jobs: Jobs, file: Path) -> None:
    """The API server's defaults are the models' own: the same manifest reads the same with and without them."""
    for manifest in yaml.safe_load_all(file.read_text()):
        read_back = default_jobs.create(manifest, dry_run=True)
        assert read_back["spec"] == DistillationJob.parse(manifest).spec.to_json_dict()


def test_a_read_back_has_the_defaults(jobs: Jobs) -> None:
    jobs.create(GOOD)
    spec = jobs.get("good")["spec"]
    assert spec["suspend"] is False
    assert spec["retries"] == {"failures": 2, "disruptions": 100}
    assert spec["storage"]["prefix"] == "distillation"
    assert spec["dataset"]["holdout"] == 64
    assert spec["generation"]["sampling"]["maxTokens"] == 512
    assert spec["training"]["stages"][0]["data"] == "TeacherCompletions"
    assert spec["teacher"]["source"]["huggingFace"]["revision"] == "main"
    assert spec["export"] == {"dtype": "bfloat16"}


def test_get_prints_every_column(jobs: Jobs, kubectl: Kubectl) -> None:
    """Case 23."""
    jobs.create(GOOD)
    jobs.set_status("good", STATUS)
    header, row = kubectl("get", "dj", "-n", jobs.namespace).splitlines()
    assert header.split() == ["NAME", *(name.upper() for name, *_ in PRINTER_COLUMNS)]
    assert row.split()[:-1] == ["good", "Offline", "Running", "Unschedulable", "train-first", "43%", "1.92", "12.4"]
    header, row = kubectl("get", "dj", "-n", jobs.namespace, "-o", "wide").splitlines()
    assert header.split()[-3:] == [name.upper() for name, *_ in WIDE_COLUMNS]
    assert row.split()[-3:] == ["1.5", "0.25", "p/evaluate/h/report.html"]


def test_jobs_are_selected_by_their_phase(jobs: Jobs, kubectl: Kubectl) -> None:
    """Needs Kubernetes 1.31, the chart's minimum."""
    jobs.create(GOOD)
    jobs.set_status("good", {"phase": "Failed"})
    chosen = ("get", "dj", "-n", jobs.namespace, "-o", "name", "--field-selector")
    assert kubectl(*chosen, "status.phase=Failed").split() == ["distillationjob.distillation.dev/good"]
    assert kubectl(*chosen, "status.phase=Running").split() == []


def test_explain_prints_the_descriptions(kubectl: Kubectl) -> None:
    text = " ".join(kubectl("explain", "distillationjob.spec.training.stages").split())
    assert "Run in this order, each from the newest checkpoint of the one before." in text
    assert "Optimizer steps; without it they follow from the rows and epochs." in text
    assert "<no description>" not in kubectl("explain", "distillationjob.spec", "--recursive=false")


def test_explain_prints_defaults_and_ranges(kubectl: Kubectl) -> None:
    retries = " ".join(kubectl("explain", "distillationjob.spec.retries").split())
    assert "From 0 to 100. Default 2." in retries and "From 0 to 10000. Default 100." in retries
    sampling = " ".join(kubectl("explain", "distillationjob.spec.generation.sampling").split())
    assert "More than 0 to 1. Default 1.0." in sampling


def test_status_is_a_subresource(jobs: Jobs) -> None:
    created = jobs.create({**GOOD, "status": {"phase": "Complete"}})
    assert "status" not in created
