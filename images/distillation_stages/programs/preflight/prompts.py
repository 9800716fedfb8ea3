"""The prepared prompts by both chat templates: which of them the teacher can be asked and the student trained on."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from distillation_api import reasons
from distillation_api.contract import PlannedGeneration
from distillation_api.reasons.reason import RowReason
from distillation_stages.data.conversations import as_turn, up_to_last_answer
from distillation_stages.data.tables import Row
from distillation_stages.data.tool_use import restored
from distillation_stages.data.turn_members import CLOSE, OPEN
from distillation_stages.maxtext.trainable_text import Rendered, render, render_every_turn, require_most
from distillation_stages.models.control_tokens import token_ids
from distillation_stages.models.reasoning import Parts, kept
from distillation_stages.models.rendering import Renderer, asked_ids
from distillation_stages.runtime.failure import RowRejected, StageError

CHECKED_ROWS = 2_000
"""Rows that are tokenised, evenly spread."""

STAND_IN = "An answer."
"""In the place of the teacher's answer, which there isn't yet."""

UNASKED = (reasons.TEMPLATE_REFUSED, reasons.TOOL_CALLS, reasons.PROMPT_TOO_LONG)
"""Why a prompt can't be answered."""


@dataclass
class Rendering:
    """What the templates made of the prompts so far."""

    read: int = 0
    asked: int = 0
    """Those of them that the teacher is to answer."""
    rejected: Counter[RowReason] = field(default_factory=Counter)
    examples: dict[RowReason, str] = field(default_factory=dict)
    """The first of each, for messages."""
    with_stand_in: list[Rendered] = field(default_factory=list)
    """Some rows for training, evenly spread, as the student will be trained on the teacher's answer to them."""
    with_reference: list[Rendered] = field(default_factory=list)
    """Some rows with the dataset's own answer."""
    without_reasoning: int = 0
    """Of ``with_reference``, those whose answer's reasoning the template takes out."""
    with_every_turn: list[Rendered] = field(default_factory=list)
    """Some rows with all of the dataset's own answers; empty where no training stage learns them."""

    def reject(self, reason: RowReason, row: int, detail: str) -> None:
        """Count a row that is left out."""
        self.rejected[reason] += 1
        self.examples.setdefault(reason, f"row {row}: {detail}")


class Prompts:
    """Both templates, and what is asked of them."""

    def __init__(
        self, teacher: Renderer, student: Renderer, planned: PlannedGeneration, every_turn: bool = False
    ) -> None:
        """``student``: its renderer, with the template that it is trained with. ``every_turn``: a training stage learns
        all of the dataset's own answers."""
        self._teacher, self._student, self._planned, self._every_turn = teacher, student, planned, every_turn
        self.seen = Rendering()

    def take(self, rows: Iterable[Row], total: int, for_training: bool) -> Iterable[int]:
        """Render rows; yields how many were read so far. ``total``: of them all, to spread the sample evenly."""
        step = max(1, total // CHECKED_ROWS)
        for index, row in enumerate(rows):
            self.seen.read += 1
            is_asked = not (for_training and self._planned.holdout_only)
            self.seen.asked += is_asked
            self._take(row, sampled=for_training and index % step == 0, is_asked=is_asked)
            yield self.seen.read

    def _take(self, row: Row, sampled: bool, is_asked: bool) -> None:
        number, read = row["row"], restored(row)
        prompt, reference, tools = read.prompt, read.reference, read.tools
        try:
            if is_asked:
                limit = self._planned.max_model_len - self._planned.max_tokens
                asked_ids(self._teacher, prompt, tools, self._planned.system_prompt, limit)
            rendered = render(self._student.tokenizer, number, prompt, STAND_IN, tools)
            if sampled:
                self.seen.with_stand_in.append(rendered)
            if sampled and reference:
                own_answer = render(self._student.tokenizer, number, prompt, reference, tools)
                self.seen.with_reference.append(own_answer)
                self.seen.without_reasoning += _lacks_reasoning(own_answer, as_turn(reference)["content"])
            own = up_to_last_answer(prompt, reference) if sampled and self._every_turn else None
            if own is not None:
                self.seen.with_every_turn += render_every_turn(self._student.tokenizer, number, *own, tools)
        except RowRejected as rejected:
            self.seen.reject(rejected.reason, number, rejected.detail)
        except StageError as error:
            self.seen.reject(reasons.STUDENT_TEMPLATE_REFUSED, number, error.message)


def _lacks_reasoning(rendered: Rendered, answer: str) -> bool:
    """Whether the reasoning of an answer is missing in what is learnt of it."""
    thought = answer.partition(CLOSE)[0].replace(OPEN, "").strip() if CLOSE in answer else ""
    return thought not in rendered.exchanges[-1].answer


def check_own_reasoning(seen: Rendering) -> None:
    """Raises StageError when the template takes the reasoning out of most of the dataset's own answers."""
    if seen.without_reasoning * 2 > len(seen.with_reference):
        raise StageError(
            reasons.REASONING_NOT_RENDERED,
            f"{seen.without_reasoning} of {len(seen.with_reference)} of the dataset's own answers that were looked at "
            "have reasoning before </think>, and the student's chat template takes it out, so that a stage on "
            "OriginalDataset would learn answers without it. Give a template that leaves it in student.chatTemplate, "
            "or take the reasoning out of the dataset",
        )


def check_shares(seen: Rendering, planned: PlannedGeneration) -> None:
    """Raises StageError when too many prompts couldn't be answered, or the answers not be learnt."""
    refused = reasons.STUDENT_TEMPLATE_REFUSED
    require_most(seen.rejected[refused], seen.read, seen.examples.get(refused, ""))
    unasked = {reason: seen.rejected[reason] for reason in UNASKED}
    lost = sum(unasked.values())
    if lost > planned.max_lost_share * seen.asked:
        worst = max(unasked, key=lambda reason: unasked[reason])
        counted = ", ".join(f"{count} {reason.name}" for reason, count in unasked.items() if count)
        raise StageError(
            reasons.TOO_MANY_ROWS_LOST,
            f"the teacher can't be asked {lost} of {seen.asked} prompts, generation.maxLostShare allows "
            f"{planned.max_lost_share:.0%}: {counted}. Example: {seen.examples[worst]}. {worst.remedy}",
        )


def check_reasoning(student: Any, planned: PlannedGeneration) -> None:
    """Raises StageError when reasoning is to be learnt that the student's template takes out of its answers.

    Whatever the teacher's own marks, it is written as the student is to learn it. ``student``: its tokenizer.
    """
    if planned.reasoning == "StripClosed":
        return
    probe = "a thought that must be learnt"
    answer = kept(Parts(probe, STAND_IN, opened=True, closed=True, ends_open=False))
    rendered = render(student, 0, [{"role": "user", "content": "A question?"}], answer)
    learnt = rendered.exchanges[0].answer
    if probe not in learnt:
        raise StageError(
            reasons.REASONING_NOT_RENDERED,
            f"generation.reasoning is {planned.reasoning}, but the student's chat template takes the reasoning out of "
            f"an answer: of {answer!r} it renders {learnt!r}. Give a template that leaves it in "
            "student.chatTemplate, or set generation.reasoning to StripClosed",
        )


def check_end(student: Any) -> None:
    """Raises StageError when the student would learn no token by which a server can tell that an answer ends.

    ``student``: its tokenizer, with the template that it is trained with.
    """
    try:
        learnt = render(student, 0, [{"role": "user", "content": "A question?"}], STAND_IN).exchanges[0].answer
    except StageError:
        # Whether it takes the conversations that there are is seen by them.
        return
    mark = learnt.rpartition(STAND_IN)[2].strip()
    if not mark:
        raise StageError(
            reasons.NO_END_OF_ANSWER,
            "the student's chat template writes nothing after an answer, so that the student would never learn to end "
            "one. Give a template in student.chatTemplate that ends answers, by {{ eos_token }} at the least",
        )
    spelt = token_ids(student, mark)
    if not _is_mark(student, spelt[0], mark) or spelt[0] not in token_ids(student, learnt):
        raise StageError(
            reasons.NO_END_OF_ANSWER,
            f"the student's chat template ends an answer by {mark!r}, for which its tokenizer has no token of its own: "
            f"it spells it as {len(spelt)} tokens, {student.convert_ids_to_tokens(spelt)}. Give a template in "
            "student.chatTemplate that ends answers by {{ eos_token }}, or one of the student's own family",
        )


def _is_mark(tokenizer: Any, token: int, mark: str) -> bool:
    """Whether a token stands for a mark alone, and in no text that people write."""
    marks = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder} - {tokenizer.unk_token_id}
    if token in marks | {tokenizer.eos_token_id}:
        return True
    # Some vocabularies have their marks among the pieces of texts.
    return mark.startswith(("<", "[")) and mark.startswith(tokenizer.convert_ids_to_tokens(token)) and len(mark) > 2


def check_tokens(rendered: Iterable[str], tokenizer: Any, vocabulary: int, whose: str) -> None:
    """Raises StageError when a rendered text has a token whose number is beyond the model's vocabulary."""
    for text in rendered:
        highest = max(token_ids(tokenizer, text), default=0)
        if highest >= vocabulary:
            raise StageError(
                reasons.TOKENS_BEYOND_VOCABULARY,
                f"{whose} chat template uses the token {tokenizer.convert_ids_to_tokens(highest)!r} with number "
                f"{highest}, but vocab_size in config.json is {vocabulary}: the weights have no row for it. Resize the "
                "model's embeddings to its tokenizer and save both, or give a chat template without it",
            )
