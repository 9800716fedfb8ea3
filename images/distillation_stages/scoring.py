"""Cross-entropy of given answers under a model, in bounded memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillation_stages.failure import BadInput

LOGITS_AT_ONCE = 64_000_000
"""Logits in memory per batch, as float32 256 MB. A vocabulary is up to 256,000 wide, so it is what memory goes to."""

ROWS_AT_ONCE = 8

FLOAT32_UP_TO_BYTES = 8 * 2**30
"""Models with more weights on disk are loaded in bfloat16."""


@dataclass(frozen=True)
class Scored:
    """What is scored: an answer's tokens after those of its prompt."""

    prompt_ids: list[int]
    answer_ids: list[int]

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.answer_ids)


class Student:
    """A causal language model of transformers, on the CPU."""

    def __init__(self, directory: Path) -> None:
        """Loads the model. Raises BadInput when transformers can't."""
        import torch
        from transformers import AutoModelForCausalLM

        weights = sum(path.stat().st_size for path in directory.glob("*.safetensors"))
        dtype = torch.float32 if weights <= FLOAT32_UP_TO_BYTES else torch.bfloat16
        try:
            model = AutoModelForCausalLM.from_pretrained(str(directory), dtype=dtype, local_files_only=True)
        except (OSError, ValueError) as error:
            raise BadInput("UnusableModel", f"transformers can't load {directory}: {error}") from error
        self._model: Any = model.eval()
        self.vocabulary = int(model.get_input_embeddings().weight.shape[0])

    def cross_entropy(self, rows: Sequence[Scored], on_rows: Callable[[int], None]) -> float:
        """Nats per answer token, over all rows. ``on_rows`` hears the number of rows done."""
        nats, tokens, done = 0.0, 0, 0
        for batch in batches(rows, self.vocabulary):
            nats += self._nats(batch)
            tokens += sum(len(row.answer_ids) for row in batch)
            done += len(batch)
            on_rows(done)
        return nats / tokens

    def answers(self, prompts: list[list[int]], max_tokens: int, end: int) -> list[list[int]]:
        """The greedy answers' tokens, all made at once, each without the token that ends it."""
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
                eos_token_id=end,
                pad_token_id=end,
            )
        return [_until(end, line) for line in output[:, longest:].tolist()]

    def _nats(self, batch: list[Scored]) -> float:
        """The sum over the batch's answer tokens."""
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
            loss = torch.nn.functional.cross_entropy(logits[chosen].float(), wanted[chosen], reduction="sum")
        return float(loss)


def _until(end: int, tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(end)] if end in tokens else tokens


def batches(rows: Sequence[Scored], vocabulary: int) -> Iterator[list[Scored]]:
    """The rows in batches of similar length whose logits stay under ``LOGITS_AT_ONCE`` (one row may exceed it)."""
    batch: list[Scored] = []
    for row in sorted(rows, key=len):
        grown = [*batch, row]
        # Logits are made from the shortest prompt's end to the longest row's.
        width = len(row) - min(len(other.prompt_ids) for other in grown)
        if batch and (len(grown) > ROWS_AT_ONCE or len(grown) * width * vocabulary > LOGITS_AT_ONCE):
            yield batch
            grown = [row]
        batch = grown
    if batch:
        yield batch
