"""Proof on a sample that what is learnt is what was said: the files that the trainer reads are compared with those in
which the teacher's answers lie, and not with anything made on the way.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from distillation_api import reasons
from distillation_stages.data.packing import Packed, SequenceFiles
from distillation_stages.data.token_rows import contains
from distillation_stages.data.training_rows import TrainingRow
from distillation_stages.runtime.failure import StageError

NOT_COMPARED = -1

SEQUENCES = 64
"""Of the first, which lie in one row group."""


@dataclass
class Sample:
    """The first sequences as they go by, by what is to be compared in them."""

    rows: list[list[int]] = field(default_factory=list)
    """Of each sequence, the dataset's row of each of its rows, or NOT_COMPARED."""

    def noting(self, sequences: Iterable[Packed], said: Sequence[int]) -> Iterator[Packed]:
        """The same sequences. ``said``: by the number of a row of tokens, the row of the dataset whose answer it takes
        over in the teacher's tokens, or NOT_COMPARED."""
        for packed in sequences:
            if len(self.rows) < SEQUENCES:
                self.rows.append([said[row.number] for row in packed.rows])
            yield packed

    def compare(self, directory: Path, conversations: Iterable[TrainingRow]) -> int:
        """How many answers were compared. Raises StageError when one of them is learnt in other tokens than it was said
        in.
        """
        wanted = {row for rows in self.rows for row in rows} - {NOT_COMPARED}
        if not wanted:
            return 0
        said: dict[int, list[list[int]]] = defaultdict(list)
        for conversation in conversations:
            if conversation.row in wanted and conversation.sampled:
                said[conversation.row].append(conversation.sampled)
        files, compared = SequenceFiles(directory), 0
        for index, rows in enumerate(self.rows):
            sequence = files[index]
            for segment, row in enumerate(rows, start=1):
                if row == NOT_COMPARED:
                    continue
                learnt = sequence["tokens"][(sequence["segments"] == segment) & sequence["learnt"]].tolist()
                if not any(contains(learnt, tokens) for tokens in said[row]):
                    raise StageError(
                        reasons.LEARNT_OTHERWISE,
                        f"row {row}: the tokens that would be learnt aren't those that the teacher has said",
                    )
                compared += 1
        return compared
