"""Scores of given answers under a model, in bounded memory: cross-entropy, and the distance to the teacher."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillation_api import reasons
from distillation_stages.models.attention_scale import mend_attention_scale
from distillation_stages.models.model_config import end_tokens
from distillation_stages.programs.evaluate.answers import Answer
from distillation_stages.runtime.failure import StageError

LOGITS_AT_ONCE = 64_000_000
"""Logits in memory per batch, as float32 256 MB. A vocabulary is up to 256,000 wide, so it is what memory goes to."""

ROWS_AT_ONCE = 8

TOKENS_AT_ONCE = 16_384
"""Prompts and answers, with padding, of a batch that is answered: the cache of a Llama 2 7B takes 8 GB for it. A step
reads all weights, whatever the number of rows, so that few large batches are fast."""

FLOAT32_UP_TO_BYTES = 8 * 2**30
"""Models with more weights on disk are loaded in bfloat16."""


@dataclass(frozen=True)
class Scored:
    """What is scored: an answer's tokens after those of its prompt."""

    prompt_ids: list[int]
    answer_ids: list[int]

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.answer_ids)


@dataclass(frozen=True)
class Score:
    """How near a model is to the given answers, and to the teacher that gave them."""

    cross_entropy: float
    """Nats per answer token."""
    kl: float | None = None
    """KL(teacher || model), nats per answer token of the rows that the reference holds."""
    top1_agreement: float | None = None
    """Share of those tokens at which both find the same token likeliest."""


class Reference:
    """The teacher's distributions over the next token at every answer token of some rows, in a file.

    As float16: 4,096 tokens of 256,000 probabilities take 2 GB.
    """

    def __init__(self, rows: Sequence[Scored], vocabulary: int) -> None:
        """Takes the disk for it in the folder of temporary files, until it is forgotten."""
        import tempfile

        import numpy

        self.rows = list(rows)
        self.vocabulary = vocabulary
        self.tokens = sum(len(row.answer_ids) for row in self.rows)
        self.score: Score | None = None
        """The teacher's own at these rows; known once all is written."""
        with tempfile.TemporaryFile() as file:
            self._values: Any = numpy.memmap(file, dtype="float16", mode="w+", shape=(self.tokens, vocabulary))

    def write(self, first: int, log_probabilities: Any) -> None:
        """Put in the log probabilities of the tokens from the ``first`` on, in the order of ``batches``."""
        values = log_probabilities.numpy().astype("float16")
        self._values[first : first + len(values)] = values

    def read(self, first: int, count: int) -> Any:
        """What was put in, as a float32 tensor that sums to one again."""
        import torch

        values = torch.from_numpy(self._values[first : first + count].astype("float32"))
        return torch.log_softmax(values, dim=-1)


class LanguageModel:
    """A causal language model of transformers, on the CPU."""

    def __init__(self, directory: Path) -> None:
        """Loads the model. Raises StageError when transformers can't."""
        import torch
        from transformers import AutoModelForCausalLM

        dtype = torch.float32 if weight_bytes(directory) <= FLOAT32_UP_TO_BYTES else torch.bfloat16
        try:
            model = AutoModelForCausalLM.from_pretrained(
                str(directory), dtype=dtype, local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
        except (OSError, ValueError) as error:
            raise StageError(reasons.UNUSABLE_MODEL, f"transformers can't load {directory}: {error}") from error
        mend_attention_scale(model)
        self._model: Any = model.eval()
        self.vocabulary = int(model.get_output_embeddings().weight.shape[0])

    def refer(self, rows: Sequence[Scored], on_rows: Callable[[int], None]) -> Reference:
        """This model's distributions at the rows' answers. ``on_rows`` hears the number of rows done."""
        import torch

        reference = Reference(rows, self.vocabulary)
        nats, first, done = 0.0, 0, 0
        for batch in batches(reference.rows, self.vocabulary):
            logits, targets = self._logits(batch)
            theirs = torch.log_softmax(logits, dim=-1)
            nats += float(torch.nn.functional.nll_loss(theirs, targets, reduction="sum"))
            reference.write(first, theirs)
            first += len(targets)
            done += len(batch)
            on_rows(done)
        reference.score = Score(nats / reference.tokens, kl=0.0, top1_agreement=1.0)
        return reference

    def score(self, rows: Sequence[Scored], reference: Reference | None, on_rows: Callable[[int], None]) -> Score:
        """Over all rows; those of the reference are the first ones. ``on_rows`` hears the number of rows done."""
        import torch

        referred = len(reference.rows) if reference else 0
        nats, tokens, done, kl, agreed = 0.0, 0, 0, 0.0, 0
        groups = (rows[:referred], reference), (rows[referred:], None)
        for batch, told in ((batch, told) for group, told in groups for batch in batches(group, self.vocabulary)):
            logits, targets = self._logits(batch)
            ours = torch.log_softmax(logits, dim=-1)
            nats += float(torch.nn.functional.nll_loss(ours, targets, reduction="sum"))
            if told is not None:
                theirs = told.read(tokens, len(targets))
                kl += float(torch.nn.functional.kl_div(ours, theirs, reduction="sum", log_target=True))
                agreed += int((ours.argmax(-1) == theirs.argmax(-1)).sum())
            tokens += len(targets)
            done += len(batch)
            on_rows(done)
        if reference is None:
            return Score(nats / tokens)
        return Score(nats / tokens, kl / reference.tokens, agreed / reference.tokens)

    def answers(self, prompts: Sequence[list[int]], max_tokens: int, end: int) -> list[Answer]:
        """Its greedy answers, of at most ``max_tokens`` each.

        Besides ``end``, what its generation config names ends an answer, as it does where the model is served.
        """
        ends = {end, *end_tokens(self._model.generation_config.eos_token_id)}
        together = groups(prompts, max_tokens)
        return [answer for group in together for answer in self._answers(group, max_tokens, end, ends)]

    def _answers(self, prompts: Sequence[list[int]], max_tokens: int, end: int, ends: set[int]) -> list[Answer]:
        import torch

        longest = max(map(len, prompts))
        # Padded on the left, so that all answers begin at the same place.
        ids = torch.tensor([[end] * (longest - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max_tokens,
                do_sample=False,
                eos_token_id=sorted(ends),
                pad_token_id=end,
            )
        return [until(ends, line) for line in output[:, longest:].tolist()]

    def _logits(self, batch: list[Scored]) -> tuple[Any, Any]:
        """Logits (n, vocabulary) as float32 and the answer's tokens (n), row after row."""
        import torch

        longest = max(map(len, batch))
        first = min(len(row.prompt_ids) for row in batch) - 1
        # Padded on the right: attention is causal, so what stands after a row's end can't change its logits.
        ids = torch.zeros((len(batch), longest), dtype=torch.long)
        targets = torch.full((len(batch), longest), -100)
        for line, row in enumerate(batch):
            ids[line, : len(row)] = torch.tensor(row.prompt_ids + row.answer_ids)
            targets[line, len(row.prompt_ids) : len(row)] = torch.tensor(row.answer_ids)
        with torch.inference_mode():
            kept = torch.arange(first, longest - 1)
            logits = self._model(input_ids=ids, logits_to_keep=kept, use_cache=False).logits
            wanted = targets[:, first + 1 :]
            # Position by position of the logits, only where an answer token follows.
            chosen = wanted != -100
            return logits[chosen].float(), wanted[chosen]


def weight_bytes(directory: Path) -> int:
    """The size of a model's weights on disk."""
    return sum(path.stat().st_size for path in directory.glob("*.safetensors"))


def until(ends: Collection[int], tokens: list[int]) -> Answer:
    """The answer that a line of generated tokens begins with; after its end comes padding."""
    for place, token in enumerate(tokens):
        if token in ends:
            return Answer(tokens[:place], True)
    return Answer(tokens, False)


def groups(prompts: Sequence[list[int]], max_tokens: int) -> Iterator[list[list[int]]]:
    """The prompts in their order, in batches of at most ``TOKENS_AT_ONCE`` (one prompt may exceed it)."""
    return _grown(prompts, lambda group: len(group) * (max(map(len, group)) + max_tokens) <= TOKENS_AT_ONCE)


def batches(rows: Sequence[Scored], vocabulary: int) -> Iterator[list[Scored]]:
    """The rows in batches of similar length whose logits stay under ``LOGITS_AT_ONCE`` (one row may exceed it)."""

    def fits(batch: list[Scored]) -> bool:
        # Logits are made from the shortest prompt's end to the longest row's.
        width = len(batch[-1]) - min(len(row.prompt_ids) for row in batch)
        return len(batch) <= ROWS_AT_ONCE and len(batch) * width * vocabulary <= LOGITS_AT_ONCE

    return _grown(sorted(rows, key=len), fits)


def _grown[T](items: Iterable[T], fits: Callable[[list[T]], bool]) -> Iterator[list[T]]:
    """The items in their order, in batches that fit, or have one item."""
    batch: list[T] = []
    for item in items:
        if batch and not fits([*batch, item]):
            yield batch
            batch = []
        batch = [*batch, item]
    if batch:
        yield batch
