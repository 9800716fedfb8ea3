"""The CRD file is what the models say, small enough, and described throughout."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillation_api.resource import DistillationJob
from distillation_api.schemas import crd
from distillation_api.schemas.reference import reference

FILE = Path(__file__).resolve().parents[3] / "crds" / "distillationjobs.yaml"


def test_the_committed_file_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    crd.main()
    assert FILE.read_text() == capsys.readouterr().out, "crds/ is stale: run `make generate`"


def test_the_file_is_the_definition() -> None:
    assert yaml.safe_load(FILE.read_text()) == crd.custom_resource_definition()


def test_size() -> None:
    """Case 50."""
    assert FILE.stat().st_size < 200_000


def test_every_field_is_described() -> None:
    schema = _schema()
    # The API server itself describes the metadata, and allows no description there.
    assert [path for path, node in _fields(schema, "") if not node.get("description")] == [".metadata"]


def test_every_list_text_and_map_of_the_spec_is_bounded() -> None:
    bounds = {"array": "maxItems", "string": "maxLength", "integer": "maximum"}
    unbounded = [
        path
        for path, node in _nodes(_schema()["properties"]["spec"], "spec")
        if (bounds.get(node["type"], "type") not in node and "enum" not in node)
        or ("additionalProperties" in node and "maxProperties" not in node)
    ]
    assert unbounded == []


def test_few_rules_are_evaluated_for_each_write() -> None:
    """The API server evaluates them all at each status update; what a job does not have costs nothing."""
    manifest = yaml.safe_load((FILE.parents[1] / "examples" / "llama3-8b-to-1b.yaml").read_text())
    job = DistillationJob.parse(manifest).to_json_dict()
    assert sum(_evaluated(job, _schema())) <= 60
    several = {**job["spec"]["training"], "stages": job["spec"]["training"]["stages"] * 2}
    twice = {**job, "spec": {**job["spec"], "training": several}}
    assert sum(_evaluated(twice, _schema())) - sum(_evaluated(job, _schema())) <= 6


def _evaluated(value: Any, node: dict[str, Any]) -> Iterator[int]:
    """The numbers of rules at a value and at all that it contains."""
    yield len(node.get("x-kubernetes-validations", ()))
    if isinstance(value, dict):
        for name, member in node.get("properties", {}).items():
            yield from _evaluated(value[name], member) if name in value else ()
    elif isinstance(value, list):
        for item in value:
            yield from _evaluated(item, node["items"])


def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = crd.custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    yield from _fields(node, path)
    if "items" in node:
        yield from _nodes(node["items"], f"{path}[]")
    if "additionalProperties" in node:
        yield from _nodes(node["additionalProperties"], f"{path}.*")


def _fields(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, member in node.get("properties", {}).items():
        yield f"{path}.{name}", member
        yield from _fields(member, f"{path}.{name}")
        if "items" in member:
            yield from _fields(member["items"], f"{path}.{name}[]")


def test_explain_has_defaults_and_ranges_and_the_page_has_them_in_columns() -> None:
    version = crd.custom_resource_definition()["spec"]["versions"][0]
    retries = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["retries"]["properties"]
    assert retries["failures"]["description"].endswith("is never retried. From 0 to 100. Default 2.")
    assert (retries["failures"]["minimum"], retries["failures"]["default"]) == (0, 2)
    assert "Default 2." not in reference() and "| `failures` | integer (≥ 0, ≤ 100) | `2` |" in reference()


def test_what_can_be_selected_and_shown_is_in_the_schema() -> None:
    """Of a column that isn't in it the API server shows nothing, and says nothing."""
    version = crd.custom_resource_definition()["spec"]["versions"][0]
    paths = [field["jsonPath"] for field in (*version["selectableFields"], *version["additionalPrinterColumns"])]
    for path in paths:
        node = version["schema"]["openAPIV3Schema"]
        for name in path.removeprefix(".").split(".") if not path.startswith(".metadata") else ():
            node = node["properties"][name]
        assert path.startswith(".metadata") or node["type"] == "string"
