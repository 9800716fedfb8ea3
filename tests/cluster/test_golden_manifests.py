"""Every golden Job and JobSet is what a real API server, with JobSet's webhooks on, accepts."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from support.objects import CHECKOUT

GOLDEN = CHECKOUT / "tests" / "unit" / "manifests" / "golden"
FILES = sorted(GOLDEN.glob("*/*.yaml"))


def test_both_examples_have_golden_manifests() -> None:
    assert {path.parent.name for path in FILES} == {"deepseek2-16b-to-llama2-7b", "smollm2-cpu"}
    assert {yaml.safe_load(path.read_text())["kind"] for path in FILES} == {"Job", "JobSet"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_api_server_accepts_a_golden_manifest(path: Path, api_client: client.ApiClient, namespace: str) -> None:
    manifest = yaml.safe_load(path.read_text())
    manifest["metadata"]["namespace"] = namespace
    group, version = manifest["apiVersion"].split("/")
    api: Any = client.CustomObjectsApi(api_client)
    made = api.create_namespaced_custom_object(
        group, version, namespace, f"{manifest['kind'].lower()}s", manifest, dry_run="All", field_validation="Strict"
    )
    assert made["metadata"]["name"] == manifest["metadata"]["name"]
