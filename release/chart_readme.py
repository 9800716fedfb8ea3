"""The chart's README, which ``helm show readme`` prints: every value from values.yaml's comments and its schema.

A comment above a key with ``# -- `` describes it as one value, whatever is below it; lines before that line say more
about it. A comment above a key without one is about all that is below the key.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from release import files
from release.errors import ReleaseError

CHART = Path(__file__).resolve().parents[1] / "charts" / "distillation-operator"
_MARK = "-- "

_HEAD = """<!-- Generated from values.yaml and values.schema.json by `make generate`; don't edit. -->
# {name}

{description}

## Before

- Kubernetes {kubernetes} and the [JobSet](https://jobset.sigs.k8s.io) controller; [Kueue](https://kueue.sigs.k8s.io)
  where jobs name a queue.
- The five images in a registry that the cluster reads. None is published: `images/README.md` of the project tells how
  to build and push them. As long as one has its default name, the chart refuses to be rendered.
- The namespaces that the value `namespaces` names.

## Install, upgrade, uninstall

```bash
helm install distillation-operator CHART --namespace distillation-system --create-namespace --wait \\
  --set image.repository=REGISTRY/operator --set 'namespaces={{ml}}' \\
  --set stageImages.fetcher=REGISTRY/fetcher:{version} --set stageImages.converter=REGISTRY/converter:{version} \\
  --set stageImages.teacher=REGISTRY/teacher:{version} --set stageImages.trainer=REGISTRY/trainer:{version}
helm test distillation-operator --namespace distillation-system
```

`CHART` is this chart's folder, its archive, or `oci://REGISTRY/charts/distillation-operator`. An upgrade replaces the
CustomResourceDefinition too, and running jobs go on. `helm uninstall` keeps it and all DistillationJobs unless
`crds.keep` is false.

## Values

| value | type | default | meaning |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Value:
    """One value of the chart, with its dotted path."""

    path: str
    type: str
    default: Any
    description: str


@dataclass(frozen=True)
class Group:
    """Several values with a description of their own, and the dotted path of what they are below."""

    path: str
    description: str


def readme(chart: Path = CHART) -> str:
    """The text for a chart's folder. Raises ReleaseError for a value without description or schema."""
    told = yaml.safe_load((chart / "Chart.yaml").read_text())
    head = _HEAD.format(
        name=told["name"],
        description=told["description"],
        kubernetes=told["kubeVersion"].removesuffix("-0"),
        version=told["appVersion"],
    )
    schema = json.loads((chart / "values.schema.json").read_text())
    return head + "".join(_row(entry) for entry in entries((chart / "values.yaml").read_text(), schema))


def _row(entry: Value | Group) -> str:
    if isinstance(entry, Group):
        return f"| **{entry.path}** | | | {_cell(entry.description)} |\n"
    default = json.dumps(entry.default, ensure_ascii=False).replace("|", "\\|")
    return f"| `{entry.path}` | {_cell(entry.type)} | `{default}` | {_cell(entry.description)} |\n"


def entries(text: str, schema: dict[str, Any]) -> Iterator[Value | Group]:
    """The values of a values.yaml in its order, each group before what is below it."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise ReleaseError("values.yaml must be a mapping")
    yield from _mapping(root, yaml.safe_load(text), text.splitlines(), "", schema, schema)


def _mapping(
    node: yaml.MappingNode, values: dict[str, Any], lines: list[str], path: str, schema: Any, root: Any
) -> Iterator[Value | Group]:
    for key, below in node.value:
        name = f"{path}.{key.value}" if path else key.value
        described, comment = _comment(lines, key.start_mark.line)
        part = _resolved(schema.get("properties", {}).get(key.value), root)
        if part is None:
            raise ReleaseError(f"values.yaml has {name}, which values.schema.json doesn't know")
        if described:
            yield Value(name, type_of(part, root), values[key.value], comment)
        elif isinstance(below, yaml.MappingNode) and below.value:
            if comment:
                yield Group(name, comment)
            yield from _mapping(below, values[key.value], lines, name, part, root)
        else:
            raise ReleaseError(f"values.yaml has {name} without a line `# {_MARK}...` above it that describes it")


def _comment(lines: list[str], line: int) -> tuple[bool, str]:
    """The comment right above a line, that with the mark first, and whether a line of it has the mark."""
    above: list[str] = []
    while line and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        above.insert(0, lines[line].lstrip().removeprefix("#").strip())
    marked = next((number for number, text in enumerate(above) if text.startswith(_MARK)), None)
    if marked is None:
        return False, " ".join(above)
    return True, " ".join([*above[marked:], *above[:marked]]).removeprefix(_MARK)


def type_of(part: dict[str, Any], root: dict[str, Any]) -> str:
    """What a part of a JSON schema allows, in a few words."""
    part = _resolved(part, root)
    if "enum" in part:
        return "one of " + ", ".join(str(choice) for choice in part["enum"])
    types = [part["type"]] if isinstance(part["type"], str) else list(part["type"])
    words = [_type(kind, part, root) for kind in types if kind != "null"]
    return " or ".join([*words, *(["null"] if "null" in types else [])])


def _type(kind: str, part: dict[str, Any], root: dict[str, Any]) -> str:
    if kind == "array":
        of, _, limits = type_of(part["items"], root).partition(", ")
        return f"list of {of}s" + (f", each {limits}" if limits else "")
    if kind == "object":
        more = part.get("additionalProperties")
        return f"map of {type_of(more, root)}s" if isinstance(more, dict) else "object"
    if "minimum" in part and "maximum" in part:
        return f"{kind}, {part['minimum']} to {part['maximum']}"
    return kind


def _resolved(part: Any, root: dict[str, Any]) -> Any:
    while isinstance(part, dict) and "$ref" in part:
        found: Any = root
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def main() -> int:
    """Write the README beside the chart."""
    files.write(CHART / "README.md", readme())
    return 0


if __name__ == "__main__":
    sys.exit(main())
