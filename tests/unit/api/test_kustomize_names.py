"""The kustomize configuration that is shipped knows each place where a DistillationJob names another object."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from distillation_api.schemas.crd import custom_resource_definition

NAMES = Path(__file__).resolve().parents[3] / "examples" / "kustomize" / "names.yaml"
NAMING = {"secretName", "imagePullSecrets", "serviceAccountName", "claimName", "priorityClassName"}
"""Members of a spec that are names of objects, wherever they stand."""


def configured() -> dict[str, str]:
    """By path, the kind of what is named there."""
    references = yaml.safe_load(NAMES.read_text())["nameReference"]
    return {spec["path"]: reference["kind"] for reference in references for spec in reference["fieldSpecs"]}


def paths(schema: dict[str, Any], path: str) -> Iterator[str]:
    for name, member in schema.get("properties", {}).items():
        below = f"{path}/{name}"
        yield below
        yield from paths(member, below)
        yield from paths(member.get("items", {}), below)


def test_every_name_of_an_object_is_configured_and_no_other_field() -> None:
    """U26."""
    spec = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    named = {path for path in paths(spec, "spec") if path.rsplit("/", 1)[1] in NAMING}
    assert set(configured()) == named | {"spec/queue/name"}


def test_secrets_are_secrets() -> None:
    for path, kind in configured().items():
        assert (kind == "Secret") == ("ecret" in path), path
