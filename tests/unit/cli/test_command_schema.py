"""``schema``: what an editor checks a manifest with agrees with the API server's own schema."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from cluster.wrong_manifests import GOOD, WRONG, Wrong, changed, drop, put
from distillation_operator.cli import main
from distillation_operator.commands.validation import validate

EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "examples").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Any:
    import contextlib
    import io

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["schema"]) == 0
    schema = json.loads(printed.getvalue())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid(validator: Any, example: Path) -> None:
    for document in yaml.safe_load_all(example.read_text()):
        if document["kind"] == "DistillationJob":
            assert list(validator.iter_errors(document)) == []


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_it_refuses_nothing_that_is_valid_and_names_the_field(validator: Any, wrong: Wrong) -> None:
    """What CEL says the schema can't; what the schema says, ``validate`` says too."""
    errors = list(validator.iter_errors(wrong.manifest()))
    assert not errors or validate(wrong.manifest())


def test_of_most_fields_something_wrong_is_seen_in_the_editor(validator: Any) -> None:
    """What CEL says of several members, a schema can't."""
    seen = [wrong for wrong in WRONG if not validator.is_valid(wrong.manifest())]
    assert len({wrong.field for wrong in seen}) >= len({wrong.field for wrong in WRONG}) / 2


def test_an_unknown_field_is_underlined(validator: Any) -> None:
    manifest = copy.deepcopy(GOOD)
    manifest["spec"]["training"]["stages"][0]["learnRate"] = 1
    [error] = validator.iter_errors(manifest)
    assert "learnRate" in error.message and list(error.path) == ["spec", "training", "stages", 0]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.teacher.source", {}),
        ("spec.teacher.source", {"path": "models/teacher", "huggingFace": {"repo": "org/teacher"}}),
        ("spec.storage", {}),
        ("spec.dataset.promptColumn", "prompt"),
        ("spec.export", {"to": {}}),
        ("spec.pod", {"env": [{"name": "A"}]}),
    ],
)
def test_of_members_that_exclude_each_other_one_is_asked_for(validator: Any, path: str, value: object) -> None:
    assert not validator.is_valid(changed(put(path, value)))


def test_a_name_is_asked_for(validator: Any) -> None:
    assert not validator.is_valid(changed(drop("metadata.name")))
    assert validator.is_valid(changed(put("metadata", {"generateName": "good-"})))
