"""Conversations with tools by the chat templates of teacher and student: what is asked, learnt and left out."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from distillation_api.contract import GenerateProgram, PlannedGeneration, PrepareProgram, Source, StageResult, TrainData
from distillation_stages.data.conversations import Turn, from_messages
from distillation_stages.data.tables import COMPLETIONS, TOOL_USE, parts_of
from distillation_stages.data.tool_use import restored, stored
from distillation_stages.data.training_rows import TrainingRow, read_conversations
from distillation_stages.maxtext.trainable_text import RenderedRows, render, render_every_turn
from distillation_stages.models import rendering
from distillation_stages.models.rendering import Renderer, asked_ids
from distillation_stages.models.tool_rendering import left_out, marks_of_calls
from distillation_stages.programs import prepare
from distillation_stages.programs.evaluate import evaluation
from distillation_stages.programs.generate import shard, vllm_teacher
from distillation_stages.programs.generate.teacher import Answer
from distillation_stages.programs.generate.vllm_engine import EngineAnswer, Request
from distillation_stages.programs.preflight.prompts import Prompts, check_shares
from distillation_stages.runtime.failure import RowRejected, StageError
from distillation_stages.runtime.storage import Storage
from unit.stages import tool_templates as templates
from unit.stages.stage_inputs import assistant, finish, rows_in, spec_of, system, user, write_lines
from unit.stages.tool_templates import JinjaTokenizer

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a town.",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
    },
}
TOOLS = [TOOL]


def call(number: int = 1, town: str = "Oslo") -> dict[str, Any]:
    function = {"name": "weather", "arguments": {"town": town}}
    return {"id": f"call0000{number}", "type": "function", "function": function}


def result(number: int = 1, celsius: int = 4) -> Turn:
    return {"role": "tool", "content": f"celsius: {celsius}", "tool_call_id": f"call0000{number}"}


def calling(*calls: dict[str, Any], text: str = "") -> Turn:
    return {"role": "assistant", "content": text, "tool_calls": [*calls]}


ASKED = [user("How warm?"), calling(call()), result()]
"""Up to what the tool gave back."""


def tokenizer(template: str) -> JinjaTokenizer:
    return JinjaTokenizer(template)


def text_of(template: str, prompt: list[Turn], tools: list[Any] | None = None) -> str:
    renderer = Renderer(tokenizer(template))
    return renderer.text(asked_ids(renderer, prompt, tools, None, 10_000))


# What a template knows.


@pytest.mark.parametrize(
    ("template", "turns", "tools", "missing"),
    [
        (templates.QWEN, ASKED, TOOLS, None),
        (templates.QWEN, [system("s"), *ASKED, assistant("4.")], TOOLS, None),
        (templates.QWEN, [user("q"), calling(call(1), call(2), text="Both."), result(1), result(2)], TOOLS, None),
        (templates.QWEN, ASKED, None, None),
        (templates.QWEN, [user("q"), calling(call()), {"role": "tool", "content": ""}], TOOLS, None),
        (templates.LLAMA, ASKED, TOOLS, None),
        (templates.LLAMA, [user("q"), calling(call(), text="I see.")], TOOLS, "the text beside a call"),
        (templates.LLAMA, [user("q"), calling(call(1), call(2))], TOOLS, "what can't be told, as it refuses another of "
         "the same shape: only single tool calls"),
        (templates.MISTRAL, [user("q")], TOOLS, None),
        (templates.MISTRAL, ASKED, TOOLS, None),
        (templates.CHATML, ASKED, TOOLS, "the calls of tools, the calls' arguments, the tools, the tools' parameters"),
        (templates.CHATML, [user("q")], TOOLS, "the tools, the tools' parameters"),
        (templates.CHATML, ASKED, None, "the calls of tools, the calls' arguments"),
        (templates.CHATML, [user("q"), assistant("a")], None, None),
        (templates.NO_RESULTS, ASKED, TOOLS, "the results of tools"),
        (templates.NO_RESULTS, ASKED[:2], TOOLS, None),
        (templates.NO_ARGUMENTS, ASKED, TOOLS, "the calls' arguments"),
        (templates.NAMES_ALONE, ASKED, TOOLS, "the tools' parameters"),
        (templates.ONLY_WITH_SYSTEM, ASKED, TOOLS, "the tools, the tools' parameters"),
        (templates.ONLY_WITH_SYSTEM, [system("s"), *ASKED], TOOLS, None),
    ],
)  # fmt: skip
def test_what_a_template_leaves_out_without_a_word_is_found(
    template: str, turns: list[Turn], tools: list[Any] | None, missing: str | None
) -> None:
    """U40."""
    assert left_out(tokenizer(template), turns, tools) == missing


# The teacher.


def test_the_teacher_is_handed_tools_calls_and_results() -> None:
    asked = text_of(templates.QWEN, ASKED, TOOLS)
    assert json.dumps(TOOL) in asked
    assert '<tool_call>\n{"name": "weather", "arguments": {"town": "Oslo"}}\n</tool_call>' in asked
    assert asked.endswith("<tool_response>\ncelsius: 4\n</tool_response><|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.parametrize(
    ("template", "prompt", "reason"),
    [
        (templates.CHATML, ASKED, "ToolCalls"),
        (templates.LLAMA, [user("q"), calling(call(1), call(2)), result()], "TemplateRefused"),
        (templates.MISTRAL, [user("q"), calling({**call(), "id": "1"}), result()], "TemplateRefused"),
    ],
)
def test_what_the_teachers_template_does_not_take_is_not_asked(template: str, prompt: list[Turn], reason: str) -> None:
    with pytest.raises(RowRejected) as caught:
        text_of(template, prompt, TOOLS)
    assert caught.value.reason.name == reason


def test_the_marks_of_calls_are_special_tokens_that_texts_do_not_have() -> None:
    assert marks_of_calls(tokenizer(templates.MISTRAL)) == {"[TOOL_CALLS]"}
    assert marks_of_calls(tokenizer(templates.QWEN)) == marks_of_calls(tokenizer(templates.CHATML)) == frozenset()


class FakeEngine:
    """Says a call to everything, as vLLM writes it with and without the text of special tokens."""

    def __init__(self, *_: object) -> None:
        self.versions = {"vllm": "fake"}

    def answers(
        self, requests: Iterable[Request | Answer], beat: Callable[[], None]
    ) -> Iterator[EngineAnswer | Answer]:
        for request in requests:
            if not isinstance(request, Request):
                yield request
                continue
            before, after = ("[TOOL_CALLS]", "</s>") if request.special_tokens else ("", "")
            yield EngineAnswer(request.key, f'{before}[{{"name": "weather"}}]{after}', "stop", [1, 2, 3])


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """With a dataset of which one row has no tools, one has been answered, and one has a call as its answer."""
    storage = Storage(tmp_path)
    rows = [
        {"messages": [user("plain"), assistant("a")]},
        {"messages": [*ASKED, assistant("4 degrees.")], "tools": TOOLS},
        {"messages": [user("called"), calling(call())], "tools": TOOLS},
        {"messages": [user("held out"), calling(call()), result(), assistant("b")], "tools": TOOLS},
    ]
    write_lines(storage.at("data.jsonl"), rows)
    program = PrepareProgram(source=Source(path="data.jsonl"), holdout=1)
    done = prepare.run(spec_of(program), storage)
    finish(storage, "prepared", **done.outputs)
    finish(storage, "teacher", model="teacher")
    storage.at("teacher/config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    return storage


def generate(storage: Storage, monkeypatch: pytest.MonkeyPatch, template: str) -> StageResult:
    monkeypatch.setattr(rendering, "load_tokenizer", lambda _: tokenizer(template))
    monkeypatch.setattr(vllm_teacher, "Engine", FakeEngine)
    monkeypatch.setattr(shard, "set_environment", lambda: None)
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    sampling = {"temperature": 1.0, "topP": 1.0, "maxTokens": 8, "seed": 0}
    program = GenerateProgram.model_validate(
        {"model": "teacher", "dataset": "prepared", "shards": 1, "chunkRows": 2, "maxModelLen": 4096,
         "maxLostShare": 1.0, "sampling": sampling}
    )  # fmt: skip
    return shard.run(spec_of(program), storage)


def test_completions_carry_the_tools_on_and_calls_keep_their_marks(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = generate(storage, monkeypatch, templates.MISTRAL)
    rows = rows_in(storage, done.outputs["completions"])
    assert [(row["completion"], restored(row).tools) for row in sorted(rows, key=lambda row: bool(row[TOOL_USE]))] == [
        ('[{"name": "weather"}]', None),
        *[('[TOOL_CALLS][{"name": "weather"}]', TOOLS)] * 3,
    ]
    data = TrainData(kind="TeacherCompletions", completions="out", shards=1)
    for row, prompt, _, tools, _ in read_conversations(data, storage):
        assert (tools, "tool_calls" in str(prompt)) == (
            (None, False) if row == 0 else (TOOLS, prompt[-1]["role"] == "tool")
        )


def test_a_teacher_whose_template_knows_no_tools_is_not_asked_and_rows_are_counted(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = generate(storage, monkeypatch, templates.CHATML).counts
    assert {name: counts[name] for name in ("read", "kept", "rejected.ToolCalls")} == {
        "read": 4,
        "kept": 1,
        "rejected.ToolCalls": 3,
    }


def test_completions_without_tools_have_no_column_of_them(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lines(storage.at("data.jsonl"), [{"messages": [user(str(number))]} for number in range(2)])
    done = prepare.run(
        spec_of(PrepareProgram(source=Source(path="data.jsonl"), holdout=1), "f2"), Storage(storage.at(""))
    )
    finish(storage, "prepared", **done.outputs)
    made = generate(storage, monkeypatch, templates.QWEN)
    for part in parts_of(storage.at(made.outputs["completions"])):
        assert pq.read_schema(part).equals(COMPLETIONS)


# Training.


def test_of_the_last_turn_the_call_is_learnt_as_the_students_template_writes_it() -> None:
    (exchange,) = render(tokenizer(templates.QWEN), 0, [user("q")], calling(call()), TOOLS).exchanges
    assert json.dumps(TOOL) in exchange.given
    assert exchange.answer == (
        '<tool_call>\n{"name": "weather", "arguments": {"town": "Oslo"}}\n</tool_call><|im_end|>\n'
    )
    (exchange,) = render(tokenizer(templates.LLAMA), 0, [user("q")], calling(call()), TOOLS).exchanges
    assert exchange.answer == '{"name": "weather", "parameters": {"town": "Oslo"}}<|eot_id|>'


@pytest.mark.parametrize("template", [templates.QWEN, templates.LLAMA])
def test_of_every_turn_calls_and_answers_are_learnt_and_results_never(template: str) -> None:
    turns = [*ASKED, assistant("4 degrees."), user("And Rome?"), calling(call(2, "Rome")), result(2, 20)]
    (row,) = render_every_turn(tokenizer(template), 0, turns, "20 degrees.", TOOLS)
    learnt = [exchange.answer for exchange in row.exchanges]
    assert ["Oslo" in learnt[0], "4 degrees." in learnt[1], "Rome" in learnt[2], "20 degrees." in learnt[3]] == [
        True
    ] * 4
    assert not [text for text in learnt if "celsius" in text or "And Rome?" in text]
    given = "".join(exchange.given for exchange in row.exchanges)
    assert "celsius: 4" in given and "celsius: 20" in given


def test_a_template_that_writes_results_otherwise_behind_an_answer_is_refused() -> None:
    """Where the two renderings part, the answer would begin inside of what the tool gave back."""
    template = templates.QWEN.replace(
        "{{ message.content }}\n</tool_response>",
        "{{ '' if loop.last else 'before: ' }}{{ message.content }}\n</tool_response>",
    )
    with pytest.raises(StageError, match="would be learnt") as caught:
        render(tokenizer(template), 7, ASKED, "4 degrees.", TOOLS)
    assert caught.value.reason.name == "ChatTemplateRefuses" and "row 7" in caught.value.message


def test_a_student_whose_template_knows_no_tools_is_trained_on_the_others() -> None:
    rows = [TrainingRow(0, [user("q")], "a"), TrainingRow(1, ASKED, "b", TOOLS), TrainingRow(2, [user("r")], "c")]
    for every_turn in (False, True):
        taken = RenderedRows(tokenizer(templates.CHATML), rows, every_turn)
        assert ([row.row for row in taken], taken.refused) == ([0, 2], 1)
    with pytest.raises(StageError, match="row 1 has tools, and the chat template leaves out the calls of tools"):
        list(RenderedRows(tokenizer(templates.CHATML), rows[1:2]))


def test_the_original_datasets_calls_are_read_as_they_were_prepared(storage: Storage) -> None:
    data = TrainData(kind="OriginalDataset", dataset="prepared")
    read = {read.row: (read.prompt, read.answer, read.tools) for read in read_conversations(data, storage)}
    whole = {
        0: ([user("plain")], "a", None),
        1: (ASKED, "4 degrees.", TOOLS),
        2: ([user("called")], calling(call()), TOOLS),
        3: ([user("held out"), *ASKED[1:]], "b", TOOLS),
    }
    assert len(read) == 3 and read.items() <= whole.items()
    every = TrainData(kind="OriginalDataset", dataset="prepared", train_on="EveryAssistantTurn")
    rows = RenderedRows(tokenizer(templates.QWEN), read_conversations(every, storage), every_turn=True)
    answers = {0: 1, 1: 2, 2: 1, 3: 2}
    assert {row.row: len(row.exchanges) for row in rows} == {row: answers[row] for row in read}
    assert rows.refused == 0


# Preflight and evaluation.


def looked_at(teacher: str, student: str, **members: object) -> Prompts:
    planned = PlannedGeneration.model_validate(
        {"max_model_len": 4096, "max_tokens": 8, "max_lost_share": 0.5, "tensor_parallelism": 1, **members}
    )
    prompts = Prompts(Renderer(tokenizer(teacher)), Renderer(tokenizer(student)), planned, every_turn=True)
    rows = [
        {"row": number, "prompt": conversation.prompt, **stored(conversation)}
        for number, conversation in enumerate(
            [from_messages([*ASKED, assistant("a")]).with_tools(TOOLS), from_messages([user("q"), assistant("a")])]
        )
    ]
    list(prompts.take(rows, len(rows), for_training=True))
    return prompts


@pytest.mark.parametrize(
    ("teacher", "student", "rejected"),
    [
        (templates.QWEN, templates.LLAMA, {}),
        (templates.CHATML, templates.QWEN, {"ToolCalls": 1}),
        (templates.QWEN, templates.CHATML, {"StudentTemplateRefused": 1}),
    ],
)
def test_preflight_looks_at_prompts_with_their_tools(teacher: str, student: str, rejected: dict[str, int]) -> None:
    seen = looked_at(teacher, student).seen
    assert {reason.name: count for reason, count in seen.rejected.items()} == rejected
    if not rejected:
        assert [len(row.exchanges) for row in seen.with_every_turn] == [2, 1]


def test_too_many_conversations_with_tools_are_told_before_the_teacher_runs() -> None:
    prompts = looked_at(templates.CHATML, templates.QWEN)
    planned = PlannedGeneration(max_model_len=4096, max_tokens=8, max_lost_share=0.4, tensor_parallelism=1)
    with pytest.raises(
        StageError, match=r"1 ToolCalls\. Example: row 0: the chat template leaves out the calls"
    ) as told:
        check_shares(prompts.seen, planned)
    assert told.value.reason.name == "TooManyRowsLost"


def test_a_student_that_knows_no_tools_is_scored_on_the_other_rows() -> None:
    def held(number: int, conversation: list[object]) -> dict[str, Any]:
        tools = TOOLS if len(conversation) > 1 else None
        return {"row": number, "completion": "yes", "finishReason": "stop",
                **stored(from_messages(conversation).with_tools(tools))}  # fmt: skip

    rows = [held(0, [user("q")]), held(1, [*ASKED])]
    knowing, other = (Renderer(tokenizer(template)) for template in (templates.QWEN, templates.CHATML))
    scored = evaluation.render(rows, knowing)
    assert (len(scored.scored), scored.not_rendered) == (2, 0)
    assert json.dumps(TOOL) in knowing.text(scored.scored[1].prompt_ids)
    assert evaluation.render(rows, other).not_rendered == 1
    with pytest.raises(StageError, match="tools of all 1 holdout rows") as caught:
        evaluation.render(rows[1:], other)
    assert caught.value.reason.name == "NoHoldoutRows"
