"""V1, V2, V15, V16: a shard's chunks: planned the same at every start, published whole, continued after any end."""

import contextlib
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from distillation_api.contract import EXIT_TERMINATED, MEASURED, GenerateProgram, Measurements, StageResult
from distillation_stages.data.tables import PREPARED, Row, split_evenly, write_table
from distillation_stages.models.reasoning_marks import MARKS, THINK
from distillation_stages.models.teacher_reasoning import TeacherReasoning
from distillation_stages.programs.generate import shard as generate
from distillation_stages.programs.generate import vllm_teacher
from distillation_stages.programs.generate.ledger import Ledger, plan
from distillation_stages.programs.generate.shard import Prompts
from distillation_stages.programs.generate.teacher import Answer
from distillation_stages.programs.generate.vllm_engine import REFUSED, EngineAnswer, Request
from distillation_stages.programs.generate.vllm_teacher import row_seed
from distillation_stages.runtime.claim import Pace, claimed
from distillation_stages.runtime.environment import available_cpus
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage, sha256_of
from support.eventually import eventually
from unit.stages.letter_tokenizer import END, LetterTokenizer
from unit.stages.stage_inputs import OUTPUT, finish, prompt_of, rows_in, spec_of

TRAIN, HOLDOUT = 17, 5
CHUNK_ROWS = 4
SAMPLING = ("maxTokens", "keepTruncated", "samplesPerPrompt")


class WordRenderer:
    """Renders each word as a token; refuses what says so, as templates do."""

    rendered: list[list[dict[str, str]]] = []
    found = TeacherReasoning(THINK, "")

    @staticmethod
    def load(model: Path, chat_template: str | None, arguments: dict[str, str], field: str) -> "WordRenderer":
        return WordRenderer()

    def reasoning(self, architectures: list[str], policy: str) -> TeacherReasoning:
        assert architectures == ["LlamaForCausalLM"]
        return self.found

    def prompt_ids(self, prompt: list[dict[str, str]], tools: object = None) -> list[int]:
        WordRenderer.rendered.append(prompt)
        if any("refused-by-template" in turn["content"] for turn in prompt):
            raise RuntimeError("System role not supported")
        return list(range(len(prompt[-1]["content"].split())))

    def template_hash(self) -> str:
        return "hash"

    tokenizer = LetterTokenizer()


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the program catches it."""


class FakeEngine:
    """Answers in a window, the last first, by a table from position to (text, finish reason)."""

    WINDOW = 6
    special: dict[int, tuple[str, str]] = {}
    answers_left: int | None = None
    asked: list[Request] = []

    def __init__(self, model: Path, program: GenerateProgram, engine_seed: int, special_tokens: bool) -> None:
        self.versions = {"vllm": "fake", "specialTokens": str(special_tokens)}

    def answers(
        self, requests: Iterable[Request | Answer], beat: Callable[[], None]
    ) -> Iterator[EngineAnswer | Answer]:
        window: list[Request] = []
        for request in requests:
            if not isinstance(request, Request):
                yield request
                continue
            FakeEngine.asked.append(request)
            window.append(request)
            if len(window) == self.WINDOW:
                yield self._answer(window.pop())
        while window:
            yield self._answer(window.pop())

    def _answer(self, request: Request) -> EngineAnswer:
        if FakeEngine.answers_left is not None:
            if FakeEngine.answers_left == 0:
                raise Killed
            FakeEngine.answers_left -= 1
        text, reason = self.special.get(request.key, (f"answer to {request.key}", "stop"))
        return EngineAnswer(request.key, text, reason, [*map(ord, text), END])


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setattr(vllm_teacher, "Renderer", WordRenderer)
    monkeypatch.setattr(vllm_teacher, "Engine", FakeEngine)
    monkeypatch.setattr(generate, "set_environment", lambda: None)
    monkeypatch.setattr(FakeEngine, "special", {})
    monkeypatch.setattr(FakeEngine, "answers_left", None)
    monkeypatch.setattr(FakeEngine, "asked", [])
    monkeypatch.setattr(WordRenderer, "rendered", [])
    monkeypatch.setattr(WordRenderer, "found", TeacherReasoning(THINK, ""))
    storage = Storage(tmp_path)
    prepared(storage, [f"question {number}" for number in range(TRAIN + HOLDOUT)], holdout=HOLDOUT)
    return storage


def prepared(storage: Storage, questions: list[str], holdout: int) -> None:
    """Let the inputs be these questions, the last ``holdout`` of them held out. Source rows have gaps."""
    rows = [{"row": 10 * number, "prompt": prompt_of(text), "reference": None} for number, text in enumerate(questions)]
    train, held = rows[: len(rows) - holdout], rows[len(rows) - holdout :]
    for number, piece in enumerate(split_evenly(len(train), 3)):
        write_table(storage.at(f"prepared/train/part-{number}.parquet"), PREPARED, train[piece.start : piece.stop])
    write_table(storage.at("prepared/holdout/part-0.parquet"), PREPARED, held)
    finish(storage, "prepared", train="prepared/train", holdout="prepared/holdout")
    finish(storage, "teacher", model="teacher")
    storage.at("teacher/config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))


def program(**members: object) -> GenerateProgram:
    sampling: dict[str, object] = {"temperature": 1.0, "topP": 1.0, "maxTokens": 8, "seed": 0}
    sampling |= {name: members.pop(name) for name in SAMPLING if name in members}
    return GenerateProgram.model_validate(
        {
            "model": "teacher",
            "dataset": "prepared",
            "shards": 1,
            "chunkRows": CHUNK_ROWS,
            "maxModelLen": 16,
            "sampling": sampling,
            **members,
        }
    )


def run_shard(storage: Storage, monkeypatch: pytest.MonkeyPatch, index: int = 0, **members: object) -> StageResult:
    monkeypatch.setenv(generate.INDEX_ENV, str(index))
    return generate.run(spec_of(program(**members)), storage)


def completions(storage: Storage, result: StageResult) -> list[Row]:
    return rows_in(storage, result.outputs["completions"])


def told(result: StageResult) -> dict[str, int]:
    """The counts of rows, without those of tokens."""
    return {name: count for name, count in result.counts.items() if not name.endswith("Tokens")}


# The plan.


@pytest.mark.parametrize("total", [0, 1, 7, 22, 100])
@pytest.mark.parametrize("shards", [1, 2, 3, 8])
@pytest.mark.parametrize("chunk_rows", [1, 4, 1000])
def test_chunks_of_all_shards_cover_each_row_once(tmp_path: Path, total: int, shards: int, chunk_rows: int) -> None:
    chunks = [slot for shard in split_evenly(total, shards) for slot in plan(tmp_path, [shard], chunk_rows)]
    assert [position for chunk in chunks for position in chunk.positions] == list(range(total))
    assert all(0 < len(chunk.positions) <= chunk_rows for chunk in chunks)


@pytest.mark.parametrize("positions", [range(0, 22), range(3, 4), range(5, 9), range(15, 20), range(22, 22)])
def test_any_range_of_rows_is_read_over_parts_and_splits(storage: Storage, positions: range) -> None:
    prompts = Prompts.of(storage, "prepared")
    assert [(position, row["row"], row["split"]) for position, row in prompts.read(positions)] == [
        (position, 10 * position, "train" if position < TRAIN else "holdout") for position in positions
    ]


# One shard.


def test_every_row_has_its_own_answer_whatever_the_order(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_shard(storage, monkeypatch)
    rows = completions(storage, result)
    assert [(row["row"], row["prompt"][0]["content"], row["completion"]) for row in rows] == [
        (10 * number, f"question {number}", f"answer to {number}") for number in range(TRAIN + HOLDOUT)
    ]
    assert [row["split"] for row in rows] == ["train"] * TRAIN + ["holdout"] * HOLDOUT
    assert told(result) == {"read": 22, "kept": 22, "train": 17, "holdout": 5}
    said = [[*map(ord, f"answer to {number}")] for number in range(TRAIN + HOLDOUT)]
    assert [row["sampledTokens"] for row in rows] == said, "all but the end"
    assert result.counts["promptTokens"] == 2 * 22
    assert result.counts["completionTokens"] == sum(map(len, said)) + 22
    assert list(result.parts) == [f"shard-0/chunk-{number:05d}.parquet" for number in range(6)]


def test_of_two_jobs_that_need_a_shard_one_asks_the_teacher(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """F6, of two clusters that share a bucket: the operator of each knows its own jobs alone."""
    claim = storage.at(f"{OUTPUT}/shard-0/_CLAIM.json")
    claim.parent.mkdir(parents=True)
    claim.write_text(json.dumps({"writer": "theirs", "time": time.time() - 60}))
    monkeypatch.setenv("WRITER", "ours")
    monkeypatch.setattr(generate, "SECONDS_TO_WAIT", 0.0)
    with pytest.raises(StageError, match="UID theirs works at this stage") as caught:
        run_shard(storage, monkeypatch)
    assert (caught.value.reason.name, FakeEngine.asked) == ("WaitsForOtherJob", [])
    # It has ended without a word.
    claim.write_text(json.dumps({"writer": "theirs", "time": time.time() - 180}))
    assert told(run_shard(storage, monkeypatch))["kept"] == 22
    assert not claim.exists()


def test_a_shard_that_has_lost_its_claim_ends_at_once_whatever_its_engine_does(
    storage: Storage, tmp_path: Path
) -> None:
    """The other one's chunks have the same names."""
    claim = storage.at(f"{OUTPUT}/shard-0/_CLAIM.json")
    code = "import sys; sys.argv = ['x']; from unit.stages.test_generate import serve; sys.exit(serve())"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "SCRATCH": str(tmp_path),
            "STAGE_SPEC": spec_of(program()).model_dump_json(by_alias=True),
            "STORAGE_MOUNT": str(storage.mount),
            "TERMINATION_LOG": str(tmp_path / "log"),
            "WRITER": "ours",
            generate.INDEX_ENV: "0",
        },
    )
    try:
        eventually("the engine is at work", storage.at("asked").exists, 60)
        theirs = json.dumps({"writer": "theirs", "time": time.time()})
        claim.write_text(theirs)
        assert process.wait(15) == EXIT_TERMINATED
    finally:
        process.kill()
    assert claim.read_text() == theirs
    assert not list(claim.parent.glob("chunk-*"))
    assert not (tmp_path / "log").exists()


class StubbornEngine(FakeEngine):
    """Foreign code that no exception reaches, and that has answers later on."""

    def answers(
        self, requests: Iterable[Request | Answer], beat: Callable[[], None]
    ) -> Iterator[EngineAnswer | Answer]:
        (Path(os.environ["STORAGE_MOUNT"]) / "asked").touch()
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(BaseException):
                time.sleep(0.1)
        yield from super().answers(requests, beat)


def serve() -> int:
    """The stage program's main with vLLM replaced; runs in the process of the test above."""
    from distillation_stages.__main__ import main

    quick = functools.partial(claimed, pace=Pace(beat=0.2, alive=5, settle=0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vllm_teacher, "Renderer", WordRenderer)
        patch.setattr(vllm_teacher, "Engine", StubbornEngine)
        patch.setattr(generate, "set_environment", lambda: None)
        patch.setattr(WordRenderer, "found", TeacherReasoning(THINK, ""))
        patch.setattr(generate, "claimed", quick)
        return main()


def test_shards_share_the_rows_without_overlap(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    results = [run_shard(storage, monkeypatch, index, shards=3) for index in range(3)]
    rows = [row["row"] for result in results for row in completions(storage, result)]
    assert rows == [10 * number for number in range(TRAIN + HOLDOUT)]


def test_what_is_left_out_is_counted_by_reason(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = [f"question {number}" for number in range(10)]
    questions[1] = "refused-by-template"
    questions[2] = "word " * 9
    prepared(storage, questions, holdout=1)
    FakeEngine.special = {
        3: ("cut off", "length"),
        4: ("  ", "stop"),
        5: ("", REFUSED),
        6: ("", "abort"),
        7: ("<think>so", "stop"),
    }
    result = run_shard(storage, monkeypatch, maxLostShare=0.7)
    assert told(result) == {
        "read": 10,
        "kept": 3,
        "train": 2,
        "holdout": 1,
        "rejected.TemplateRefused": 1,
        "rejected.PromptTooLong": 1,
        "rejected.Truncated": 1,
        "rejected.Empty": 1,
        "rejected.EngineRefused": 1,
        "rejected.EngineAborted": 1,
        "rejected.OpenReasoning": 1,
    }
    assert [row["row"] for row in completions(storage, result)] == [0, 80, 90]


def test_truncated_answers_are_kept_when_asked(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeEngine.special = {3: ("cut off", "length")}
    result = run_shard(storage, monkeypatch, keepTruncated=True)
    assert completions(storage, result)[3]["finishReason"] == "length"


def test_a_chunk_with_nothing_left_is_done_all_the_same(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(storage, ["refused-by-template"] * 9, holdout=1)
    result = run_shard(storage, monkeypatch, maxLostShare=1)
    assert told(result) == {"read": 9, "kept": 0, "train": 0, "holdout": 0, "rejected.TemplateRefused": 9}


def test_a_shard_without_rows_is_done_at_once(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(storage, ["one", "two"], holdout=1)
    result = run_shard(storage, monkeypatch, 0, shards=3)
    assert told(result) == {"read": 0, "kept": 0, "train": 0, "holdout": 0}


# Samples, system prompt, lost rows.


def test_each_prompt_is_answered_as_often_as_asked_and_the_holdout_once(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run_shard(storage, monkeypatch, samplesPerPrompt=3)
    rows = completions(storage, result)
    assert [(row["row"], row["sample"]) for row in rows if row["split"] == "train"] == [
        (10 * number, sample) for number in range(TRAIN) for sample in range(3)
    ]
    assert [(row["row"], row["sample"]) for row in rows if row["split"] == "holdout"] == [
        (10 * number, 0) for number in range(TRAIN, TRAIN + HOLDOUT)
    ]
    assert told(result) == {"read": 56, "kept": 56, "train": 51, "holdout": 5}
    assert len({request.seed for request in FakeEngine.asked}) == 56, "no sample is drawn twice"


def test_equal_answers_to_one_prompt_are_kept_once(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeEngine.special = {3: ("same", "stop"), 4: ("other", "stop"), 5: ("same", "stop")}
    result = run_shard(storage, monkeypatch, samplesPerPrompt=3)
    rows = [row for row in completions(storage, result) if row["row"] == 10]
    assert [(row["sample"], row["completion"]) for row in rows] == [(0, "same"), (1, "other")]
    assert (result.counts["read"], result.counts["kept"], result.counts["duplicates"]) == (56, 55, 1)


def test_only_the_holdout_is_answered_when_no_stage_trains_on_answers(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [run_shard(storage, monkeypatch, index, shards=2, holdoutOnly=True) for index in range(2)]
    rows = [row["row"] for result in results for row in completions(storage, result)]
    assert rows == [10 * number for number in range(TRAIN, TRAIN + HOLDOUT)]


def test_the_system_prompt_goes_before_prompts_without_one(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [{"role": "system", "content": "own"}, *prompt_of("b")]
    rows = [{"row": 0, "prompt": prompt_of("a"), "reference": None}, {"row": 1, "prompt": own, "reference": None}]
    write_table(storage.at("prepared/system/part-0.parquet"), PREPARED, rows)
    finish(storage, "prepared", train="prepared/system", holdout="prepared/nothing")
    result = run_shard(storage, monkeypatch, systemPrompt="Be brief.")
    assert WordRenderer.rendered[1:] == [[{"role": "system", "content": "Be brief."}, *prompt_of("a")], own]
    # The student is trained without it.
    assert [row["prompt"] for row in completions(storage, result)] == [prompt_of("a"), own]


def test_a_template_that_takes_no_system_prompt_is_an_error_before_the_engine(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_teacher, "Engine", None)
    with pytest.raises(StageError, match=r"generation\.systemPrompt.*generation\.chatTemplate") as caught:
        run_shard(storage, monkeypatch, systemPrompt="refused-by-template")
    assert caught.value.reason.name == "SystemPromptRefused"


def test_when_too_many_rows_are_lost_the_shard_fails_as_soon_as_that_is_certain(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeEngine, "WINDOW", 1)
    FakeEngine.special = {number: ("cut off", "length") for number in range(TRAIN + HOLDOUT)}
    with pytest.raises(StageError) as caught:
        run_shard(storage, monkeypatch, maxLostShare=0.3)
    assert caught.value.reason.name == "TooManyRowsLost"
    assert caught.value.message == (
        "8 of 22 answers of this shard are lost, generation.maxLostShare allows 30%: 8 Truncated. "
        "Examples stand in shard-0/ledger.jsonl of the stage's output. Raise sampling.maxTokens, or set keepTruncated"
    )
    assert len(FakeEngine.asked) < TRAIN + HOLDOUT
    first, *_ = storage.at(f"{OUTPUT}/shard-0/ledger.jsonl").read_text().splitlines()
    assert json.loads(first)["examples"] == {"Truncated": "row 0: 'cut off'"}
    # Started again it fails at once, without a teacher.
    monkeypatch.setattr(vllm_teacher, "Engine", None)
    with pytest.raises(StageError, match="8 Truncated"):
        run_shard(storage, monkeypatch, maxLostShare=0.3)


def test_reasoning_is_settled_by_the_policy(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeEngine.special = {1: ("<think>so</think> yes", "stop"), 2: ("<think>so", "stop")}
    strict = run_shard(storage, monkeypatch, reasoning="RequireClosed", maxLostShare=1)
    assert [row["completion"] for row in completions(storage, strict)] == ["<think>so</think> yes"]
    assert (strict.counts["rejected.NoReasoning"], strict.counts["rejected.OpenReasoning"]) == (20, 1)


def test_a_teacher_that_never_reasons_though_its_template_knows_how_is_warned_of(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """U18."""
    WordRenderer.found = TeacherReasoning(THINK, "chat template", expected=True)
    result = run_shard(storage, monkeypatch)
    assert result.counts["withoutReasoning"] == result.counts["kept"] == TRAIN + HOLDOUT
    assert result.versions["reasoningMarks"] == "think"
    told = capsys.readouterr().err
    assert "the teacher marks its reasoning with '<think>' and '</think>' (think, found in its chat template)" in told
    assert "WARNING: none of the 22 answers has reasoning" in told


def test_one_that_reasons_now_and_then_is_counted_without_a_warning(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """U18."""
    WordRenderer.found = TeacherReasoning(THINK, "chat template", expected=True)
    FakeEngine.special = {1: ("<think>so</think> yes", "stop"), 2: ("<think>so", "stop")}
    result = run_shard(storage, monkeypatch)
    assert (result.counts["withoutReasoning"], result.counts["kept"]) == (TRAIN + HOLDOUT - 2, TRAIN + HOLDOUT - 1)
    assert "WARNING" not in capsys.readouterr().err


@pytest.mark.parametrize(("policy", "learnt"), [("StripClosed", "yes"), ("Keep", "<think>\nso\n</think>\n\nyes")])
def test_marks_that_are_special_tokens_are_seen_and_none_is_learnt(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, policy: str, learnt: str
) -> None:
    """U18."""
    control = frozenset({"[THINK]", "[/THINK]", "</s>"})
    marks = next(marks for marks in MARKS if marks.name == "mistral")
    WordRenderer.found = TeacherReasoning(marks, "vocabulary", control=control)
    FakeEngine.special = {1: ("[THINK]so[/THINK]yes</s>", "stop")}
    result = run_shard(storage, monkeypatch, reasoning=policy)
    assert completions(storage, result)[1]["completion"] == learnt
    assert (result.versions["specialTokens"], result.versions["reasoningMarks"]) == ("True", "mistral")
    assert "withoutReasoning" not in result.counts


# Starting again.


@pytest.mark.parametrize("answers", range(TRAIN + HOLDOUT))
def test_killed_at_any_answer_and_started_again_it_ends_the_same(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    FakeEngine.special = {2: ("", "stop"), 9: ("cut off", "length")}
    FakeEngine.answers_left = answers
    with pytest.raises(Killed):
        run_shard(storage, monkeypatch)
    assert storage.read_marker(f"{OUTPUT}/shard-0") is None
    FakeEngine.answers_left, FakeEngine.asked = None, []
    result = run_shard(storage, monkeypatch)
    expected = {"read": 22, "kept": 20, "train": 15, "holdout": 5, "rejected.Empty": 1, "rejected.Truncated": 1}
    assert told(result) == expected
    assert [row["row"] for row in completions(storage, result)] == [
        10 * number for number in range(22) if number not in (2, 9)
    ]
    # At most the answers in the window and those of one chunk are made again.
    assert len(FakeEngine.asked) <= TRAIN + HOLDOUT - answers + FakeEngine.WINDOW + CHUNK_ROWS


def test_killed_before_the_marker_it_needs_no_teacher(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_shard(storage, monkeypatch)
    (storage.at(OUTPUT) / "shard-0" / "_DONE.json").unlink()
    monkeypatch.setattr(vllm_teacher, "Engine", None)
    again = run_shard(storage, monkeypatch)
    assert (again.counts, again.parts) == (first.counts, first.parts)


def test_a_shard_that_is_done_returns_its_result(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_shard(storage, monkeypatch)
    monkeypatch.setattr(vllm_teacher, "Renderer", None)
    assert run_shard(storage, monkeypatch) == first.model_copy(update={"reused": True, "start_up": None})


def test_a_damaged_chunk_is_made_again(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    run_shard(storage, monkeypatch)
    shard = storage.at(OUTPUT) / "shard-0"
    (shard / "_DONE.json").unlink()
    (shard / "chunk-00002.parquet").write_bytes(b"PAR1")
    FakeEngine.asked = []
    assert run_shard(storage, monkeypatch).counts["kept"] == 22
    assert [request.key for request in FakeEngine.asked] == [8, 9, 10, 11]


def test_a_chunk_of_another_size_is_not_taken_for_this_one(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    run_shard(storage, monkeypatch)
    folder = storage.at(f"{OUTPUT}/shard-0")
    slots = plan(folder, [range(22)], 5)
    ledger = Ledger.open(folder, slots)
    assert [ledger.entry(slot) for slot in slots] == [None] * 5


def test_a_chunk_that_is_not_what_the_ledger_says_is_made_again(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_shard(storage, monkeypatch)
    shard = storage.at(OUTPUT) / "shard-0"
    (shard / "_DONE.json").unlink()
    changed = (shard / "ledger.jsonl").read_text().splitlines()
    changed[1] = json.dumps({**json.loads(changed[1]), "sha256": "0" * 64})
    (shard / "ledger.jsonl").write_text("\n".join(changed))
    FakeEngine.asked = []
    run_shard(storage, monkeypatch)
    assert [request.key for request in FakeEngine.asked] == [4, 5, 6, 7]


def test_the_ledger_has_rows_tokens_and_digest_of_each_chunk(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_shard(storage, monkeypatch)
    lines = [json.loads(line) for line in storage.at(result.outputs["ledger"]).read_text().splitlines()]
    assert [(line["first"], line["end"]) for line in lines] == [(0, 4), (4, 8), (8, 12), (12, 16), (16, 20), (20, 22)]
    letters = [len(f"answer to {number}>") for number in range(22)]
    assert [line["completionTokens"] for line in lines] == [
        sum(letters[first : first + 4]) for first in range(0, 22, 4)
    ]
    assert {f"shard-0/{line['file']}": line["sha256"] for line in lines} == result.parts
    assert result.parts["shard-0/chunk-00001.parquet"] == sha256_of(storage.at(OUTPUT) / "shard-0/chunk-00001.parquet")


def test_a_chunk_whose_line_was_not_written_any_more_is_not_made_again(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_shard(storage, monkeypatch)
    shard = storage.at(OUTPUT) / "shard-0"
    (shard / "_DONE.json").unlink()
    (shard / "ledger.jsonl").unlink()
    monkeypatch.setattr(vllm_teacher, "Engine", None)
    again = run_shard(storage, monkeypatch)
    assert (again.counts, again.parts) == (first.counts, first.parts)
    assert len((shard / "ledger.jsonl").read_text().splitlines()) == 6


def test_seeds_follow_the_row_alone() -> None:
    sampling = program().sampling
    seeds = [row_seed(sampling, row) for row in range(1000)]
    assert len(set(seeds)) == 1000
    assert seeds == [row_seed(sampling, row) for row in range(1000)]
    assert row_seed(sampling.model_copy(update={"seed": 1}), 0) != seeds[0]


# What can't be done.


@pytest.mark.parametrize("index", ["", "3", "-1", "one"])
def test_an_index_that_is_no_shard_is_refused(storage: Storage, monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    monkeypatch.setenv(generate.INDEX_ENV, index)
    with pytest.raises(StageError, match=r"0 to 2") as caught:
        generate.run(spec_of(program(shards=3)), storage)
    assert caught.value.reason.name == "BadShardIndex"


def test_an_answer_must_leave_room_for_the_prompt(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StageError, match=r"maxModelLen 16 must exceed sampling.maxTokens 16"):
        run_shard(storage, monkeypatch, maxTokens=16)


def test_without_the_prepared_rows_it_is_tried_again(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StageError) as caught:
        run_shard(storage, monkeypatch, dataset="elsewhere")
    assert caught.value.reason.name == "InputMissing"


@pytest.mark.parametrize(("quota", "most"), [("max 100000", None), ("50000 100000", 1), ("100000 100000", 1)])
def test_threads_follow_the_pods_cpu_limit(tmp_path: Path, quota: str, most: int | None) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    unlimited = available_cpus(tmp_path / "nothing")
    assert available_cpus(tmp_path / "cpu.max") == (most or unlimited)


# A preview.


@pytest.mark.parametrize(
    ("members", "positions"),
    [
        pytest.param({}, [*range(5), *range(TRAIN, TRAIN + 2)], id="train and holdout"),
        pytest.param({"holdoutOnly": True}, [*range(TRAIN, TRAIN + 2)], id="holdout"),
        pytest.param({"firstRows": {"train": 1000, "holdout": 1000}}, [*range(TRAIN + HOLDOUT)], id="fewer rows"),
    ],
)
def test_of_a_preview_the_first_rows_of_each_split_are_answered(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, members: dict[str, object], positions: list[int]
) -> None:
    asked: dict[str, object] = {"firstRows": {"train": 5, "holdout": 2}, **members}
    result = run_shard(storage, monkeypatch, 0, **asked)
    assert [row["row"] for row in completions(storage, result)] == [10 * position for position in positions]
    entries = [json.loads(line) for line in storage.at(result.outputs["ledger"]).read_text().splitlines()]
    assert sum(entry["counts"]["read"] for entry in entries) == result.counts["read"] == len(positions)


def test_a_preview_measures_its_speed_and_its_pod(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_shard(storage, monkeypatch, firstRows={"train": 5, "holdout": 2})
    told = {name: f"{value:.6g}" for name, value in result.metrics.items()}
    found = Measurements.read(told)
    assert (found.units, found.uid, found.device_files) == (7, os.getuid(), 0)
    assert found.unit_seconds is not None and found.unit_seconds > 0
    assert found.host_memory is not None and found.host_memory > 1 << 20
    assert found.locked_memory is not None


def test_a_preview_that_was_killed_before_its_marker_tells_of_its_pod(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_shard(storage, monkeypatch, firstRows={"train": 5, "holdout": 2})
    (storage.at(OUTPUT) / "shard-0" / "_DONE.json").unlink()
    result = run_shard(storage, monkeypatch, firstRows={"train": 5, "holdout": 2})
    found = Measurements.read({name: f"{value:.6g}" for name, value in result.metrics.items()})
    assert (found.units, found.unit_seconds, found.uid) == (0, None, os.getuid())
    assert found.host_memory is not None and found.locked_memory is not None


def test_the_real_work_measures_nothing(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_shard(storage, monkeypatch)
    assert not [name for name in result.metrics if name.startswith(MEASURED)]


def test_a_preview_that_loses_all_its_answers_tells_so(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeEngine, "special", dict.fromkeys(range(TRAIN + HOLDOUT), ("cut", "length")))
    result = run_shard(storage, monkeypatch, firstRows={"train": 4, "holdout": 1}, maxLostShare=1.0)
    assert (result.counts["read"], result.counts["kept"]) == (5, 0)
