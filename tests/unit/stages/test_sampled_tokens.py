"""What is learnt is what the teacher has said, token for token, where it speaks in the student's vocabulary."""

from pathlib import Path
from typing import Any

import pytest

from distillation_api.contract import PackProgram, TrainData
from distillation_stages.data import learnt_answers
from distillation_stages.data.packing import SequenceFiles
from distillation_stages.data.tables import COMPLETIONS, VOCABULARY, write_table
from distillation_stages.data.token_rows import contains
from distillation_stages.data.training_rows import read_conversations
from distillation_stages.models.sampled_tokens import as_sampled, tokens_of, vocabulary_hash
from distillation_stages.programs.pack import lay_out
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage
from unit.stages.piece_tokenizer import PieceTokenizer, spelt
from unit.stages.stage_inputs import finish, prompt_of

# Of what was sampled, the text.


@pytest.mark.parametrize(
    ("sampled", "text", "found"),
    [
        pytest.param(spelt("He", "llo", "</s>"), "Hello", spelt("He", "llo"), id="all but the end"),
        pytest.param(spelt("He", "llo"), "Hello", spelt("He", "llo"), id="cut at the limit"),
        pytest.param(spelt(" Hello", "!", "\n", "\n", "</s>"), "Hello!", spelt(" Hello", "!"), id="white space"),
        pytest.param(
            spelt("<think>", "hm", "</think>", "\n", "He", "llo", "</s>"), "Hello", spelt("He", "llo"), id="reasoning"
        ),
        pytest.param(spelt("Hello", "</think>", "Hello", "</s>"), "Hello", spelt("Hello"), id="said twice"),
        pytest.param(spelt("Hello", "a"), "ello", None, id="a token reaches beyond the text"),
        pytest.param(spelt("a", "<|bot|>", "b"), "ab", None, id="a special token left out in between"),
        pytest.param([*spelt("He"), 999, *spelt("llo")], "Hello", None, id="a row of the model that is no token"),
        pytest.param(spelt("</s>"), "", None, id="nothing"),
        pytest.param([], "a", None, id="no tokens"),
    ],
)
def test_those_of_the_sampled_tokens_that_are_the_text(sampled: list[int], text: str, found: list[int] | None) -> None:
    assert tokens_of(PieceTokenizer(), sampled, text) == found


# In the answer that the student's template writes.


@pytest.mark.parametrize(
    ("answer", "sampled", "learnt"),
    [
        pytest.param("Hello</s>\n", spelt("Hello"), spelt("Hello", "</s>", "\n"), id="spelt alike"),
        pytest.param("Hello</s>\n", spelt("He", "llo"), spelt("He", "llo", "</s>", "\n"), id="spelt otherwise"),
        pytest.param(
            "<think>\n</think>\nHello</s>\n",
            spelt("He", "llo"),
            spelt("<think>", "\n", "</think>", "\n", "He", "llo", "</s>", "\n"),
            id="behind what the template writes",
        ),
        pytest.param("Hello</s>\n", spelt(" ", "He", "llo"), None, id="a space that the template doesn't write"),
        pytest.param(" Hello</s>\n", spelt(" ", "He", "llo"), spelt(" ", "He", "llo", "</s>", "\n"), id="its space"),
        pytest.param("Hello</s>\n", spelt("He", "llo", "!"), None, id="another text"),
        pytest.param("</s>\n", spelt("Hello"), None, id="the template leaves the answer out"),
    ],
)
def test_the_templates_answer_in_the_tokens_that_were_said(
    answer: str, sampled: list[int], learnt: list[int] | None
) -> None:
    tokenizer = PieceTokenizer()
    given = tokenizer.encode("<s><|user|>a<|bot|>")
    assert as_sampled(tokenizer, given, tokenizer.encode(answer), "Hello", sampled) == learnt


def test_a_piece_begins_where_a_token_begins() -> None:
    assert contains([1, 2, 3], [2, 3]) and contains([2], [2])
    # As bytes, 256 is 00 01 00 00: the bytes of 1 begin in its middle.
    assert not contains([256, 0], [1]) and not contains([1], []) and not contains([], [1])


# All of it.


def storage_with(folder: Path, rows: list[tuple[str, list[int] | None]], vocabulary: str) -> Storage:
    """Answers of a teacher, with their tokens."""
    storage = Storage(folder)
    table = [
        {"row": row, "sample": 0, "split": "train", "prompt": prompt_of("a"), "reference": None, "completion": text,
         "finishReason": "stop", "promptTokens": 1, "completionTokens": 1, "sampledTokens": tokens}
        for row, (text, tokens) in enumerate(rows)
    ]  # fmt: skip
    write_table(storage.at("generate/shard-0/chunk-00000.parquet"), COMPLETIONS, table, {VOCABULARY: vocabulary})
    finish(storage, "generate/shard-0", completions="generate/shard-0")
    return storage


def packed(storage: Storage, tokenizer: PieceTokenizer, packing: bool = True) -> tuple[dict[str, int], list[list[int]]]:
    """The counts, and the learnt tokens of each row, in order of their numbers."""
    program = PackProgram(
        student="student",
        data=TrainData(kind="TeacherCompletions", completions="generate", shards=1),
        max_target_length=32,
        packing=packing,
        sequences_per_step=1,
    )
    folder = storage.at("sequences")
    done = lay_out("pack-one", program, storage, tokenizer, folder)
    learnt: list[list[int]] = []
    for index in range(done.manifest.sequences):
        sequence: dict[str, Any] = SequenceFiles(folder)[index]
        for segment in range(1, int(sequence["segments"].max()) + 1):
            learnt.append(sequence["tokens"][(sequence["segments"] == segment) & sequence["learnt"]].tolist())
    return done.counts, sorted(learnt)


@pytest.mark.parametrize("packing", [False, True])
def test_a_student_of_the_teachers_vocabulary_learns_its_tokens(tmp_path: Path, packing: bool) -> None:
    tokenizer = PieceTokenizer()
    said: list[tuple[str, list[int] | None]]
    said = [("Hello", spelt("He", "llo")), ("Hello!", spelt("Hello", "!")), ("hm", spelt("h", "m"))]
    counts, learnt = packed(storage_with(tmp_path, said, vocabulary_hash(tokenizer)), tokenizer, packing)
    assert learnt == sorted([*tokens, *spelt("</s>", "\n")] for _, tokens in said if tokens)
    assert (counts["asSampled"], counts["comparedWithSampled"], counts["answers"]) == (3, 3, 3)


def test_of_another_vocabulary_or_without_tokens_the_text_is_learnt(tmp_path: Path) -> None:
    tokenizer = PieceTokenizer()
    said = [("Hello", spelt("He", "llo")), ("hm", None)]
    spelling = sorted(tokenizer.encode(f"{text}</s>\n") for text, _ in said)
    counts, learnt = packed(storage_with(tmp_path / "other", said, "another"), tokenizer)
    assert (counts["asSampled"], counts["comparedWithSampled"], learnt) == (0, 0, spelling)
    counts, learnt = packed(storage_with(tmp_path / "same", said, vocabulary_hash(tokenizer)), tokenizer)
    assert (counts["asSampled"], counts["comparedWithSampled"]) == (1, 1)
    assert learnt == sorted([spelt("He", "llo", "</s>", "\n"), tokenizer.encode("hm</s>\n")])


def test_answers_learnt_in_other_tokens_end_the_stage(tmp_path: Path) -> None:
    """The files are compared: were they of another run, or mixed up on the way, it would be seen."""
    tokenizer = PieceTokenizer()
    storage = storage_with(tmp_path, [("Hello", spelt("He", "llo"))], vocabulary_hash(tokenizer))
    sample = learnt_answers.Sample([[0]])
    packed(storage, tokenizer)
    others = storage_with(tmp_path / "others", [("Hello", spelt("Hello"))], vocabulary_hash(tokenizer))
    data = TrainData(kind="TeacherCompletions", completions="generate", shards=1)
    conversations = read_conversations(data, others, vocabulary=vocabulary_hash(tokenizer))
    with pytest.raises(StageError, match="row 0") as caught:
        sample.compare(storage.at("sequences"), conversations)
    assert caught.value.reason.name == "LearntOtherwise"
