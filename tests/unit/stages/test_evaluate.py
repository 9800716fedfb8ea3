"""What is scored, what the gate lets through, and what the result says."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distillation_api.contract import (
    FACTS_NAME,
    JOB_ENV,
    EvaluateProgram,
    Gate,
    JobIdentity,
    ReportFacts,
    StageResult,
)
from distillation_stages.data.tables import COMPLETIONS, write_table
from distillation_stages.programs.evaluate import evaluation as evaluate
from distillation_stages.programs.evaluate.answers import LEAST_TOKENS, Answer
from distillation_stages.programs.evaluate.scoring import (
    LOGITS_AT_ONCE,
    ROWS_AT_ONCE,
    TOKENS_AT_ONCE,
    Score,
    Scored,
    batches,
    groups,
)
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage
from unit.stages.stage_inputs import OUTPUT, finish, prompt_of, spec_of

END = 99


class LetterRenderer:
    """Each letter is a token."""

    @staticmethod
    def load(model: Path, chat_template: str | None, arguments: dict[str, str]) -> "LetterRenderer":
        return LetterRenderer()

    def prompt_ids(self, prompt: list[dict[str, str]], tools: object = None) -> list[int]:
        return self.token_ids(prompt[-1]["content"])

    def token_ids(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def end_of_turn(self) -> int:
        return END

    def text(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))


class FakeModel:
    """A model whose cross-entropy stands in its directory's name. It finds the teacher's likeliest token never."""

    seen: list[Scored] = []

    def __init__(self, directory: Path) -> None:
        self._cross_entropy = float(directory.name)

    def refer(self, rows: Sequence[Scored], on_rows: Callable[[int], None]) -> SimpleNamespace:
        on_rows(len(rows))
        score = Score(self._cross_entropy, kl=0.0, top1_agreement=1.0)
        return SimpleNamespace(tokens=sum(len(row.answer_ids) for row in rows), score=score)

    def score(self, rows: Sequence[Scored], reference: object, on_rows: Callable[[int], None]) -> Score:
        FakeModel.seen = list(rows)
        on_rows(len(rows))
        return Score(self._cross_entropy)

    def answers(self, prompts: Sequence[list[int]], max_tokens: int, end: int) -> list[Answer]:
        """As many letters as its cross-entropy. From 10 nats on it repeats itself to the limit."""
        ends = self._cross_entropy < 10
        return [Answer([ord("x")] * (int(self._cross_entropy) if ends else max_tokens), ends) for _ in prompts]


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setattr(evaluate, "Renderer", LetterRenderer)
    monkeypatch.setattr(evaluate, "LanguageModel", FakeModel)
    storage = Storage(tmp_path)
    for shard in range(2):
        rows = [completion(100 * shard + number, "holdout" if number % 2 else "train") for number in range(16)]
        write_table(storage.at(f"generated/shard-{shard}/chunk-00000.parquet"), COMPLETIONS, rows)
        finish(storage, f"generated/shard-{shard}", completions=f"generated/shard-{shard}")
    return storage


def completion(row: int, split: str, finish_reason: str = "stop") -> dict[str, object]:
    return {
        "row": row,
        "sample": 0,
        "split": split,
        "prompt": prompt_of(f"q{row}"),
        "reference": None,
        "completion": f"a{row}",
        "finishReason": finish_reason,
        "promptTokens": 1,
        "completionTokens": 1,
    }


def score(storage: Storage, before: str = "4", after: str = "3", **members: object) -> StageResult:
    """Run the program with models of these cross-entropies."""
    finish(storage, "before", model=f"models/{before}")
    finish(storage, "after", model=f"models/{after}")
    program = {"before": "before", "after": "after", "completions": "generated", "shards": 2, **members}
    return evaluate.run(spec_of(EvaluateProgram.model_validate(program)), storage)


def test_both_scores_their_drop_and_perplexities_are_told(storage: Storage) -> None:
    result = score(storage)
    assert result.metrics == {
        "crossEntropyBefore": 4.0,
        "crossEntropyAfter": 3.0,
        "crossEntropyDrop": 0.25,
        "perplexityBefore": math.exp(4),
        "perplexityAfter": math.exp(3),
        "degenerateAfter": 0.0,
        "answerTokensTeacher": 3.5,
        "endsByItselfTeacher": 1.0,
        "repetitionTeacher": 0.0,
        "answerTokensBefore": 4.0,
        "endsByItselfBefore": 1.0,
        "repetitionBefore": 0.0,
        "answerTokensAfter": 3.0,
        "endsByItselfAfter": 1.0,
        "repetitionAfter": 0.0,
    }
    assert storage.read_marker(OUTPUT) == result


def test_the_student_between_two_training_stages_is_scored_too(storage: Storage) -> None:
    finish(storage, "between", model="models/3.5")
    result = score(storage, between={"teacher-data": "between"})
    scores = json.loads(storage.at(result.outputs["scores"]).read_text())
    assert [(one["model"], one["crossEntropy"]) for one in scores["models"]] == [
        ("before", 4.0),
        ("teacher-data", 3.5),
        ("after", 3.0),
    ]
    assert [one["model"] for one in scores["answers"]["models"]] == ["the teacher", "before", "teacher-data", "after"]
    report = storage.at(result.outputs["report"]).read_text()
    assert "teacher-data" in report


def facts_in(storage: Storage) -> ReportFacts:
    """Those of the one report in the output's folder."""
    (path,) = storage.at(OUTPUT).glob(f"*/{FACTS_NAME}")
    return ReportFacts.model_validate_json(path.read_text())


def test_the_facts_say_what_the_report_shows(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JOB_ENV, "ml/one")
    finish(storage, "between", model="models/3.5")
    reported = [{"name": f"train-{name}", "outputs": [f"train-{name}"], "chips": 4} for name in ("a", "b")]
    spec = '{"teacher": {"source": {"huggingFace": {"repo": "org/big"}}}}'
    members: dict[str, Any] = {
        "between": {"a": "between"},
        "reported": reported,
        "spec": spec,
        "minCrossEntropyDrop": 0.2,
    }
    result = score(storage, **members)
    facts = facts_in(storage)
    assert storage.at(result.outputs["facts"]).name == FACTS_NAME
    assert facts.job == JobIdentity(namespace="ml", name="one")
    assert [(one.name, one.cross_entropy) for one in facts.scores] == [("before", 4.0), ("a", 3.5), ("b", 3.0)]
    assert facts.gate == Gate(threshold=0.2, value=0.25, passed=True)
    assert (facts.sources.teacher, facts.sources.student) == ("org/big", "")
    assert [(stage.name, stage.chips) for stage in facts.stages] == [("train-a", 4), ("train-b", 4), ("evaluate", 0)]
    assert (facts.rows.scored, facts.rows.scored_tokens) == (16, result.counts["tokens"])
    assert [one.name for one in facts.answers] == ["teacher", "before", "a", "b"]


def test_the_facts_are_there_when_the_gate_stops(storage: Storage) -> None:
    with pytest.raises(StageError):
        score(storage, before="4", after="4", minCrossEntropyDrop=0.1)
    assert facts_in(storage).gate == Gate(threshold=0.1, value=0.0, passed=False)


def test_the_teachers_own_score_is_the_line_to_reach(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "not_comparable_reason", lambda teacher, student: None)
    finish(storage, "teacher", model="models/1.5")
    result = score(storage, teacher="teacher")
    facts = facts_in(storage)
    assert facts.teacher is not None
    assert (facts.teacher.cross_entropy, facts.teacher.kl) == (1.5, 0.0)
    assert facts.rows.teacher_tokens == result.counts["klTokens"]
    assert json.loads(storage.at(result.outputs["scores"]).read_text())["teacher"]["crossEntropy"] == 1.5


def test_without_a_teacher_there_is_no_line_to_reach(storage: Storage) -> None:
    score(storage)
    assert facts_in(storage).teacher is None
    assert facts_in(storage).no_kl_because == "no teacher is named"


def test_only_holdout_rows_of_all_shards_are_scored_each_with_its_end(storage: Storage) -> None:
    result = score(storage)
    answers = ["".join(map(chr, row.answer_ids[:-1])) for row in FakeModel.seen]
    assert answers == [f"a{100 * shard + number}" for shard in range(2) for number in range(1, 16, 2)]
    assert {row.answer_ids[-1] for row in FakeModel.seen} == {END}
    assert result.counts == {"rows": 16, "tokens": sum(len(answer) + 1 for answer in answers)}


def test_a_truncated_answer_has_no_end_to_predict(storage: Storage) -> None:
    rows = [completion(7, "holdout", "length")]
    for shard in range(2):
        write_table(storage.at(f"generated/shard-{shard}/chunk-00000.parquet"), COMPLETIONS, rows if shard else [])
    score(storage)
    assert FakeModel.seen == [Scored([ord("q"), ord("7")], [ord("a"), ord("7")])]


def test_samples_show_the_teacher_and_both_students(storage: Storage) -> None:
    samples = json.loads(storage.at(score(storage).outputs["samples"]).read_text())
    assert len(samples) == evaluate.SAMPLES == 16
    assert samples[0] == {"row": 1, "prompt": prompt_of("q1"), "teacher": "a1", "before": "xxxx", "after": "xxx"}


def only(storage: Storage, *rows: dict[str, object]) -> None:
    """Let generate have written these rows alone."""
    for shard in range(2):
        path = storage.at(f"generated/shard-{shard}/chunk-00000.parquet")
        write_table(path, COMPLETIONS, [] if shard else rows)


def test_a_student_that_repeats_itself_to_the_limit_is_seen_at_a_glance(storage: Storage) -> None:
    result = score(storage, after="10")
    assert result.metrics["degenerateAfter"] == 1.0
    assert result.metrics["endsByItselfAfter"] == 0.0
    assert result.metrics["answerTokensAfter"] == LEAST_TOKENS
    assert result.metrics["repetitionAfter"] == pytest.approx(44 / 45)
    told = json.loads(storage.at(result.outputs["scores"]).read_text())["answers"]["degeneration"]
    assert told.startswith("0% of its answers end by themselves, of the teacher's 100%; 98% of its 4-grams")
    assert "answers degenerate." in storage.at(result.outputs["report"]).read_text()


def test_a_gate_that_stops_leaves_the_report_with_the_answers(storage: Storage) -> None:
    with pytest.raises(StageError):
        score(storage, before="11", after="10", minCrossEntropyDrop=0.5)
    (report,) = storage.at(OUTPUT).glob("*/report.html")
    assert "answers degenerate." in report.read_text()


def test_the_teachers_cut_answers_do_not_end_by_themselves(storage: Storage) -> None:
    only(storage, completion(1, "holdout", "length"), completion(2, "holdout"), completion(3, "holdout", "length"))
    metrics = score(storage).metrics
    assert metrics["endsByItselfTeacher"] == pytest.approx(1 / 3)
    assert metrics["answerTokensTeacher"] == 2.0


def test_one_sample_is_enough(storage: Storage) -> None:
    only(storage, completion(7, "holdout"))
    result = score(storage, after="0")
    assert result.metrics["answerTokensAfter"] == 0.0
    assert result.metrics["degenerateAfter"] == 1.0, "the model answers with nothing"


@pytest.mark.parametrize(("after", "required"), [("3.8", 0.05), ("4", 0.0), ("3", None), ("5", None)])
def test_the_gate_lets_through(storage: Storage, after: str, required: float | None) -> None:
    assert score(storage, after=after, minCrossEntropyDrop=required)


@pytest.mark.parametrize(("after", "required"), [("3.9", 0.05), ("4.1", 0.0)])
def test_the_gate_stops_with_both_values_a_report_and_no_marker(storage: Storage, after: str, required: float) -> None:
    with pytest.raises(StageError, match=rf"from 4\.0000 to {after}.* asks for {required:.2%}") as caught:
        score(storage, after=after, minCrossEntropyDrop=required)
    assert caught.value.reason.name == "EvaluationGateFailed"
    assert storage.read_marker(OUTPUT) is None
    (report,) = storage.at(OUTPUT).glob("*/report.html")
    assert storage.relative(report) in caught.value.message
    assert "Not published." in report.read_text()
    told = caught.value
    assert told.outputs is not None and told.metrics is not None
    assert told.outputs["report"] == storage.relative(report)
    assert (told.metrics["crossEntropyBefore"], told.metrics["crossEntropyAfter"]) == (4.0, float(after))


@pytest.mark.parametrize("after", ["nan", "inf"])
def test_a_score_that_is_no_number_stops_even_without_a_gate(storage: Storage, after: str) -> None:
    with pytest.raises(StageError) as caught:
        score(storage, after=after)
    assert caught.value.reason.name == "ScoreNotFinite"


def test_a_shard_that_is_missing_is_waited_for(storage: Storage) -> None:
    with pytest.raises(StageError, match="shard-2") as caught:
        score(storage, shards=3)
    assert caught.value.reason.name == "InputMissing"


def test_without_holdout_rows_nothing_can_be_scored(storage: Storage) -> None:
    for shard in range(2):
        rows = [completion(number, "train") for number in range(3)]
        write_table(storage.at(f"generated/shard-{shard}/chunk-00000.parquet"), COMPLETIONS, rows)
    with pytest.raises(StageError) as caught:
        score(storage)
    assert caught.value.reason.name == "NoHoldoutRows"


# Memory.


@pytest.mark.parametrize("vocabulary", [1_000, 49_152, 256_000])
def test_batches_hold_each_row_once_and_few_logits(vocabulary: int) -> None:
    rows = [Scored([0] * (number % 7 * 50 + 1), [1] * (number % 11 * 30 + 1)) for number in range(100)]
    found = list(batches(rows, vocabulary))
    assert sorted(map(id, (row for batch in found for row in batch))) == sorted(map(id, rows))
    for batch in found:
        width = max(map(len, batch)) - min(len(row.prompt_ids) for row in batch)
        assert len(batch) == 1 or len(batch) * width * vocabulary <= LOGITS_AT_ONCE
        assert len(batch) <= ROWS_AT_ONCE


@pytest.mark.parametrize("longest", [1, 100, 2_000, 20_000])
def test_prompts_are_answered_in_order_and_in_bounded_batches(longest: int) -> None:
    prompts = [[number] * (number % 5 * longest // 4 + 1) for number in range(16)]
    found = list(groups(prompts, 256))
    assert [prompt for group in found for prompt in group] == prompts
    for group in found:
        assert len(group) == 1 or len(group) * (max(map(len, group)) + 256) <= TOKENS_AT_ONCE
    assert len(found) == 1 or longest > 100


def test_without_prompts_nothing_is_answered() -> None:
    assert list(groups([], 48)) == []


def test_a_preview_measures_what_a_row_takes(storage: Storage) -> None:
    found = score(storage, measures=True).metrics
    assert found["measured.units"] == 16
    assert found["measured.unitSeconds"] >= 0
