"""What differs between specs."""

from collections.abc import Mapping
from typing import Any

from distillation_operator.commands.compare.differences import UNKNOWN, Spec, differences
from distillation_operator.commands.compare.filled_spec import filled
from distillation_operator.commands.words import short
from unit.cli.compared_runs import spec


def compared(*specs: Mapping[str, Any], partial: tuple[int, ...] = ()) -> dict[str, list[Any]]:
    """The differing fields; ``partial``: specs of reports."""
    read = [
        Spec(one.whole, one.lean, number not in partial) for number, one in enumerate(filled(spec) for spec in specs)
    ]
    return {difference.path: list(difference.values) for difference in differences(read)}


def test_a_default_that_is_written_out_is_no_difference() -> None:
    written = spec(retries={"failures": 2}, suspend=False, generation={"shards": 1, "accelerator": None})
    assert compared(spec(), written) == {}


def test_a_default_differs_from_another_value() -> None:
    assert compared(spec(), spec(retries={"failures": 5})) == {"retries.failures": [2, 5]}


def test_what_only_one_has_is_absent_in_the_other() -> None:
    assert compared(spec(), spec(budget={"maxChipHours": 3})) == {"budget.maxChipHours": [None, 3.0]}


def test_stages_are_compared_by_name() -> None:
    turned = spec()
    turned["training"] = {"stages": list(reversed(turned["training"]["stages"]))}
    assert compared(spec(), turned) == {
        "training.stages": [["teacher-data", "original-data"], ["original-data", "teacher-data"]]
    }


def test_a_stage_that_one_has_alone_is_told_as_it_was_written() -> None:
    alone = spec()
    alone["training"] = {"stages": alone["training"]["stages"][:1]}
    found = compared(alone, spec())
    assert found == {
        "training.stages": [["teacher-data"], ["teacher-data", "original-data"]],
        "training.stages[original-data]": [None, {"steps": 20, "data": "OriginalDataset"}],
    }


def test_a_stage_is_told_without_its_defaults_and_its_fields_only_where_they_differ() -> None:
    """The API server writes all defaults into the spec."""
    whole = filled(spec()).whole
    others = [filled(spec(rate)).whole for rate in (1e-4, 3e-4)]
    for one in others:
        one["training"]["stages"][:] = one["training"]["stages"][:1]
    assert compared(whole, *others) == {
        "training.stages": [["teacher-data", "original-data"], ["teacher-data"], ["teacher-data"]],
        "training.stages[teacher-data].learningRate": [1e-4, 1e-4, 3e-4],
        "training.stages[original-data]": [{"steps": 20, "data": "OriginalDataset"}, None, None],
    }


def test_an_empty_object_is_none() -> None:
    assert compared(spec(), spec(evaluation={}, pod={})) == {}


def test_a_report_does_not_tell_what_determines_no_result() -> None:
    ours = spec(retries={"failures": 5}, export={"to": {"path": "models/mine"}})
    theirs = spec(learning_rate=2e-4)
    found = compared(ours, spec(), theirs, partial=(2,))
    assert found == {
        "training.stages[teacher-data].learningRate": [1e-4, 1e-4, 2e-4],
        "retries.failures": [5, 2, UNKNOWN],
        "export.to.path": ["models/mine", None, UNKNOWN],
    }


def test_fields_of_another_version_are_compared_as_written_and_the_rest_is_filled_in() -> None:
    newer = spec(telescope={"lens": 3})
    newer["training"]["stages"][0] |= {"curriculum": "easyFirst", "dtype": "float8"}
    read = filled(newer)
    assert sorted(read.foreign) == ["telescope", "training.stages[0].curriculum", "training.stages[0].dtype"]
    assert read.whole["retries"]["failures"] == 2
    assert compared(spec(), newer) == {
        "training.stages[teacher-data].dtype": ["bfloat16", "float8"],
        "training.stages[teacher-data].curriculum": [None, "easyFirst"],
        "telescope.lens": [None, 3],
    }


def test_a_spec_that_is_none_is_compared_as_written() -> None:
    odd: dict[str, Any] = {"teacher": 5, "training": {"stages": [1, {"name": "a"}, None]}, "x": [[], {}]}
    assert filled(odd).whole["teacher"] == 5
    assert filled(odd).foreign
    assert compared(odd, odd) == {}
    assert "student.source.path" in compared(odd, spec())


def test_long_values_that_differ_at_their_end_stay_apart() -> None:
    first, second = short("x" * 500 + "a", 100), short("x" * 500 + "b", 100)
    assert first != second
    assert len(first) < 160
    assert "501 characters" in first


def test_values_that_look_absent_are_quoted() -> None:
    assert [short(value, 40) for value in (None, "", "-", " a", True, 3e-5, 0.1 + 0.2)] == [
        "-", '""', '"-"', '" a"', "true", "3e-05", "0.3",
    ]  # fmt: skip
