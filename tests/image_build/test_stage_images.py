"""The stages' images, built whole and run: 4 to 10 GB each, so they are a target of their own (``make images-all``)."""

import os
from pathlib import Path

import pytest

from image_build.pods import run_pod
from release import buildah
from testbed.cluster import Testbed

IMPORTED = {
    "fetcher": "datasets, google.cloud.storage, huggingface_hub",
    "trainer": "jax, maxtext",
    "converter": "jax, maxtext, torch, transformers",
    "teacher": "vllm",
}
STAGE_IMAGES = os.environ.get("STAGE_IMAGES", " ".join(IMPORTED)).split()

pytestmark = pytest.mark.timeout(1800)


@pytest.mark.parametrize("name", STAGE_IMAGES)
def test_a_stage_image_has_what_its_programs_import(name: str, testbed: Testbed, tmp_path: Path) -> None:
    buildah.prepare()
    image = buildah.build(name)
    archive = buildah.archive(image, tmp_path / f"{name}.tar")
    buildah.remove(image)  # each copy is of gigabytes
    testbed.site.namespace.output(["ctr", "--namespace", "k8s.io", "images", "import", str(archive)], timeout=900)
    archive.unlink()
    script = f"import {IMPORTED[name]}, distillation_stages.__main__; print('imported')"
    assert run_pod(testbed, image, ["-c", script], command=["/opt/venv/bin/python"]).splitlines()[-1] == "imported"
