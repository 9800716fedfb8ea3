"""kubectl's lines of the pages about jobs, typed on a real API server: each is taken, and answers what the page says.

Those that need pods that run are typed by e2e/test_demo.
"""

import shlex
from pathlib import Path

import pytest
from kubernetes import client

from cluster.wrong_manifests import GOOD
from support.cluster import Kubectl, run_kubectl
from support.documented_cluster import steps
from support.objects import CHECKOUT, Jobs
from testbed.cluster import Testbed

JOB = GOOD["metadata"]["name"]
STAGE = "generate"
MODEL, REPORT = "distillation/export/0123456789abcdef/model", "distillation/evaluate/0123456789abcdef/report.html"
STATUS = {
    "phase": "Failed",
    "completionTime": "2026-01-01T00:00:00Z",
    "stages": [
        {"name": "fetch-teacher", "state": "Complete"},
        {
            "name": STAGE,
            "state": "Failed",
            "reason": "OutOfMemory",
            "message": "The accelerator's memory is too small.",
        },
    ],
    "results": {"exportedModel": MODEL, "report": REPORT},
}

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def failed_job(jobs: Jobs) -> Jobs:
    """A job that has ended, and no operator."""
    jobs.create(GOOD)
    jobs.set_status(JOB, STATUS)
    return jobs


def typed(testbed: Testbed, namespace: str, page: str) -> dict[str, str]:
    """What each of the page's lines of kubectl prints, by line, typed in their order."""
    answers = {}
    for language, text in steps(CHECKOUT / "docs" / page):
        if language == "bash" and text.startswith("kubectl ") and "storage-pod" not in text and " pod/" not in text:
            line = text.replace("NAME", JOB).replace("STAGE", STAGE)
            answers[text] = run_kubectl(testbed, "--namespace", namespace, *shlex.split(line)[1:])
    return answers


def test_the_guide(kubectl: Kubectl, api_client: client.ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    kubectl("create", "namespace", "ml")
    try:
        [apply, *others] = [text for _, text in steps(CHECKOUT / "docs" / "guide.md") if text.startswith("kubectl ")]
        assert "created" in kubectl(*shlex.split(apply)[1:])
        name = Path(shlex.split(apply)[-1]).stem
        Jobs(client.CustomObjectsApi(api_client), "ml").set_status(name, STATUS)
        answers = [kubectl(*shlex.split(line)[1:]) for line in others]
        assert len(answers) == 2
        assert all(name in answer for answer in answers)
    finally:
        kubectl("delete", "namespace", "ml", "--wait=false")


def test_operations(testbed: Testbed, failed_job: Jobs) -> None:
    answers = typed(testbed, failed_job.namespace, "operations.md")
    assert len(answers) > 12

    def answer(part: str) -> str:
        [found] = [text for line, text in answers.items() if part in line]
        return found

    assert answer("?(@.reason)") == f"{STAGE} OutOfMemory: The accelerator's memory is too small.\n"
    assert "condition met" in answer("completionTime")
    assert answer("{.status.phase}") == "Failed\n"
    [job] = answer("--field-selector").splitlines()[1:]
    assert job.split()[0] == JOB
    assert "annotated" in answer("kubectl annotate")
    assert "deleted" in answer("kubectl delete dj")


def test_the_uris_of_student_and_report(testbed: Testbed, failed_job: Jobs) -> None:
    command = next(text for language, text in steps(CHECKOUT / "docs" / "storage.md") if "gs://{" in text)
    line = shlex.split(command.replace("NAME", JOB))
    printed = run_kubectl(testbed, "--namespace", failed_job.namespace, *line[1:])
    assert printed.splitlines() == [f"gs://bucket/{MODEL}", f"gs://bucket/{REPORT}"]
