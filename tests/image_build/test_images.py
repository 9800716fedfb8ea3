"""The images as they are built: small, labelled, with their bill of materials, not root; and they run."""

import hashlib
import json
import re
import tarfile
from pathlib import Path

import pytest

from image_build.pods import run_pod
from release import buildah, images
from testbed.cluster import Testbed
from testbed.layout import CHECKOUT

OPERATOR_LIMIT = 200_000_000
NAMES = ("operator", "fetcher", "teacher", "converter", "trainer")

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="session")
def operator_image() -> str:
    buildah.prepare()
    return buildah.build("operator", "--build-arg", "VERSION=0.1.0", "--build-arg", "REVISION=abc")


@pytest.mark.parametrize("name", NAMES)
def test_every_dockerfile_keeps_the_rules(name: str) -> None:
    text = (CHECKOUT / "images" / name / "Dockerfile").read_text()
    assert text.count("FROM ${BASE}") == 2, "built in one stage, run in another"
    assert "ARG BASE=" in text and "USER 65532:65532" in text
    assert "--require-hashes" in text and "--no-deps" in text
    packages = re.findall(r"^COPY .* (/app/distillation_[a-z]+)$", text.rpartition("FROM ${BASE}")[2], re.MULTILINE)
    assert packages == ["/app/distillation_api", f"/app/distillation_{'operator' if name == 'operator' else 'stages'}"]
    assert not re.search(r"^RUN .*\$", text, re.MULTILINE), "there is no shell that would expand it"
    locks = re.findall(r"\brequirements/([a-zA-Z${}-]+)\.txt", text)
    assert {lock.replace("${LOCK}", "teacher") for lock in locks} == {"sbom", name}
    for lock in (name, "sbom", "teacher-tpu"):
        locked = (CHECKOUT / "requirements" / f"{lock}.txt").read_text()
        assert "--index-url" not in locked and "://" not in re.sub(r"#.*", "", locked)


def test_the_image_that_holds_the_token_can_run_no_model() -> None:
    """F17. It has the libraries of the same versions as the converter, which reads what it has prepared."""
    locks = {name: (CHECKOUT / "requirements" / f"{name}.txt").read_text() for name in ("fetcher", "converter")}
    fetcher, converter = (set(re.findall(r"^([a-z0-9.-]+==\S+)", text, re.MULTILINE)) for text in locks.values())
    assert not {"torch", "jax", "maxtext", "transformers", "vllm"} & {package.split("==")[0] for package in fetcher}
    assert fetcher <= converter


def test_the_operators_image_is_small_and_says_what_is_in_it(operator_image: str) -> None:
    assert buildah.size(operator_image) < OPERATOR_LIMIT
    configuration = buildah.configuration(operator_image)
    labels = configuration["Labels"]
    assert labels["org.opencontainers.image.version"] == "0.1.0"
    assert labels["org.opencontainers.image.revision"] == "abc"
    assert configuration["User"] == "65532:65532"
    assert not [variable for variable in configuration["Env"] if variable.startswith("PIP_")]
    bill = json.loads(buildah.read(operator_image, "/app/sbom.cdx.json"))
    assert bill["bomFormat"] == "CycloneDX"
    packages = {part["name"].lower().replace("_", "-"): part["version"] for part in bill["components"]}
    locked = dict(
        line.split(" ")[0].split("==")
        for line in (CHECKOUT / "requirements" / "operator.txt").read_text().splitlines()
        if re.match(r"[a-z0-9.-]+==", line)
    )
    assert packages == locked


def test_a_release_has_it_by_digest_with_its_bill_of_materials(operator_image: str, tmp_path: Path) -> None:
    """The digest is that of the manifest in the archive, which a registry takes as it is."""
    made = images.export(operator_image, "operator", "1.2.3", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"operator-1.2.3.oci.tar", "operator-1.2.3.cdx.json"}
    with tarfile.open(tmp_path / "operator-1.2.3.oci.tar") as archive:
        blobs = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        read = {name.removeprefix("./"): blob.read() for name, blob in blobs.items() if blob is not None}
    [listed] = json.loads(read["index.json"])["manifests"]
    assert listed["digest"] == made.digest
    manifest = read[f"blobs/sha256/{made.digest.removeprefix('sha256:')}"]
    assert hashlib.sha256(manifest).hexdigest() == made.digest.removeprefix("sha256:")
    assert all(layer["mediaType"].endswith("tar+gzip") for layer in json.loads(manifest)["layers"])
    bill = (tmp_path / "operator-1.2.3.cdx.json").read_text()
    assert json.loads(bill)["bomFormat"] == "CycloneDX"
    assert not {"serialNumber", "timestamp"} & {*json.loads(bill), *json.loads(bill)["metadata"]}, "the same each time"


def test_the_operators_image_runs_in_a_restricted_pod(operator_image: str, testbed: Testbed, tmp_path: Path) -> None:
    site = testbed.site
    archive = buildah.archive(operator_image, tmp_path / "operator.tar")
    site.namespace.output(["ctr", "--namespace", "k8s.io", "images", "import", str(archive)], timeout=120)
    manifest = (CHECKOUT / "examples" / "smollm2-cpu.yaml").read_text()
    assert run_pod(testbed, operator_image, ["crd"]).startswith("# Generated")
    assert "valid" in run_pod(testbed, operator_image, ["validate", "/config/job.yaml"], {"job.yaml": manifest})
