"""Rows of token ids, and a file of them that are read again in any order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class TokenRow:
    """One row of training as token ids."""

    tokens: NDArray[np.int32]
    learnt: NDArray[np.bool_]
    """Of each token, whether the student learns to say it."""
    number: int = -1
    """Among the rows that were kept together."""

    @property
    def trained(self) -> int:
        """How many of the tokens are learnt."""
        return int(self.learnt.sum())


def token_row(segments: Iterable[tuple[Sequence[int], bool]], length: int) -> TokenRow:
    """The row of segments, each with whether it is learnt, up to the length.

    The first token follows nothing, so it can't be learnt.
    """
    tokens: list[int] = []
    learnt: list[bool] = []
    for segment, is_learnt in segments:
        tokens += segment
        learnt += [is_learnt] * len(segment)
    if learnt:
        learnt[0] = False
    return TokenRow(np.asarray(tokens[:length], np.int32), np.asarray(learnt[:length], np.bool_))


def contains(tokens: Sequence[int], piece: Sequence[int]) -> bool:
    """Whether the piece stands in the tokens, one behind the other; an empty one never."""
    whole, wanted = (np.asarray(numbers, np.int32).tobytes() for numbers in (tokens, piece))
    start = whole.find(wanted)
    # Four bytes to a number: what begins between two is none.
    while start >= 0 and start % 4:
        start = whole.find(wanted, start + 1)
    return bool(wanted) and start >= 0


class TokenRows:
    """Rows in two files of a scratch folder: there may be more of them than memory takes, and each epoch reads them in
    an order of its own. They are all added before one is read."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._files = [directory / "tokens", directory / "learnt"]
        self._writers = [file.open("wb") for file in self._files]
        self._ends = [0]
        self._maps: tuple[NDArray[np.int32], NDArray[np.bool_]] | None = None

    def add(self, row: TokenRow) -> None:
        """Append a row."""
        for writer, values in zip(self._writers, (row.tokens, row.learnt), strict=True):
            writer.write(values.tobytes())
        self._ends.append(self._ends[-1] + len(row.tokens))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @property
    def tokens(self) -> int:
        """Of all rows."""
        return self._ends[-1]

    def __getitem__(self, index: int) -> TokenRow:
        tokens, learnt = self._read()
        place = slice(self._ends[index], self._ends[index + 1])
        return TokenRow(tokens[place], learnt[place], index)

    def _read(self) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        if self._maps is None:
            for writer in self._writers:
                writer.close()
            # An empty file can't be mapped.
            size = self.tokens
            self._maps = (
                np.memmap(self._files[0], np.int32, "r") if size else np.zeros(0, np.int32),
                np.memmap(self._files[1], np.bool_, "r") if size else np.zeros(0, np.bool_),
            )
        return self._maps
