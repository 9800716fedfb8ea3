"""The images as they are built: small, labelled, with their bill of materials, not root; and they run."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image_build import builder
from support.eventually import eventually
from testbed.cluster import Testbed
from testbed.layout import CHECKOUT
from testbed.site import Depth

OPERATOR_LIMIT = 200_000_000
NAMES = ("operator", "teacher", "converter", "trainer")
STAGE_IMAGES = os.environ.get("STAGE_IMAGES", "").split()
"""Those that are built and run too: all of them in ``make images-all``, none otherwise."""
IMPORTED = {"trainer": "jax, maxtext", "converter": "jax, maxtext, torch, transformers", "teacher": "vllm"}

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="session")
def operator_image() -> str:
    builder.prepare()
    return builder.build("operator", "--build-arg", "VERSION=0.1.0", "--build-arg", "REVISION=abc")


@pytest.fixture(scope="session")
def testbed() -> Iterator[Testbed]:
    # The images that run are those that were built.
    made = Testbed("pytest-images", Depth.FULL, images=[])
    made.up()
    yield made
    made.down()


@pytest.mark.parametrize("name", NAMES)
def test_every_dockerfile_keeps_the_rules(name: str) -> None:
    text = (CHECKOUT / "images" / name / "Dockerfile").read_text()
    assert text.count("FROM ${BASE}") == 2, "built in one stage, run in another"
    assert "ARG BASE=" in text and "USER 65532:65532" in text
    assert "--require-hashes" in text and "--no-deps" in text
    assert not re.search(r"^RUN .*\$", text, re.MULTILINE), "there is no shell that would expand it"
    locks = re.findall(r"\brequirements/([a-zA-Z${}-]+)\.txt", text)
    assert {lock.replace("${LOCK}", "teacher") for lock in locks} == {"sbom", name}
    for lock in (name, "sbom", "teacher-tpu"):
        locked = (CHECKOUT / "requirements" / f"{lock}.txt").read_text()
        assert "--index-url" not in locked and "://" not in re.sub(r"#.*", "", locked)


def test_the_operators_image_is_small_and_says_what_is_in_it(operator_image: str) -> None:
    assert builder.size(operator_image) < OPERATOR_LIMIT
    configuration = builder.configuration(operator_image)
    labels = configuration["Labels"]
    assert labels["org.opencontainers.image.version"] == "0.1.0"
    assert labels["org.opencontainers.image.revision"] == "abc"
    assert configuration["User"] == "65532:65532"
    assert not [variable for variable in configuration["Env"] if variable.startswith("PIP_")]
    bill = json.loads(builder.read(operator_image, "/app/sbom.cdx.json"))
    assert bill["bomFormat"] == "CycloneDX"
    packages = {part["name"].lower().replace("_", "-"): part["version"] for part in bill["components"]}
    locked = dict(
        line.split(" ")[0].split("==")
        for line in (CHECKOUT / "requirements" / "operator.txt").read_text().splitlines()
        if re.match(r"[a-z0-9.-]+==", line)
    )
    assert packages == locked


def test_the_operators_image_runs_in_a_restricted_pod(operator_image: str, testbed: Testbed, tmp_path: Path) -> None:
    site = testbed.site
    archive = builder.archive(operator_image, tmp_path / "operator.tar")
    site.namespace.output(["ctr", "--namespace", "k8s.io", "images", "import", str(archive)], timeout=120)
    manifest = (CHECKOUT / "examples" / "smollm2-cpu.yaml").read_text()
    assert run_pod(testbed, operator_image, ["crd"]).startswith("# Generated")
    assert "valid" in run_pod(testbed, operator_image, ["validate", "/config/job.yaml"], {"job.yaml": manifest})


@pytest.mark.parametrize("name", STAGE_IMAGES)
def test_a_stage_image_has_what_its_programs_import(name: str, testbed: Testbed, tmp_path: Path) -> None:
    builder.prepare()
    image = builder.build(name)
    archive = builder.archive(image, tmp_path / f"{name}.tar")
    builder.remove(image)  # each copy is of gigabytes
    testbed.site.namespace.output(["ctr", "--namespace", "k8s.io", "images", "import", str(archive)], timeout=900)
    archive.unlink()
    script = f"import {IMPORTED[name]}, distillation_stages.__main__; print('imported')"
    assert run_pod(testbed, image, ["-c", script], command=["/opt/venv/bin/python"]).splitlines()[-1] == "imported"


def run_pod(
    testbed: Testbed,
    image: str,
    arguments: list[str],
    files: dict[str, str] | None = None,
    command: list[str] | None = None,
) -> str:
    """What the image prints, run as the restricted profile asks; nothing of this machine is mounted into it."""
    api = testbed.site.api
    api.create("/api/v1/namespaces", {"metadata": {"name": "images", "labels": {
        "pod-security.kubernetes.io/enforce": "restricted"}}})  # fmt: skip
    # Of the testbed's runtimes the one that mounts nothing of this machine.
    handler = {"metadata": {"name": "as-built"}, "handler": "as-built"}
    api.create("/apis/node.k8s.io/v1/runtimeclasses", handler)
    name = "run-" + re.sub(r"[^a-z]+", "-", f"{image.rsplit('/', 1)[-1]}-{arguments[0]}").strip("-")
    api.create("/api/v1/namespaces/images/configmaps", {"metadata": {"name": name}, "data": files or {}})
    container: dict[str, Any] = {
        "name": "run", "image": image, "imagePullPolicy": "Never", "args": arguments,
        "volumeMounts": [{"name": "config", "mountPath": "/config"}, {"name": "tmp", "mountPath": "/tmp"}],
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]}},
    }  # fmt: skip
    if command is not None:
        container["command"] = command
    spec = {
        "runtimeClassName": "as-built", "restartPolicy": "Never", "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": name}}, {"name": "tmp", "emptyDir": {}}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
    }  # fmt: skip
    pods = "/api/v1/namespaces/images/pods"

    def create() -> bool:
        """The ServiceAccount of a new namespace takes a moment."""
        api_status, _ = api.request("POST", pods, {"metadata": {"name": name}, "spec": spec})
        return api_status in (201, 409)

    eventually("the pod is made", create)

    def ended() -> str | None:
        phase = str((api.get(f"{pods}/{name}") or {}).get("status", {}).get("phase"))
        return phase if phase in ("Succeeded", "Failed") else None

    phase = eventually("the pod's end", ended, 300)
    _, log = api.request("GET", f"{pods}/{name}/log")
    assert phase == "Succeeded", log.decode()
    return log.decode()
