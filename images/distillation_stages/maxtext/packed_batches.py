"""The batches of MaxText's trainers, read from the sequences of a stage pack-NAME in place of MaxText's own data
pipeline: a host reads what it trains on, from the step on at which it (re)starts."""

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from distillation_stages.data.packing import SequenceFiles, Sequences

SETTING = "packed_sequences"
"""Our argument of the trainer's command line; MaxText doesn't see it."""


@dataclass(frozen=True)
class Reading:
    """Which sequences a start of the trainer reads."""

    directory: str
    first_step: int
    """Steps that are done already."""
    steps: int
    sequences_per_step: int

    def argument(self) -> str:
        """As it stands on the command line."""
        return f"{SETTING}={json.dumps(asdict(self))}"

    @classmethod
    def parse(cls, value: str) -> "Reading":
        """Of the argument's value."""
        return cls(**json.loads(value))


class HostSequences:
    """The sequences of one host in the order in which it reads them: its slice of each step's, step by step.

    Behind the last step comes one step more, from the beginning: MaxText's SFT trainer fetches a batch before it looks
    whether it has ended.
    """

    def __init__(self, reading: Reading, host: int, hosts: int) -> None:
        self._reading = reading
        self._host = host
        self._per_host = reading.sequences_per_step // hosts
        self._files = SequenceFiles(Path(reading.directory))

    def __len__(self) -> int:
        return (self._reading.steps - self._reading.first_step + 1) * self._per_host

    def __getitem__(self, index: int) -> Sequences:
        return self._files[self.number(int(index))]

    def number(self, index: int) -> int:
        """Of the sequence that the host reads at that position."""
        step, place = divmod(index, self._per_host)
        step = (self._reading.first_step + step) % self._reading.steps
        return step * self._reading.sequences_per_step + self._host * self._per_host + place


def as_maxtext(sequence: Sequences) -> Sequences:
    """The sequence as both trainers take it: a target is the token after, and its segmentation is 0 where it isn't
    learnt."""
    segments, positions = (sequence[name].astype(np.int32) for name in ("segments", "positions"))
    learnt = np.where(sequence["learnt"], segments, 0).astype(np.int32)
    return {
        "inputs": sequence["tokens"].astype(np.int32),
        "inputs_position": positions,
        "inputs_segmentation": segments,
        "targets": _shifted(sequence["tokens"].astype(np.int32)),
        "targets_position": positions,
        "targets_segmentation": _shifted(learnt),
    }


def _shifted(values: Any) -> Any:
    return np.append(values[1:], values.dtype.type(0))


def host_batches(source: HostSequences, size: int) -> Any:
    """The host's sequences as MaxText takes them, in batches; an iterable of Grain's."""
    import grain.python as grain  # type: ignore[import-not-found]  # Comes with MaxText.

    batches = grain.MapDataset.source(source).map(as_maxtext).batch(size, drop_remainder=True)
    # One thread reads ahead, in the order of the files.
    return batches.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=2))


def make_train_iterator(reading: Reading, config: Any, mesh: Any, processes: list[int]) -> Any:
    """What MaxText's ``make_hf_train_iterator`` gives: arrays over all devices, batch by batch.

    ``processes``: those that read data. Raises ValueError when MaxText counts the rows of a step otherwise.
    """
    import jax
    from maxtext.input_pipeline import multihost_dataloading

    if config.global_batch_size_to_load != reading.sequences_per_step:
        raise ValueError(
            f"MaxText loads {config.global_batch_size_to_load} rows a step, the data is laid out for "
            f"{reading.sequences_per_step}: the devices that it sees are others than those asked for"
        )
    source = HostSequences(reading, processes.index(jax.process_index()), len(processes))
    # Both trainers take the batches of gradient accumulation one by one.
    size = reading.sequences_per_step // len(processes) // config.gradient_accumulation_steps
    return multihost_dataloading.MultiHostDataLoadIterator(host_batches(source, size), mesh)


def patch_train_iterator(input_pipeline_interface: Any, reading: Reading) -> None:
    """Let MaxText's trainers read our sequences."""
    input_pipeline_interface.make_hf_train_iterator = partial(make_train_iterator, reading)
