"""Which rows a training run reads, in which order, and what is refused before accelerators are kept waiting."""

from pathlib import Path
from typing import Any

import pytest

from distillation_api.contract import StageResult, TrainData
from distillation_stages.data.tables import COMPLETIONS, PREPARED, write_table
from distillation_stages.data.training_rows import TrainingRow, read_conversations
from distillation_stages.maxtext.trainable_text import (
    Exchange,
    Rendered,
    RenderedRows,
    render,
    render_every_turn,
)
from distillation_stages.maxtext.training_tokens import Fitting
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage
from unit.stages.letter_tokenizer import BOS, END, PAD, LetterTokenizer
from unit.stages.stage_inputs import finish, prompt_of


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
        finish(storage, directory, completions=directory)
        rows = [completion_row(10 * shard + index, split) for index, split in enumerate(splits)]
        write_table(tmp_path / directory / "chunk-00000.parquet", COMPLETIONS, rows)
    data = TrainData(kind="TeacherCompletions", completions="generate", shards=2, dataset="prepare")
    assert list(read_conversations(data, storage)) == [
        TrainingRow(0, prompt_of("question 0"), "answer 0"),
        TrainingRow(11, prompt_of("question 11"), "answer 11"),
    ]


def test_a_shard_that_has_not_ended_is_waited_for(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    finish(storage, "generate/shard-0", completions="generate/shard-0")
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
    assert [(conversation.row, conversation.answer) for conversation in read] == [(0, "one"), (2, "three")]


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
        TrainingRow(0, prompt_of("q"), "one"),
        TrainingRow(1, [*earlier, *prompt_of("c")], "d"),
        TrainingRow(2, prompt_of("a"), "b"),
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


def conversations(*first_roles: str) -> list[TrainingRow]:
    return [TrainingRow(row, [{"role": role, "content": "hello"}], "answer") for row, role in enumerate(first_roles)]


def test_what_the_template_refuses_is_passed_over_and_counted() -> None:
    """U13: one conversation with a system message doesn't cost the others their training."""
    rows = RenderedRows(LetterTokenizer(refuses_system), conversations("user", "system", "user"))
    assert ([row.row for row in rows], rows.refused) == ([0, 2], 1)


def test_a_template_that_refuses_most_conversations_is_the_wrong_one() -> None:
    with pytest.raises(StageError, match=r"refuses 2 of 3 conversations\. Example: .*row 0: no system role") as caught:
        list(RenderedRows(LetterTokenizer(refuses_system), conversations("system", "system", "user")))
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
    turns = [TrainingRow(row, chat("a", "b", "c", system=system), "d") for row, system in systems]
    rows = RenderedRows(LetterTokenizer(refuses_system), turns, every_turn=True)
    assert [(row.row, len(row.exchanges)) for row in rows] == [(0, 2), (2, 2), (3, 2)]
    assert rows.refused == 1
    # Half of the conversations, though more rows than that are left.
    turns += [TrainingRow(row, chat("a", "b", "c", system="s"), "d") for row in range(4, 7)]
    with pytest.raises(StageError, match="refuses 4 of 7 conversations"):
        list(RenderedRows(LetterTokenizer(refuses_system), turns, every_turn=True))


# As tokens


def tokens_of(rows: list[Rendered], length: int) -> tuple[Fitting, list[str]]:
    """What fits, and of each row its letters, those in capitals that are learnt."""
    fitting, tokenizer = Fitting(length), LetterTokenizer()
    texts = []
    for row in rows:
        tokens = fitting.tokenised(row, tokenizer)
        letters = zip(tokenizer.decode(tokens.tokens.tolist()), tokens.learnt, strict=True)
        texts.append("".join(letter.upper() if is_learnt else letter for letter, is_learnt in letters))
    return fitting, texts


def test_rows_without_room_for_an_answer_are_counted() -> None:
    """M3."""
    rows = [rendered(), rendered(prompt="<" + "x" * 20), rendered(completion="y" * 20 + ">")]
    fitting, texts = tokens_of(rows, 16)
    assert (fitting.rows, fitting.trained) == (3, 2)
    assert (fitting.prompts_too_long, fitting.answers_cut, fitting.answers_left_out) == (1, 1, 1)
    assert texts == ["<u:hi>a:YES>", "<" + "x" * 15, "<u:hi>a:" + "Y" * 8]


@pytest.mark.parametrize(
    ("length", "cut", "left_out", "text"),
    [
        (26, 0, 0, "<u:aYES>u:NO->u:longerYES>"),
        (25, 1, 0, "<u:aYES>u:NO->u:longerYES"),
        (22, 0, 1, "<u:aYES>u:NO->u:longer"),
        (13, 1, 1, "<u:aYES>u:NO-"),
        (6, 1, 2, "<u:aYE"),
        (5, 1, 2, "<u:aY"),
    ],
)
def test_of_a_long_conversation_the_later_answers_are_lost(length: int, cut: int, left_out: int, text: str) -> None:
    """Its text of 26 letters: answers at 4-8, 10-14 and 22-26."""
    row = row_of(1, ("<u:a", "yes>"), ("u:", "no->"), ("u:longer", "yes>"))
    assert len(row.text) == 26
    fitting, texts = tokens_of([row], length)
    assert (fitting.rows, fitting.answers, fitting.prompts_too_long) == (1, 3, 0)
    assert (fitting.answers_cut, fitting.answers_left_out) == (cut, left_out)
    assert texts == [text], "the whole row, as far as it is read"


@pytest.mark.parametrize("end", [PAD, BOS, END])
def test_the_end_of_an_answer_is_learnt_whatever_else_it_means(end: int) -> None:
    """M20: MaxText masks labels that are the padding token or bos: the student would never learn to stop."""
    tokenizer = LetterTokenizer()
    row = Fitting(64).tokenised(row_of(1, ("<u:a", "yes" + tokenizer.decode([end]))), tokenizer)
    assert (row.tokens[-1], row.learnt[-1]) == (end, True)


def test_the_first_token_follows_nothing_and_is_not_learnt() -> None:
    row = Fitting(64).tokenised(row_of(1, ("", "yes>")), LetterTokenizer())
    assert row.learnt.tolist() == [False, True, True, True]


def test_nothing_but_rows_without_room_is_refused() -> None:
    fitting, _ = tokens_of([rendered(prompt="<" + "x" * 20)], 8)
    with pytest.raises(StageError, match="maxTargetLength=8") as caught:
        fitting.require_trained()
    assert caught.value.reason.name == "NoTrainableTokens"
