"""What ``compare`` says of scores: whether they can be compared, and of which tokens they are."""

import json
from pathlib import Path
from typing import Any

import pytest

from distillation_operator.cli import main
from unit.cli.compared_runs import facts, job, rows, spec, write_facts, write_json


def dataset(limit: int) -> dict[str, Any]:
    return {"source": {"path": "data/prompts.jsonl"}, "messagesColumn": "messages", "limit": limit}


NOT_COMPARABLE = {
    "dataset": (spec(dataset=dataset(100)), "differ in dataset.limit, which"),
    "teacher": (spec(teacher={"source": {"path": "models/other"}}), "differ in teacher.source.path, which"),
    "generation": (spec(generation={"sampling": {"seed": 1}}), "differ in generation.sampling.seed, which"),
    "several": (
        spec(dataset=dataset(100), generation={"shards": 2, "sampling": {"seed": 1, "topK": 5, "maxTokens": 64}}),
        "differ in dataset.limit, generation.shards, generation.sampling.topK and 2 more fields, which",
    ),
}


@pytest.mark.parametrize("case", NOT_COMPARABLE)
def test_no_run_is_the_best_by_scores_of_other_rows_or_answers(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, told = NOT_COMPARABLE[case]
    files = [
        str(write_json(tmp_path / f"{name}.json", job(name, after=after, spec=spec_)))
        for name, after, spec_ in (("one", 3.25, spec()), ("two", 2.75, other))
    ]
    page = tmp_path / "page.html"
    assert main(["compare", *files, "--html", str(page)]) == 0
    out = capsys.readouterr().out
    assert rows(out)["cross-entropy, after"] == ["3.25", "2.75"]
    assert "*" not in out
    (line,) = [line for line in out.splitlines() if line.startswith("The scores can't be compared")]
    assert told in line
    assert line in page.read_text()
    assert "\u2605" not in page.read_text()
    assert main(["compare", *files, "--json"]) == 0
    as_data = json.loads(capsys.readouterr().out)
    assert (as_data["scoresAreComparable"], line in as_data["remarks"]) == (False, True)


@pytest.mark.parametrize(
    "other",
    [
        spec(generation={"resources": {"cpu": "4", "memory": "8Gi"}}),
        spec(teacher={"source": {"path": "models/smollm2-135m-instruct"}, "maxTextModel": "llama3.1-8b"}),
        spec(2e-4, student={"source": {"path": "models/other"}}),
    ],
)
def test_what_changes_no_answer_leaves_scores_comparable(
    other: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [
        str(write_json(tmp_path / f"{name}.json", job(name, after=after, spec=spec_)))
        for name, after, spec_ in (("one", 3.25, spec()), ("two", 2.75, other))
    ]
    assert main(["compare", *files]) == 0
    out = capsys.readouterr().out
    assert rows(out)["cross-entropy, after"] == ["3.25", "2.75 *"]
    assert "can't be compared" not in out
    assert main(["compare", *files, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scoresAreComparable"] is True


def test_runs_of_equal_specs_that_scored_other_tokens_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file of the dataset has changed, or the teacher has answered anew in another storage."""
    counts = {"scored": 24, "scoredTokens": 901, "teacherTokens": 901}
    paths = [
        str(write_facts(tmp_path / "a", facts(3.0))),
        str(write_facts(tmp_path / "b", facts(2.5, rows=counts))),
    ]
    assert main(["compare", *paths]) == 0
    out = capsys.readouterr().out
    assert "The scores can't be compared: they are of 900 to 901 held-out tokens." in out
    assert rows(out)["cross-entropy, after"] == ["3", "2.5"]


PART = {"scored": 300, "scoredTokens": 9000, "teacherTokens": 4096}


def test_scores_of_a_part_of_the_held_out_tokens_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part, other = facts(rows=PART), facts(rows={**PART, "scoredTokens": 9000, "teacherTokens": 4000})
    paths = [str(write_facts(tmp_path / name, one)) for name, one in (("a", part), ("b", other), ("c", facts()))]
    assert main(["compare", paths[2]]) == 0
    out = capsys.readouterr().out
    assert rows(out)["cross-entropy, teacher"] == ["1.1"]
    assert "of the first" not in out
    told = "KL, top-1 agreement and the teacher's cross-entropy are of the first 4,096 of 9,000 held-out tokens."
    assert main(["compare", paths[0]]) == 0
    out = capsys.readouterr().out
    assert rows(out)["cross-entropy, teacher (part of the tokens)"] == ["1.1"]
    assert told in out
    assert main(["compare", paths[0], "--json"]) == 0
    assert told in json.loads(capsys.readouterr().out)["remarks"]
    assert main(["compare", *paths]) == 0
    out = capsys.readouterr().out
    assert rows(out)["cross-entropy, teacher (part of the tokens)"] == ["1.1", "1.1", "1.1"]
    assert "In 2 of the 3 runs KL," in out
    assert "are of the first 4,000 to 4,096 of 9,000 held-out tokens." in out


def test_a_status_tells_what_part_of_the_tokens_is_compared_with_the_teacher(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = job("one")
    one["status"]["stages"][-1]["counts"] = {"rows": 300, "tokens": 9000, "klTokens": 4096}
    assert main(["compare", str(write_json(tmp_path / "one.json", one))]) == 0
    assert "are of the first 4,096 of 9,000 held-out tokens." in capsys.readouterr().out
