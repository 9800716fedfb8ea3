"""Starts a MaxText trainer: ``python -m distillation_stages.maxtext.start {sft,distill} CONFIG.yml key=value ...``.

It does what ``python -m maxtext.trainers.post_train.sft.train_sft`` and ``...distillation.train_distill`` do, in half
the time and memory on a CPU, and makes both log every step in one form, which maxtext_log reads.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any

from distillation_api.contract import EXIT_TERMINATED
from distillation_stages.maxtext import packed_batches, rope_scaling
from distillation_stages.maxtext.committed_saves import commit_by_file
from distillation_stages.maxtext.log import Devices
from distillation_stages.maxtext.start_up import Listener
from distillation_stages.maxtext.without_tensorflow import without_tensorflow
from distillation_stages.runtime.start_up import seconds_of_process

DIAGNOSTICS = "cloud_accelerator_diagnostics"
BATCHES_ENV = "TRAINING_BATCHES"
"""Number of batches after which the distillation trainer ends; it has no other end than that of its data."""

TERMINATED = "terminated after saving step "

NO_TOKEN = -1

DATA_ERROR = "Exception in load_next_train_batch: "
"""As MaxText's SFT trainer logs what its loader raised."""


def patch_imports() -> None:
    """Keep MaxText from importing Vertex AI's client, a third of its start, for an uploader that is off by default.

    To be called before MaxText is imported.
    """
    if DIAGNOSTICS in sys.modules:
        return
    package = ModuleType(DIAGNOSTICS)
    for name in ("tensorboard", "uploader"):
        module = ModuleType(f"{DIAGNOSTICS}.{name}")
        setattr(package, name, module)
        sys.modules[module.__name__] = module
    sys.modules[DIAGNOSTICS] = package


def patch_learning_rate_log(metric_logger: Any, log: Callable[[str], None]) -> None:
    """Let the SFT trainer log the learning rate of a step too; the line comes before that of the step."""
    original = metric_logger.log_metrics

    def log_metrics(self: Any, metrics: Any, step: int, metric_type: str) -> None:
        rate = metrics["scalar"].get("learning/current_learning_rate")
        if metric_type == "train" and rate is not None:
            log(f"learning rate of step {step}: {float(rate):.6g}")
        original(self, metrics, step, metric_type)

    metric_logger.log_metrics = log_metrics


class BoundedBatches:
    """A trainer's batches up to a number. Packing makes fewer or more batches of the same rows, so the rows can't be
    the bound."""

    def __init__(self, batches: Iterator[Any], count: int, log: Callable[[str], None]) -> None:
        self._batches = batches
        self._left = count
        self._log = log

    def __iter__(self) -> "BoundedBatches":
        return self

    def __next__(self) -> Any:
        if self._left == 0:
            raise StopIteration
        self._left -= 1
        try:
            return next(self._batches)
        except StopIteration as end:
            self._log(f"{DATA_ERROR}StopIteration {end}")
            raise
        except Exception as error:
            self._log(f"{DATA_ERROR}{error}")
            raise


def patch_batch_count(distillation_utils: Any, count: int, log: Callable[[str], None]) -> None:
    """End the distillation trainer after ``count`` batches: it ignores ``steps``."""
    original = distillation_utils.MaxTextToTunixIterator
    distillation_utils.MaxTextToTunixIterator = lambda batches: BoundedBatches(original(batches), count, log)


def patch_padding(distillation_utils: Any) -> None:
    """Let the distillation trainer learn whatever the data says is learnt.

    It leaves out every label that is the padding token, in models without one of their own the end of each answer.
    """
    strategy = distillation_utils.CombinedDistillationStrategy
    original = strategy.__init__

    def __init__(self: Any, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **{**keywords, "pad_id": NO_TOKEN})

    strategy.__init__ = __init__


def patch_step_log(train_distill: Any, distillation_utils: Any, log: Callable[[str], None]) -> None:
    """Let the distillation trainer log a line per step, in the form of the SFT trainer's.

    Of its own lines there is one per batch of gradient accumulation, without the step's number.
    """
    trainer = train_distill.MaxTextDistillationTrainer
    original = trainer._post_process_train_step
    weighted = {"kl_to_teacher": distillation_utils.METRIC_KL_DIV_T1}
    loss_key, weights_key = distillation_utils.METRIC_TOTAL_LOSS, distillation_utils.METRIC_HARD_LOSS
    seen: list[dict[str, tuple[Any, Any]]] = []
    last = [time.perf_counter()]

    def _post_process_train_step(self: Any, aux: dict[str, tuple[Any, Any]]) -> None:
        original(self, aux)
        seen.append(aux)
        batches = self.config.get_with_default("gradient_accumulation_steps", 1)
        # Called before the trainer counts this batch, and before it counts this step.
        if (self._iter_steps + 1) % batches:
            return
        tokens = sum(float(metrics[weights_key][1]) for metrics in seen)
        values = {name: _weighted_mean([metrics[key] for metrics in seen]) for name, key in weighted.items()}
        loss = _weighted_mean([metrics[loss_key] for metrics in seen])
        rate = self._try_get_learning_rate()
        if rate is not None:
            values["learning_rate"] = float(rate)
        now = time.perf_counter()
        parts = [
            f"completed step: {self.train_steps + 1}",
            f"seconds: {now - last[0]:.3f}",
            f"total_weights: {tokens:.0f}",
            f"loss: {loss:.6g}",
            *(f"{name}: {value:.6g}" for name, value in values.items()),
        ]
        last[0] = now
        seen.clear()
        log(", ".join(parts))

    trainer._post_process_train_step = _post_process_train_step


@dataclass
class Termination:
    """A SIGTERM, kept until the step that runs has ended."""

    asked: bool = False
    may_save: bool = False
    """False until a step of this process has ended: before that there is nothing to save."""

    def note(self, signum: int, frame: FrameType | None) -> None:
        """The signal's handler."""
        self.asked = True
        if not self.may_save:
            # Not sys.exit: it would wait for compilations.
            os._exit(EXIT_TERMINATED)


def patch_termination(
    checkpoint_manager: Any, processes: Callable[[], int], termination: Termination, log: Callable[[str], None]
) -> None:
    """Let both trainers save a checkpoint and end after the step in which a SIGTERM comes; Tunix would just die.

    They ask Orbax (``checkpoint_manager`` is its class) after every step whether to save. Processes that train as one
    must save the same step: there JAX hears the signal, tells the others, and finds the step that all can reach.
    """
    reached, save, should_save = (
        checkpoint_manager.reached_preemption,
        checkpoint_manager.save,
        checkpoint_manager.should_save,
    )
    ending = [False]

    def reached_preemption(self: Any, step: int) -> bool:
        ending[0] = ending[0] or (termination.asked if processes() == 1 else bool(reached(self, step)))
        return ending[0]

    def asked_to_save(self: Any, step: int) -> bool:
        termination.may_save = True
        decision = bool(should_save(self, step))
        if ending[0] and not decision:
            # The step is saved already.
            end(self, step)
        return decision

    def save_and_end(self: Any, step: int, *arguments: Any, **keywords: Any) -> bool:
        saved = bool(save(self, step, *arguments, **keywords))
        if ending[0]:
            end(self, step)
        return saved

    def end(self: Any, step: int) -> None:
        self.wait_until_finished()
        log(f"{TERMINATED}{step}")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(EXIT_TERMINATED)

    checkpoint_manager.reached_preemption = reached_preemption
    checkpoint_manager.should_save = asked_to_save
    checkpoint_manager.save = save_and_end


def _weighted_mean(pairs: list[tuple[Any, Any]]) -> float:
    """Of (sum, count) pairs; 0 where nothing counts."""
    count = sum(float(pair[1]) for pair in pairs)
    return sum(float(pair[0]) for pair in pairs) / count if count else 0.0


def _sft() -> Callable[[list[str]], None]:
    from maxtext.common import metric_logger
    from maxtext.trainers.post_train.sft import train_sft
    from maxtext.utils import max_logging

    patch_learning_rate_log(metric_logger.MetricLogger, _telling_the_start(max_logging.log))
    main: Callable[[list[str]], None] = train_sft.main
    return main


def _distill() -> Callable[[list[str]], None]:
    from maxtext.trainers.post_train.distillation import distillation_utils, train_distill
    from maxtext.utils import max_logging

    patch_batch_count(distillation_utils, int(os.environ[BATCHES_ENV]), max_logging.log)
    patch_step_log(train_distill, distillation_utils, _telling_the_start(max_logging.log))
    patch_padding(distillation_utils)
    main: Callable[[list[str]], None] = train_distill.main
    return main


def _telling_the_start(log: Callable[[str], None]) -> Callable[[str], None]:
    """A log of steps whose first line says before it where the start went. To be made when all is imported."""
    from jax import monitoring

    listener = Listener(seconds_of_process())
    listener.listen(monitoring)

    def told(text: str) -> None:
        listener.tell(log)
        log(text)

    return told


TRAINERS = {"sft": _sft, "distill": _distill}


def take_argument(name: str) -> str | None:
    """The value of a ``name=value`` among the arguments, which is ours and goes no further; None when it is absent."""
    for argument in sys.argv[1:]:
        if argument.startswith(f"{name}="):
            sys.argv.remove(argument)
            return argument.partition("=")[2]
    return None


def main() -> None:
    """Run the trainer that the first argument names with the others."""
    if not any(argument.lower() == "use_vertex_tensorboard=true" for argument in sys.argv):
        patch_imports()
    make_trainer = TRAINERS[sys.argv.pop(1)]
    scaling = take_argument(rope_scaling.SETTING)
    sequences = take_argument(packed_batches.SETTING)
    with without_tensorflow():
        trainer = make_trainer()
        from absl import app  # type: ignore[import-not-found]  # Comes with MaxText.
        from maxtext.input_pipeline import input_pipeline_interface
        from maxtext.layers.attentions import Attention
        from maxtext.layers.embeddings import LLaMARotaryEmbedding

    if sequences is not None:
        reading = packed_batches.Reading.parse(sequences)
        packed_batches.patch_train_iterator(input_pipeline_interface, reading)
    if scaling is not None:
        rope_scaling.patch_rope_scaling(Attention, LLaMARotaryEmbedding, json.loads(scaling))
    commit_by_file()
    _install_sigterm_handler()

    def train_and_tell(arguments: list[str]) -> None:
        trainer(arguments)
        _tell_devices()

    app.run(train_and_tell)


def _tell_devices() -> None:
    import jax
    from maxtext.utils import max_logging

    try:
        found = [device.memory_stats() for device in jax.local_devices()]
    except Exception as error:
        # The training is done; not every runtime tells.
        max_logging.log(f"no memory of devices: {error}")
        found = []
    # Of a CPU JAX knows nothing.
    peaks = [int(stats["peak_bytes_in_use"]) for stats in found if stats and "peak_bytes_in_use" in stats]
    max_logging.log(str(Devices(jax.device_count(), max(peaks, default=None))))


def _install_sigterm_handler() -> None:
    import jax
    from maxtext.utils import max_logging
    from orbax import checkpoint

    termination = Termination()
    signal.signal(signal.SIGTERM, termination.note)
    patch_termination(checkpoint.CheckpointManager, jax.process_count, termination, max_logging.log)


if __name__ == "__main__":
    main()
