"""A job whose operator is upgraded midway: to one whose programs have another member, or write something else.

The newer operators are copies of this one with a line more: real processes, on the real API server.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from support.objects import CHECKOUT, Jobs
from support.operating import Operator, Pods, raw_stage_spec
from support.small_job import NAME, finish_first, finish_generation, manifest, stage, wait_state
from testbed.cluster import Testbed

SOURCE = CHECKOUT / "operator"
CONTRACT = Path("distillation_api/contract")
BEFORE_TRAINING = ("fetch-teacher", "fetch-student", "prepare-dataset", "convert-student", "preflight", "generate")
RESULT = {"outputs": {"x": "y"}}

Newer = Callable[..., Operator]


@pytest.fixture
def versions(testbed: Testbed, namespace: str, tmp_path: Path) -> Iterator[Newer]:
    """Starts an operator whose programs have lines more, after the one before was killed."""
    running: list[Operator] = []

    def start(lines: dict[str, str] | None = None) -> Operator:
        if running:
            running[-1].end()
        source = tmp_path / f"version-{len(running)}"
        shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
        for kind, line in (lines or {}).items():
            module = source / CONTRACT / f"{kind}.py"
            text, first = module.read_text(), KIND.format(kind, kind)
            assert text.count(first) == 1
            module.write_text(text.replace(first, first + line))
        made = Operator(testbed.kubeconfig, namespace, tmp_path / f"operator-{len(running)}.log", source=source)
        running.append(made)
        made.start()
        return made

    yield start
    running[-1].end()


KIND = '    kind: Literal["{}"] = "{}"\n'


def another_member(*kinds: str) -> dict[str, str]:
    """Each of these programs with one more member that has a default."""
    return {kind: '    flavour: str = "Plain"\n' for kind in kinds}


def raised(kind: str) -> dict[str, str]:
    """A program that writes something else for the same input."""
    return {kind: "    outputs_version = 99\n"}


def to_the_middle_of_training(jobs: Jobs, pods: Pods) -> dict[str, str]:
    """A job whose first training stage runs; the folders of all its stages so far."""
    jobs.create(manifest())
    finish_first(pods)
    pods.succeed("convert-student")
    finish_generation(pods)
    pods.run("train-one", 2)
    wait_state(jobs, "train-one", "Running")
    return {name: stage(jobs, name)["directory"] for name in (*BEFORE_TRAINING, "train-one")}


def finish_training(jobs: Jobs, pods: Pods) -> None:
    pods.succeed("train-one", 2)
    for name in ("export-one", "train-two", "export", "evaluate"):
        pods.succeed(name)
    wait_complete(jobs)


def wait_complete(jobs: Jobs) -> None:
    wait_state(jobs, "evaluate", "Complete")


def attempts(jobs: Jobs) -> dict[str, tuple[int, int, int]]:
    """Attempt, failures and disruptions of each stage."""
    stages = jobs.get(NAME)["status"]["stages"]
    return {s["name"]: (s["attempt"], s["attempts"]["failures"], s["attempts"]["disruptions"]) for s in stages}


def created(api_client: client.ApiClient, namespace: str) -> set[str]:
    """The stages and attempts whose pods there are."""
    core: Any = client.CoreV1Api(api_client)
    labels = [pod.metadata.labels for pod in core.list_namespaced_pod(namespace).items]
    return {f"{label['distillation.dev/stage']}/{label['distillation.dev/attempt']}" for label in labels}


@pytest.mark.parametrize(
    "newer",
    [
        another_member("fetch", "prepare", "convert", "generate", "train", "export", "evaluate"),
        raised("convert"),
        raised("generate"),
        raised("train"),
    ],
    ids=["a member more", "convert writes anew", "generate writes anew", "train writes anew"],
)
def test_a_running_job_goes_on_without_doing_work_again(
    newer: dict[str, str],
    versions: Newer,
    jobs: Jobs,
    pods: Pods,
    api_client: client.ApiClient,
    namespace: str,
) -> None:
    versions()
    folders = to_the_middle_of_training(jobs, pods)
    versions(newer)
    (export,) = _after_training(pods)
    assert raw_stage_spec(export)["program"]["checkpoint"] == folders["train-one"]
    pods.end(export)
    for name in ("train-two", "export", "evaluate"):
        pods.succeed(name)
    wait_complete(jobs)
    assert set(attempts(jobs).values()) == {(0, 0, 0)}
    assert {name: stage(jobs, name)["directory"] for name in folders} == folders
    assert all(name.endswith("/0") for name in created(api_client, namespace))


def _after_training(pods: Pods) -> list[Any]:
    pods.succeed("train-one", 2)
    return pods.wait("export-one")


def test_a_new_job_does_what_is_written_anew_and_only_what_depends_on_it(
    versions: Newer, jobs: Jobs, pods: Pods
) -> None:
    versions()
    to_the_middle_of_training(jobs, pods)
    finish_training(jobs, pods)
    before = {s["name"]: s["directory"] for s in jobs.get(NAME)["status"]["stages"]}
    jobs.delete(NAME)
    versions(raised("generate"))
    to_the_middle_of_training(jobs, pods)
    finish_training(jobs, pods)
    after = {s["name"]: s["directory"] for s in jobs.get(NAME)["status"]["stages"]}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"generate", "pack-one", "train-one", "export-one", "train-two", "export", "evaluate"}
