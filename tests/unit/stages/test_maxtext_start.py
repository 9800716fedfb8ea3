"""What is changed about MaxText's start."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from distillation_stages.maxtext.log import parse_step
from distillation_stages.maxtext.start import (
    BoundedBatches,
    patch_batch_count,
    patch_imports,
    patch_learning_rate_log,
    patch_step_log,
)


def test_the_uploader_is_replaced_before_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("", ".tensorboard", ".uploader"):
        monkeypatch.delitem(sys.modules, f"cloud_accelerator_diagnostics{name}", raising=False)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    patch_imports()
    assert sys.modules["cloud_accelerator_diagnostics"].tensorboard is not None


def test_the_sft_trainer_tells_its_learning_rate() -> None:
    lines: list[str] = []

    class Logger:
        def log_metrics(self, metrics: Any, step: int, metric_type: str) -> None:
            lines.append(f"completed step: {step}")

    patch_learning_rate_log(Logger, lines.append)
    Logger().log_metrics({"scalar": {"learning/current_learning_rate": 3e-4}}, 7, "train")
    Logger().log_metrics({"scalar": {}}, 7, "eval")
    assert lines == ["learning rate of step 7: 0.0003", "completed step: 7", "completed step: 7"]


# The distillation trainer's end


def test_the_batches_end_after_their_number_though_there_is_more_data() -> None:
    """M5."""
    module = SimpleNamespace(MaxTextToTunixIterator=lambda batches: (batch * 10 for batch in batches))
    patch_batch_count(module, 2, print)
    assert list(module.MaxTextToTunixIterator(iter([1, 2, 3]))) == [10, 20]


@pytest.mark.parametrize(("error", "told"), [(ValueError("bad row"), "bad row"), (StopIteration("shard 1"), "shard 1")])
def test_what_the_loader_raises_is_told_as_the_sft_trainer_does(error: Exception, told: str) -> None:
    class Batches:
        def __iter__(self) -> Iterator[int]:
            return self

        def __next__(self) -> int:
            raise error

    lines: list[str] = []
    with pytest.raises(type(error)):
        next(BoundedBatches(Batches(), 2, lines.append))
    assert len(lines) == 1
    assert lines[0].startswith("Exception in load_next_train_batch: ") and told in lines[0]


# The distillation trainer's steps


class Trainer:
    """As much of MaxText's distillation trainer as logs steps."""

    def __init__(self, accumulation: int) -> None:
        self.config = SimpleNamespace(get_with_default=lambda name, default: accumulation)
        self.train_steps = 0
        self._iter_steps = 0

    def _post_process_train_step(self, aux: dict[str, Any]) -> None:
        pass

    def _try_get_learning_rate(self) -> float | None:
        return 3e-4

    def batch(self, loss: float, kl: float, tokens: int) -> None:
        """One batch, counted as Tunix does: after the trainer had a look at it."""
        self._post_process_train_step({"total": (loss, 1.0), "hard": (0.0, tokens), "kl": (kl * tokens, tokens)})
        self._iter_steps += 1
        self.train_steps += self._iter_steps % self.config.get_with_default("", 1) == 0


@pytest.mark.parametrize("accumulation", [1, 2])
def test_every_step_is_told_once_with_its_number(monkeypatch: pytest.MonkeyPatch, accumulation: int) -> None:
    lines: list[str] = []
    names = SimpleNamespace(METRIC_KL_DIV_T1="kl", METRIC_TOTAL_LOSS="total", METRIC_HARD_LOSS="hard")
    monkeypatch.setattr(Trainer, "_post_process_train_step", Trainer._post_process_train_step)
    patch_step_log(SimpleNamespace(MaxTextDistillationTrainer=Trainer), names, lines.append)
    trainer = Trainer(accumulation)
    for loss, kl, tokens in ((4.0, 2.0, 10), (2.0, 1.0, 30), (3.0, 3.0, 0), (1.0, 3.0, 0)):
        trainer.batch(loss, kl, tokens)
    steps = [step for line in lines if (step := parse_step(line))]
    assert [step.number for step in steps] == list(range(1, 4 // accumulation + 1))
    assert {step.learning_rate for step in steps} == {3e-4}
    if accumulation == 2:
        # The distance is a mean over tokens, the loss one over batches.
        assert [(step.loss, step.kl_to_teacher, step.total_weights) for step in steps] == [(3, 1.25, 40), (2, 0, 0)]
