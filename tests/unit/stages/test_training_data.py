"""Which rows a training run reads, in which order, and what is refused before accelerators are kept waiting."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from distillation_api.contract import StageResult, TrainData
from distillation_stages.data.conversations import Answer, Turn
from distillation_stages.data.tables import COMPLETIONS, PREPARED, write_table
from distillation_stages.maxtext.trainable_text import (
    Exchange,
    Rendered,
    check,
    endings,
    render,
    render_all,
    render_every_turn,
)
from distillation_stages.programs.train.data import (
    order,
    read_conversations,
    rows_needed,
    rows_of_step,
    steps_of_epochs,
    write_parts,
)
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage
from unit.stages.stage_inputs import finish, prompt_of

PAD, BOS, END = 0, 1, 2


class LetterTokenizer:
    """Each letter is a token; ``<``, ``>`` and ``_`` stand for bos, end of turn and padding."""

    pad_token_id: int | None = PAD
    unk_token_id: int | None = None
    bos_token_id: int | None = BOS
    all_special_ids = (PAD, BOS, END)

    def __init__(self, template: Callable[[list[dict[str, str]], bool], str] | None = None) -> None:
        self._template = template or self._default

    @staticmethod
    def _default(messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        text = "".join(f"{message['role'][0]}:{message['content']}>" for message in messages)
        return f"<{text}{'a:' if add_generation_prompt else ''}"

    def apply_chat_template(self, messages: list[dict[str, str]], add_generation_prompt: bool, tokenize: bool) -> str:
        assert not tokenize
        return self._template(messages, add_generation_prompt)

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [{"<": BOS, ">": END, "_": PAD}.get(letter, ord(letter)) for letter in text]}

    def decode(self, ids: list[int]) -> str:
        return "".join({BOS: "<", END: ">", PAD: "_"}.get(token, chr(token)) for token in ids)


def rendered(prompt: str = "<u:hi>a:", completion: str = "yes>") -> Rendered:
    return row_of(7, (prompt, completion))


def row_of(row: int, *exchanges: tuple[str, str]) -> Rendered:
    return Rendered(row, tuple(Exchange(given, answer) for given, answer in exchanges))


def texts_of(row: Rendered) -> list[tuple[str, str]]:
    return [(exchange.given, exchange.answer) for exchange in row.exchanges]


# Which rows


def test_teacher_completions_are_the_train_rows_of_all_shards_and_never_the_holdout(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    for shard, splits in enumerate((["train", "holdout"], ["holdout", "train"])):
        directory = f"generate/shard-{shard}"
        finish(storage, directory)
        rows = [completion_row(10 * shard + index, split) for index, split in enumerate(splits)]
        write_table(tmp_path / directory / "chunk-00000.parquet", COMPLETIONS, rows)
    data = TrainData(kind="TeacherCompletions", completions="generate", shards=2, dataset="prepare")
    assert list(read_conversations(data, storage)) == [
        (0, prompt_of("question 0"), "answer 0", None),
        (11, prompt_of("question 11"), "answer 11", None),
    ]


def test_a_shard_that_has_not_ended_is_waited_for(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    finish(storage, "generate/shard-0")
    data = TrainData(kind="TeacherCompletions", completions="generate", shards=2, dataset="prepare")
    with pytest.raises(StageError, match="shard-1"):
        list(read_conversations(data, storage))


def test_the_original_dataset_is_the_rows_that_have_a_reference(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    references = ["one", None, "three"]
    rows = [{"row": row, "prompt": prompt_of("q"), "reference": text} for row, text in enumerate(references)]
    write_table(tmp_path / "prepare/train/part-00000.parquet", PREPARED, rows)
    storage.write_marker("prepare", StageResult(stage="p", fingerprint="f", outputs={"train": "prepare/train"}))
    read = list(read_conversations(TrainData(kind="OriginalDataset", dataset="prepare"), storage))
    assert [(row, answer) for row, _, answer, _ in read] == [(0, "one"), (2, "three")]


def test_where_every_turn_is_learnt_a_conversation_ends_with_its_last_answer(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    earlier = [*prompt_of("a"), {"role": "assistant", "content": "b"}]
    prepared = [(prompt_of("q"), "one"), ([*earlier, *prompt_of("c")], "d"), ([*earlier, *prompt_of("c")], None),
                (prompt_of("q"), None)]  # fmt: skip
    rows = [{"row": row, "prompt": prompt, "reference": text} for row, (prompt, text) in enumerate(prepared)]
    write_table(tmp_path / "prepare/train/part-00000.parquet", PREPARED, rows)
    finish(storage, "prepare", train="prepare/train")
    data = TrainData(kind="OriginalDataset", dataset="prepare", train_on="EveryAssistantTurn")
    assert list(read_conversations(data, storage)) == [
        (0, prompt_of("q"), "one", None),
        (1, [*earlier, *prompt_of("c")], "d", None),
        (2, prompt_of("a"), "b", None),
    ]


def test_of_the_teachers_completions_only_the_last_turn_is_learnt(tmp_path: Path) -> None:
    data = TrainData(kind="TeacherCompletions", completions="generate", shards=1, train_on="EveryAssistantTurn")
    with pytest.raises(StageError, match="only the last turn") as caught:
        list(read_conversations(data, Storage(tmp_path)))
    assert caught.value.reason.name == "BadTrainData"


def completion_row(row: int, split: str) -> dict[str, Any]:
    return {
        "row": row,
        "split": split,
        "prompt": prompt_of(f"question {row}"),
        "reference": None,
        "completion": f"answer {row}",
        "sample": 0,
        "finishReason": "stop",
        "promptTokens": 3,
        "completionTokens": 3,
    }


# Rendering


def test_a_conversation_is_rendered_whole_and_only_its_answer_is_learnt() -> None:
    prompt = [*prompt_of("a"), {"role": "assistant", "content": "b"}, *prompt_of("c")]
    row = render(LetterTokenizer(), 3, prompt, "d")
    assert texts_of(row) == [("<u:a>a:b>u:c>a:", "d>")]


def test_a_generation_prompt_that_opens_thinking_is_not_part_of_what_is_given() -> None:
    """M24."""

    def template(messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        text = "".join(message["content"] + ">" for message in messages)
        return text + "[think]" if add_generation_prompt else text

    row = render(LetterTokenizer(template), 3, prompt_of("question"), "answer")
    assert texts_of(row) == [("question>", "answer>")]


def test_a_template_that_refuses_names_the_row() -> None:
    def template(messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        raise ValueError("no system role")

    with pytest.raises(StageError, match="row 3: no system role"):
        render(LetterTokenizer(template), 3, prompt_of("question"), "answer")


def refuses_system(messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
    if messages[0]["role"] == "system":
        raise ValueError("no system role")
    return "".join(message["content"] + ">" for message in messages)


def conversations(*first_roles: str) -> list[tuple[int, list[Turn], Answer, None]]:
    return [(row, [{"role": role, "content": "hello"}], "answer", None) for row, role in enumerate(first_roles)]


def test_what_the_template_refuses_is_passed_over_and_counted() -> None:
    """U13: one conversation with a system message doesn't cost the others their training."""
    rows, refused = render_all(LetterTokenizer(refuses_system), conversations("user", "system", "user"))
    assert ([row.row for row in rows], refused) == ([0, 2], 1)


def test_a_template_that_refuses_most_conversations_is_the_wrong_one() -> None:
    with pytest.raises(StageError, match=r"refuses 2 of 3 conversations\. Example: .*row 0: no system role") as caught:
        render_all(LetterTokenizer(refuses_system), conversations("system", "system", "user"))
    assert caught.value.reason.name == "ChatTemplateRefuses"


# Every turn


def chat(*contents: str, system: str | None = None) -> list[dict[str, str]]:
    """Turns of user and assistant in turn, behind a system message."""
    turns = [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(contents)]
    return [*([{"role": "system", "content": system}] if system else []), *turns]


def every_turn(tokenizer: Any, *contents: str, system: str | None = None) -> list[list[tuple[str, str]]]:
    """The rows of a conversation, each as its exchanges."""
    *prompt, answer = chat(*contents, system=system)
    rows = render_every_turn(tokenizer, 3, prompt, answer["content"])
    assert {row.row for row in rows} == {3}
    return [texts_of(row) for row in rows]


@pytest.mark.parametrize(
    ("contents", "system", "exchanges"),
    [
        (("a", "b"), None, [("<u:a>a:", "b>")]),
        (("a", "b", "c", "d"), None, [("<u:a>a:", "b>"), ("u:c>a:", "d>")]),
        (("a", "b", "c", "d", "e", "f"), "s", [("<s:s>u:a>a:", "b>"), ("u:c>a:", "d>"), ("u:e>a:", "f>")]),
    ],
)
def test_a_conversation_is_one_row_of_which_every_answer_is_learnt(
    contents: tuple[str, ...], system: str | None, exchanges: list[tuple[str, str]]
) -> None:
    assert every_turn(LetterTokenizer(), *contents, system=system) == [exchanges]


def test_the_last_turn_is_learnt_as_when_it_alone_is() -> None:
    *prompt, answer = chat("a", "b", "c", "d", system="s")
    alone = render(LetterTokenizer(), 3, prompt, answer["content"])
    (whole,) = render_every_turn(LetterTokenizer(), 3, prompt, answer["content"])
    assert alone.text == whole.text
    assert alone.exchanges[-1].answer == whole.exchanges[-1].answer


def without_earlier_reasoning(messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
    """As Qwen3's: of an answer that others follow the reasoning is taken out; the last one always has a block of it."""
    last = len(messages) - 1
    text = ""
    for position, message in enumerate(messages):
        content = message["content"]
        if message["role"] == "assistant":
            thought, _, said = content.rpartition("}")
            content = f"{thought or '{'}}}{said}" if position == last else said
        text += f"{message['role'][0]}:{content}>"
    return text + ("a:" if add_generation_prompt else "")


def test_an_answer_that_changes_when_others_follow_begins_another_row() -> None:
    tokenizer = LetterTokenizer(without_earlier_reasoning)
    assert every_turn(tokenizer, "a", "{why}b", "c", "d", "e", "{so}f") == [
        [("u:a>a:", "{why}b>")],
        [("u:a>a:b>u:c>a:", "{}d>")],
        [("u:a>a:b>u:c>a:d>u:e>a:", "{so}f>")],
    ]


def system_in_the_last_turn(messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
    """As Mistral's: what the system says is put into the last user turn."""
    system = messages[0]["content"] + " " if messages[0]["role"] == "system" else ""
    turns = [message for message in messages if message["role"] != "system"]
    last = max(position for position, turn in enumerate(turns) if turn["role"] == "user")
    said = [f"[{system if position == last else ''}{turn['content']}]" if turn["role"] == "user"
            else f"{turn['content']}>" for position, turn in enumerate(turns)]  # fmt: skip
    return "<" + "".join(said)


def test_only_conversations_whose_text_changes_become_several_rows() -> None:
    tokenizer = LetterTokenizer(system_in_the_last_turn)
    assert every_turn(tokenizer, "a", "b", "c", "d") == [[("<[a]", "b>"), ("[c]", "d>")]]
    assert every_turn(tokenizer, "a", "b", "c", "d", system="s") == [[("<[s a]", "b>")], [("<[a]b>[s c]", "d>")]]


def test_a_row_goes_on_as_long_as_the_text_stays() -> None:
    def template(messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        """Something in front once a conversation is long."""
        text = "".join(f"{message['role'][0]}:{message['content']}>" for message in messages)
        return ("long " if len(messages) > 4 else "") + text + ("a:" if add_generation_prompt else "")

    assert every_turn(LetterTokenizer(template), "a", "b", "c", "d", "e", "f") == [
        [("u:a>a:", "b>"), ("u:c>a:", "d>")],
        [("long u:a>a:b>u:c>a:d>u:e>a:", "f>")],
    ]


def test_of_every_turn_whole_conversations_are_refused() -> None:
    systems = enumerate((None, "s", None, None))
    turns: list[tuple[int, list[Turn], Answer, None]]
    turns = [(row, chat("a", "b", "c", system=system), "d", None) for row, system in systems]
    rows, refused = render_all(LetterTokenizer(refuses_system), turns, every_turn=True)
    assert ([row.row for row in rows], refused) == ([0, 2, 3], 1)
    assert [len(row.exchanges) for row in rows] == [2, 2, 2]
    # Half of the conversations, though more rows than that are left.
    turns += [(row, chat("a", "b", "c", system="s"), "d", None) for row in range(4, 7)]
    with pytest.raises(StageError, match="refuses 4 of 7 conversations"):
        render_all(LetterTokenizer(refuses_system), turns, every_turn=True)


# What is checked


def test_rows_without_room_for_an_answer_are_counted() -> None:
    """M3."""
    checked = check(
        [rendered(), rendered(prompt="<" + "x" * 20), rendered(completion="y" * 20 + ">")], LetterTokenizer(), 16
    )
    assert (checked.rows, checked.prompts_too_long, checked.truncated, checked.answers_left_out) == (3, 1, 1, 1)
    assert checked.trainable_tokens == 4 + 0 + 8


@pytest.mark.parametrize(
    ("length", "cut", "left_out", "trained"),
    [(26, 0, 0, 12), (25, 1, 0, 11), (22, 0, 1, 8), (13, 1, 1, 7), (6, 1, 2, 2), (5, 1, 2, 1)],
)
def test_of_a_long_conversation_the_later_answers_are_lost(length: int, cut: int, left_out: int, trained: int) -> None:
    """Its text of 26 letters: answers at 4-8, 10-14 and 22-26."""
    row = row_of(1, ("<u:a", "yes>"), ("u:", "no->"), ("u:longer", "yes>"))
    assert len(row.text) == 26
    checked = check([row], LetterTokenizer(), length)
    assert (checked.rows, checked.prompts_too_long, checked.truncated) == (1, 0, cut)
    assert (checked.answers_left_out, checked.trainable_tokens) == (left_out, trained)
    assert checked.tokens_per_row == length, "the whole row, as far as it is read"


def test_the_ends_of_all_answers_must_be_learnt() -> None:
    row = row_of(1, ("<u:a", "yes_"), ("u:", "no>"))
    tokenizer = LetterTokenizer()
    assert endings([row], tokenizer) == {PAD, END}
    with pytest.raises(StageError) as caught:
        check([row], tokenizer, 64)
    assert caught.value.reason.name == "PadIsEos"


def test_nothing_but_rows_without_room_is_refused() -> None:
    with pytest.raises(StageError, match="maxTargetLength=8") as caught:
        check([rendered(prompt="<" + "x" * 20)], LetterTokenizer(), 8)
    assert caught.value.reason.name == "NoTrainableTokens"


def test_padding_with_the_end_of_the_turn_is_refused() -> None:
    """M20: the student would never learn to stop."""
    tokenizer = LetterTokenizer()
    tokenizer.pad_token_id = END
    with pytest.raises(StageError, match="pad_token") as caught:
        check([rendered()], tokenizer, 64)
    assert caught.value.reason.name == "PadIsEos"


def test_a_missing_pad_token_is_the_unknown_one_as_in_maxtext() -> None:
    tokenizer = LetterTokenizer()
    tokenizer.pad_token_id, tokenizer.unk_token_id = None, END
    with pytest.raises(StageError) as caught:
        check([rendered()], tokenizer, 64)
    assert caught.value.reason.name == "PadIsEos"


def test_an_end_that_is_also_the_beginning_is_refused() -> None:
    tokenizer = LetterTokenizer()
    tokenizer.bos_token_id = END
    with pytest.raises(StageError) as caught:
        check([rendered()], tokenizer, 64)
    assert caught.value.reason.name == "BosIsEos"


# The order


def test_every_epoch_has_every_row_once_in_an_order_of_its_own() -> None:
    positions = list(order(total=10, skip=0, count=20))
    assert sorted(positions[:10]) == sorted(positions[10:]) == list(range(10))
    assert positions[:10] != positions[10:]


@pytest.mark.parametrize("skip", [0, 3, 10, 17])
def test_a_restart_goes_on_where_the_run_before_would_have(skip: int) -> None:
    """M4, M21."""
    assert list(order(10, skip, 12)) == list(order(10, 0, 40))[skip : skip + 12]


def test_unpacked_steps_read_exactly_their_batches() -> None:
    assert rows_of_step(4, packing=False, max_target_length=128, tokens_per_row=10) == 4
    assert rows_needed(steps=6, batch=4, packing=False, rows_per_step=4.0) == 24


def test_packed_steps_read_several_rows_per_row_of_the_batch() -> None:
    per_step = rows_of_step(4, packing=True, max_target_length=128, tokens_per_row=32)
    assert per_step == 16
    rows = rows_needed(steps=6, batch=4, packing=True, rows_per_step=per_step)
    assert rows * 32 >= 6 * 4 * 128
    assert rows % 4 == 0, "every host gets the same number"


def test_rows_longer_than_the_target_are_cut_not_spread() -> None:
    assert rows_of_step(4, packing=True, max_target_length=128, tokens_per_row=500) == 4


@pytest.mark.parametrize(
    ("epochs", "rows", "per_step", "steps"), [(1, 80, 4.0, 20), (3, 10, 4.0, 7), (1, 3, 4.0, 1), (2, 100, 16.0, 12)]
)
def test_epochs_become_steps(epochs: int, rows: int, per_step: float, steps: int) -> None:
    assert steps_of_epochs(epochs, rows, per_step) == steps


@pytest.mark.parametrize("hosts", [1, 2, 4])
def test_any_number_of_hosts_reads_the_same_global_batches(tmp_path: Path, hosts: int) -> None:
    batch, steps = 8, 3
    rows = [row_of(row, (f"prompt {row}", f"answer {row}")) for row in range(10)]
    positions = list(order(len(rows), 0, batch * steps))
    write_parts(rows, iter(positions), hosts, batch // hosts, tmp_path)
    parts = [pq.read_table(part).to_pylist() for part in sorted(tmp_path.glob("*.parquet"))]
    assert len(parts) == hosts
    per_host = batch // hosts
    for step in range(steps):
        read = [row for part in parts for row in part[step * per_host : (step + 1) * per_host]]
        expected = positions[step * batch : (step + 1) * batch]
        assert [row["messages"][0]["content"] for row in read] == [f"prompt {position}" for position in expected]


def test_rows_are_what_maxtext_takes(tmp_path: Path) -> None:
    write_parts([rendered()], iter([0]), 1, 1, tmp_path)
    assert pq.read_table(tmp_path / "part-00000.parquet").to_pylist() == [
        {"messages": [{"role": "user", "content": "<u:hi>a:"}, {"role": "assistant", "content": "yes>"}]}
    ]


def test_a_row_of_several_answers_is_what_maxtext_takes(tmp_path: Path) -> None:
    write_parts([row_of(1, ("<u:a>a:", "b>"), ("u:c>a:", "d>"))], iter([0]), 1, 1, tmp_path)
    (row,) = pq.read_table(tmp_path / "part-00000.parquet").to_pylist()
    assert [(message["role"], message["content"]) for message in row["messages"]] == [
        ("user", "<u:a>a:"), ("assistant", "b>"), ("user", "u:c>a:"), ("assistant", "d>"),
    ]  # fmt: skip
