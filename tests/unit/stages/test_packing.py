"""Rows of tokens in sequences of one length: none is torn, lost, or learnt where it shouldn't be."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from distillation_stages.data import packing
from distillation_stages.data.packing import SequenceFiles, one_by_one, pack, write_sequences
from distillation_stages.data.token_rows import TokenRow, TokenRows, token_row
from distillation_stages.maxtext.packed_batches import HostSequences, Reading, as_maxtext

PADDING = 9


def row_of(number: int, size: int) -> TokenRow:
    return token_row([([number], False), ([number] * (size - 1), True)], 16)


def rows_of(sizes: list[int]) -> list[TokenRow]:
    """Rows of these sizes, each of a token of its own."""
    return [row_of(number, size) for number, size in enumerate(sizes, 1)]


def numbers_in(rows: list[TokenRow]) -> list[int]:
    return [int(row.tokens[0]) for row in rows]


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several files of several groups, of few sequences."""
    monkeypatch.setattr(packing, "SEQUENCES_PER_GROUP", 2)
    monkeypatch.setattr(packing, "SEQUENCES_PER_FILE", 4)


# Packing


def test_a_row_goes_to_the_oldest_sequence_with_room() -> None:
    packed = list(pack(rows_of([10, 12, 6, 4]), 16))
    assert [numbers_in(sequence.rows) for sequence in packed] == [[1, 3], [2, 4]]


def test_many_rows_are_whole_and_each_is_there_once() -> None:
    draw = random.Random(1)
    sizes = [draw.randint(1, 16) for _ in range(3000)]
    packed = list(pack(rows_of(sizes), 16))
    found = [row for sequence in packed for row in sequence.rows]
    assert Counter(numbers_in(found)) == Counter(range(1, 3001))
    assert all(len(row.tokens) == sizes[int(row.tokens[0]) - 1] for row in found)
    assert all(0 < sequence.used <= 16 for sequence in packed)
    again = [numbers_in(sequence.rows) for sequence in pack(rows_of(sizes), 16)]
    assert again == [numbers_in(sequence.rows) for sequence in packed]


def test_little_room_is_left() -> None:
    draw = random.Random(2)
    packed = list(pack(rows_of([draw.randint(1, 8) for _ in range(3000)]), 16))
    assert sum(sequence.used for sequence in packed) / (16 * len(packed)) > 0.95


def test_rows_are_read_again_in_any_order(tmp_path: Path) -> None:
    rows = TokenRows(tmp_path)
    for row in rows_of([3, 1, 5]):
        rows.add(row)
    assert len(rows) == 3
    assert [rows[index].tokens.tolist() for index in (2, 0, 1)] == [[3] * 5, [1] * 3, [2]]
    assert rows[0].learnt.tolist() == [False, True, True]
    assert rows.tokens == 9


def test_no_rows_are_rows_too(tmp_path: Path) -> None:
    rows = TokenRows(tmp_path)
    assert (len(rows), rows.tokens) == (0, 0)


# Files


def test_the_files_hold_what_was_packed(tmp_path: Path) -> None:
    manifest = write_sequences(pack(rows_of([3, 2, 5]), 6), 6, PADDING, tmp_path)
    assert pq.read_table(tmp_path / "part-00000.parquet").to_pylist() == [
        {
            "tokens": [1, 1, 1, 2, 2, PADDING],
            "learnt": [False, True, True, False, True, False],
            "positions": [0, 1, 2, 0, 1, 0],
            "segments": [1, 1, 1, 2, 2, 0],
        },
        {
            "tokens": [3, 3, 3, 3, 3, PADDING],
            "learnt": [False, True, True, True, True, False],
            "positions": [0, 1, 2, 3, 4, 0],
            "segments": [1, 1, 1, 1, 1, 0],
        },
    ]
    assert manifest.as_written() == {
        "maxTargetLength": 6,
        "sequences": 2,
        "rowsRead": 3,
        "tokens": 10,
        "trainedTokens": 7,
        "efficiency": 7 / 12,
    }


@pytest.mark.parametrize("count", [1, 3, 4, 8, 11])
def test_a_sequence_is_found_by_its_number(tmp_path: Path, count: int) -> None:
    write_sequences(one_by_one(rows_of([2] * count)), 4, PADDING, tmp_path)
    files = SequenceFiles(tmp_path)
    assert len(list(tmp_path.iterdir())) == -(-count // 4)
    for index in [*range(count), *reversed(range(count))]:
        sequence = files[index]
        assert sequence["tokens"].tolist() == [index + 1, index + 1, PADDING, PADDING]
        assert sequence["learnt"].tolist() == [False, True, False, False]


def test_nothing_packed_is_nothing_written(tmp_path: Path) -> None:
    assert write_sequences(iter([]), 6, PADDING, tmp_path).efficiency == 0.0
    assert list(tmp_path.iterdir()) == []


# What the trainers get


def test_a_target_is_the_token_after_and_counts_where_it_is_learnt(tmp_path: Path) -> None:
    write_sequences(pack(rows_of([3, 2]), 6), 6, PADDING, tmp_path)
    batch = as_maxtext(SequenceFiles(tmp_path)[0])
    assert {name: values.tolist() for name, values in batch.items()} == {
        "inputs": [1, 1, 1, 2, 2, PADDING],
        "inputs_position": [0, 1, 2, 0, 1, 0],
        "inputs_segmentation": [1, 1, 1, 2, 2, 0],
        "targets": [1, 1, 2, 2, PADDING, 0],
        "targets_position": [0, 1, 2, 0, 1, 0],
        # Never across the border of two rows.
        "targets_segmentation": [1, 1, 0, 2, 0, 0],
    }
    assert {values.dtype for values in batch.values()} == {np.dtype(np.int32)}


@pytest.mark.parametrize("hosts", [1, 2, 4])
@pytest.mark.parametrize("done", [0, 3])
def test_any_number_of_hosts_reads_the_same_steps_from_where_training_goes_on(hosts: int, done: int) -> None:
    """M4, M21: MaxText would read from the first row again."""
    reading = Reading("somewhere", first_step=done, steps=5, sequences_per_step=8)
    sources = [HostSequences(reading, host, hosts) for host in range(hosts)]
    per_host = 8 // hosts
    for step in range(5 - done):
        places = range(step * per_host, (step + 1) * per_host)
        read = [source.number(place) for source in sources for place in places]
        assert read == list(range((done + step) * 8, (done + step + 1) * 8))


def test_behind_the_last_step_there_is_one_more_that_nobody_learns() -> None:
    """MaxText's SFT trainer fetches a batch before it looks whether it has ended."""
    source = HostSequences(Reading("somewhere", first_step=3, steps=5, sequences_per_step=8), 1, 2)
    assert len(source) == 3 * 4
    assert [source.number(place) for place in range(8, 12)] == [4, 5, 6, 7]


def test_a_reading_is_told_on_the_command_line() -> None:
    reading = Reading("/storage/a b", 1, 2, 3)
    name, _, value = reading.argument().partition("=")
    assert (name, Reading.parse(value)) == ("packed_sequences", reading)
