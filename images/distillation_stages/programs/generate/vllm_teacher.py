"""A teacher that vLLM runs in this pod: its chat template, token limits, seeds and reasoning."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from distillation_api import reasons
from distillation_api.contract import GenerateProgram, Sampling
from distillation_api.reasons.reason import RowReason
from distillation_stages.data.tools import uses_tools
from distillation_stages.models.model_config import architectures, read_config
from distillation_stages.models.rendering import Renderer, asked_ids, check_system_prompt
from distillation_stages.models.sampled_tokens import tokens_of, vocabulary_hash
from distillation_stages.models.teacher_reasoning import TeacherReasoning
from distillation_stages.programs.generate.teacher import Answer, Question
from distillation_stages.programs.generate.vllm_engine import REFUSED, Engine, EngineAnswer, Request
from distillation_stages.runtime.failure import RowRejected, StageError
from distillation_stages.runtime.reporting import say


class VllmTeacher:
    """See the protocol ``Teacher``."""

    def __init__(self, model: Path, program: GenerateProgram, first_position: int) -> None:
        """Checks what can be known before the engine is loaded, which takes minutes. Raises StageError.

        ``first_position``: of the rows that this start answers.
        """
        check_lengths(program)
        self._model = model
        self._program = program
        self._first_position = first_position
        self._renderer = Renderer.load(
            model, program.chat_template, program.chat_template_arguments, "generation.chatTemplate"
        )
        check_system_prompt(self._renderer, program.system_prompt)
        self._reasoning = self._renderer.reasoning(architectures(read_config(model)), program.reasoning)
        say(str(self._reasoning))
        self._calling: TeacherReasoning | None = None
        """The same of answers that may be calls; found when the first such question comes."""
        self._engine: Engine | None = None
        self._asked: dict[int, tuple[int, TeacherReasoning]] = {}
        """Of the questions that the engine is at, by key: the prompt's tokens, and how their answers are read."""
        self._rendered: tuple[int, list[int] | RowReason, str] | None = None
        """The row that was rendered last: its samples come one after the other."""
        self.vocabulary = vocabulary_hash(self._renderer.tokenizer)
        self.versions = {
            "chatTemplate": self._renderer.template_hash(),
            "reasoningMarks": self._reasoning.marks.name if self._reasoning.found_in else "none found",
        }

    def load(self) -> None:
        """Load the model into vLLM."""
        seed = engine_seed(self._program.sampling, self._first_position)
        self._engine = Engine(self._model, self._program, seed, self._reasoning.keeps_special_tokens)
        self.versions |= self._engine.versions

    def answers(self, questions: Iterable[Question], beat: Callable[[], None]) -> Iterator[Answer]:
        """See the protocol."""
        assert self._engine is not None, "loaded before"
        for answer in self._engine.answers(map(self._request, questions), beat):
            yield self._judged(answer) if isinstance(answer, EngineAnswer) else answer

    def _request(self, question: Question) -> Request | Answer:
        """The question as tokens; an answer at once when it can't be asked."""
        if self._rendered is None or self._rendered[0] != question.row:
            self._rendered = (question.row, *self._render(question))
        _, token_ids, example = self._rendered
        if isinstance(token_ids, RowReason):
            return Answer(question.key, example, rejected=token_ids)
        reasoning = self._reasoning_of(question)
        self._asked[question.key] = len(token_ids), reasoning
        seed = row_seed(self._program.sampling, question.row, question.sample)
        return Request(question.key, token_ids, seed, reasoning.keeps_special_tokens)

    def _reasoning_of(self, question: Question) -> TeacherReasoning:
        """How the answer is read: of one that may be a call, its marks are kept."""
        if not uses_tools(question.conversation, question.tools):
            return self._reasoning
        if self._calling is None:
            self._calling = self._reasoning.keeping(self._renderer.tokenizer, self._renderer.marks_of_calls())
        return self._calling

    def _render(self, question: Question) -> tuple[list[int] | RowReason, str]:
        """Token ids; or why the conversation can't be asked, with an example."""
        limit = self._program.max_model_len - self._program.sampling.max_tokens
        try:
            system = self._program.system_prompt
            return asked_ids(self._renderer, question.conversation, question.tools, system, limit), ""
        except RowRejected as rejected:
            return rejected.reason, rejected.detail

    def _judged(self, answer: EngineAnswer) -> Answer:
        prompt_tokens, reasoning = self._asked.pop(answer.key)
        rejected = rejection(answer, self._program.sampling.keep_truncated)
        text = answer.text
        if rejected is None:
            try:
                text = reasoning.completion(answer.text, self._program.reasoning)
                rejected = None if text else reasons.EMPTY
            except RowRejected as error:
                rejected = error.reason
        text = text if rejected is None else answer.text
        return Answer(
            answer.key,
            text,
            rejected,
            answer.finish_reason,
            prompt_tokens,
            len(answer.tokens),
            tokens_of(self._renderer.tokenizer, answer.tokens, text) if rejected is None else None,
            lacks_reasoning=reasoning.expected and not reasoning.is_in(answer.text),
        )


def check_lengths(program: GenerateProgram) -> None:
    """Raises StageError when no prompt could fit next to the answer."""
    if program.max_model_len <= program.sampling.max_tokens:
        raise StageError(
            reasons.NO_ROOM_FOR_PROMPTS,
            f"maxModelLen {program.max_model_len} must exceed sampling.maxTokens {program.sampling.max_tokens}: "
            "both the prompt and the answer count",
        )


def row_seed(sampling: Sampling, row: int, sample: int = 0) -> int:
    """The seed of a request: the same wherever and whenever the row is generated. 31 bits."""
    return _hashed(f"{sampling.seed}:{row}:{sample}")


def engine_seed(sampling: Sampling, first_position: int) -> int:
    """The engine's seed, where requests have none of their own: shards, and starts of one shard, must differ."""
    return _hashed(f"{sampling.seed}:from {first_position}")


def rejection(answer: EngineAnswer, keep_truncated: bool) -> RowReason | None:
    """Why an answer isn't used, by the way in which it ended; None when that is all right."""
    if answer.finish_reason == REFUSED:
        return reasons.ENGINE_REFUSED
    if answer.finish_reason == "length" and not keep_truncated:
        return reasons.TRUNCATED
    return None if answer.finish_reason in ("stop", "length") else reasons.ENGINE_ABORTED


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1
