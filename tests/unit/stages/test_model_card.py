"""The model card says what a model's user and the Hub want to know."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from distillation_api.contract import HuggingFaceRepo, ReportedStage, Source, StageResult
from distillation_stages.models.model_card import model_card
from distillation_stages.runtime.storage import Storage
from unit.stages.lineage import lineage


def front_matter(card: str) -> dict[str, Any]:
    _, text, _ = card.split("---\n", 2)
    return dict(yaml.safe_load(text))


def test_it_tells_where_the_student_comes_from(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    storage.write_marker(
        "prepared", StageResult(stage="p", fingerprint="f", counts={"kept": 12345, "rejected.Empty": 2})
    )
    trained = StageResult(
        stage="t", fingerprint="f", counts={"steps": 20}, metrics={"loss": 2.5}, versions={"maxtext": "0.2.3"}
    )
    storage.write_marker("trained", trained)
    card = model_card(lineage(), storage)
    for told in (
        "# org/student, taught by gs://bucket/teacher",
        "| student | org/student at abc |",
        "| dataset | org/data at main, split train |",
        "| prepare-dataset | kept 12,345, rejected.Empty 2 |",
        "| train-one | steps 20 | loss 2.5 |",
        "| maxtext | 0.2.3 |",
    ):
        assert told in card, told
    assert "Scores" not in card
    assert front_matter(card) == {
        "base_model": "org/student",
        "datasets": ["org/data"],
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["distillation", "maxtext"],
    }


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (Source(path="sets/chats", config="maths", split="test"), "sets/chats, config maths, split test"),
        (
            Source(hugging_face=HuggingFaceRepo(repo="org/data", config="maths", split="train")),
            "org/data at main, config maths, split train",
        ),
    ],
)
def test_it_tells_the_config_and_the_split_of_the_dataset(tmp_path: Path, source: Source, told: str) -> None:
    card = model_card(lineage().model_copy(update={"dataset": source}), Storage(tmp_path))
    assert f"| dataset | {told} |" in card


def test_after_the_evaluation_it_has_the_scores_where_the_hub_finds_them(tmp_path: Path) -> None:
    metrics = {"crossEntropyBefore": 4.0, "crossEntropyAfter": 3.0, "klBefore": 2.0, "klAfter": 1.0}
    evaluated = StageResult(stage="evaluate", fingerprint="f", metrics=metrics)
    card = model_card(lineage(), Storage(tmp_path), evaluated)
    assert "| cross-entropy of the teacher's answers, nats per token | 4 | 3 |" in card
    (model,) = front_matter(card)["model-index"]
    (result,) = model["results"]
    assert {metric["type"]: metric["value"] for metric in result["metrics"]} == {"crossEntropy": 3.0, "kl": 1.0}


def test_it_is_the_same_every_time(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    assert model_card(lineage(), storage) == model_card(lineage(), storage)


@pytest.mark.parametrize(
    ("revision", "told"),
    [
        ("a|b", "a\\|b"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("[click](javascript:alert(1))", "\\[click\\](javascript:alert(1))"),
        ("![x](https://example.org/i)", "!\\[x\\](https://example.org/i)"),
        ("`a` **b**", "\\`a\\` \\*\\*b\\*\\*"),
        ("one\n# two", "one # two"),
        ("of_2026_v1", "of_2026_v1"),
    ],
)
def test_foreign_text_is_only_text_in_it(tmp_path: Path, revision: str, told: str) -> None:
    source = Source(hugging_face=HuggingFaceRepo(repo="org/data", revision=revision))
    card = model_card(lineage().model_copy(update={"dataset": source}), Storage(tmp_path))
    assert f"| dataset | org/data at {told} |" in card


def test_it_names_the_licences_that_are_known(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    origin = lineage()
    read = [ReportedStage(name=name, outputs=[name], chips=0) for name in ("fetch-student", "prepare-dataset")]
    for stage, licence in zip(read, ("apache-2.0", "a|b"), strict=True):
        result = StageResult(stage=stage.name, fingerprint="f", versions={"license": licence})
        storage.write_marker(stage.name, result)
    card = model_card(origin.model_copy(update={"stages": read}), storage)
    assert "The licences of the student (apache-2.0), the teacher and the data (a\\|b) apply." in card
    assert "| license |" not in card


def test_without_known_licences_it_says_whose_apply(tmp_path: Path) -> None:
    assert "The licences of the student, the teacher and the data apply." in model_card(lineage(), Storage(tmp_path))
