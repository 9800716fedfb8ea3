"""Rows of tokens in sequences of one length: none is torn, lost, or learnt where it shouldn't be."""

import json
import random
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from distillation_stages.data.packing import MANIFEST, TokenRow, pack, token_row, write_sequences

PADDING = 0


def rows_of(sizes: list[int]) -> list[TokenRow]:
    """Rows of these sizes, each of a token of its own."""
    return [token_row([([number], False), ([number] * (size - 1), True)], 16) for number, size in enumerate(sizes, 1)]


def read(directory: Path) -> list[dict[str, list[int]]]:
    return [row for part in sorted(directory.glob("*.parquet")) for row in pq.read_table(part).to_pylist()]


@pytest.mark.parametrize(
    ("segments", "length", "tokens", "learnt", "cut"),
    [
        pytest.param([([5, 6], False), ([7, 8], True)], 8, [5, 6, 7, 8], "..xx", False, id="one answer"),
        pytest.param(
            [([5], False), ([6], True), ([7], False), ([8], True)], 8, [5, 6, 7, 8], ".x.x", False, id="every answer"
        ),
        pytest.param([([5, 6], False), ([7, 8], True)], 4, [5, 6, 7, 8], "..xx", False, id="just fits"),
        pytest.param([([5, 6], False), ([7, 8], True)], 3, [5, 6, 7], "..x", True, id="answer cut"),
        pytest.param([([5, 6], False), ([7, 8], True)], 2, [5, 6], "..", True, id="prompt fills it"),
        pytest.param([([5, 6], True)], 8, [5, 6], ".x", False, id="nothing before the first token"),
        pytest.param([], 8, [], "", False, id="empty"),
    ],
)
def test_answers_are_learnt_up_to_the_length(
    segments: list[tuple[list[int], bool]], length: int, tokens: list[int], learnt: str, cut: bool
) -> None:
    assert token_row(segments, length) == TokenRow(tuple(tokens), tuple(mark == "x" for mark in learnt), cut)


def test_a_row_goes_to_the_oldest_sequence_with_room() -> None:
    packed = list(pack(rows_of([10, 12, 6, 4]), 16))
    assert [[row.tokens[0] for row in sequence.rows] for sequence in packed] == [[1, 3], [2, 4]]


def test_many_rows_are_whole_and_each_is_there_once() -> None:
    draw = random.Random(1)
    rows = rows_of([draw.randint(1, 16) for _ in range(3000)])
    packed = list(pack(rows, 16))
    assert Counter(row for sequence in packed for row in sequence.rows) == Counter(rows)
    assert all(0 < sequence.used <= 16 for sequence in packed)
    assert packed == list(pack(rows, 16))


def test_a_row_longer_than_the_length_is_refused() -> None:
    with pytest.raises(ValueError, match="17 tokens was not cut at 16"):
        list(pack([TokenRow((1,) * 17, (False,) * 17)], 16))


def test_the_files_hold_what_was_packed(tmp_path: Path) -> None:
    write_sequences(pack(rows_of([3, 2, 5]), 6), 6, PADDING, tmp_path, per_file=1)
    assert read(tmp_path) == [
        {
            "tokens": [1, 1, 1, 2, 2, 0],
            "learnt": [False, True, True, False, True, False],
            "positions": [0, 1, 2, 0, 1, 0],
            "segments": [1, 1, 1, 2, 2, 0],
        },
        {
            "tokens": [3, 3, 3, 3, 3, 0],
            "learnt": [False, True, True, True, True, False],
            "positions": [0, 1, 2, 3, 4, 0],
            "segments": [1, 1, 1, 1, 1, 0],
        },
    ]
    assert len(list(tmp_path.glob("*.parquet"))) == 2


def test_the_manifest_counts_what_the_files_hold(tmp_path: Path) -> None:
    cut = token_row([([9, 9], False), ([9] * 9, True)], 6)
    write_sequences(pack([*rows_of([3, 2]), cut], 6), 6, PADDING, tmp_path)
    trained = sum(sum(sequence["learnt"]) for sequence in read(tmp_path))
    assert json.loads((tmp_path / MANIFEST).read_text()) == {
        "maxTargetLength": 6,
        "sequences": 2,
        "rows": 3,
        "tokens": 11,
        "trainedTokens": trained,
        "cut": 1,
        "efficiency": trained / 12,
    }


def test_nothing_packed_has_a_manifest_too(tmp_path: Path) -> None:
    assert write_sequences(pack([], 6), 6, PADDING, tmp_path).as_written()["efficiency"] == 0.0
    assert read(tmp_path) == []
