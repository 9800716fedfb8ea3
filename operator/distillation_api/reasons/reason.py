"""A reason as data: its name, what it means, what the user does next, and what it costs the job."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from distillation_api.contract import EXIT_BAD_CONFIGURATION, EXIT_BAD_INPUT, EXIT_TRY_AGAIN


class Cost(Enum):
    """What a job pays for a reason. Retries and exit codes follow from it alone."""

    FINAL_INPUT = "FinalInput"
    """The stage fails at once: the data or a model is wrong."""
    FINAL_CONFIGURATION = "FinalConfiguration"
    """The stage fails at once: what was asked for can't be done."""
    RETRIED = "Retried"
    """The stage is tried again; the attempt counts against ``retries.failures``."""
    DISRUPTION = "Disruption"
    """The stage is tried again; the attempt counts against ``retries.disruptions``."""
    AWAY = "Away"
    """The stage is tried again; what it needs is away. Attempts of the first hour cost nothing, later ones count
    against ``retries.failures``."""
    WAITING = "Waiting"
    """The stage waits; no attempt is spent."""
    CONDITION = "Condition"
    """Nothing: it explains a condition of the job."""
    EVENT = "Event"
    """Nothing: it names an Event."""
    ROW_REJECTED = "RowRejected"
    """One row, which is counted and left out."""

    @property
    def is_final(self) -> bool:
        """True when trying again can't help."""
        return self in (Cost.FINAL_INPUT, Cost.FINAL_CONFIGURATION)


EXIT_CODES: Mapping[Cost, int] = {
    Cost.FINAL_INPUT: EXIT_BAD_INPUT,
    Cost.FINAL_CONFIGURATION: EXIT_BAD_CONFIGURATION,
    Cost.RETRIED: EXIT_TRY_AGAIN,
    Cost.DISRUPTION: EXIT_TRY_AGAIN,
    Cost.AWAY: EXIT_TRY_AGAIN,
    Cost.WAITING: EXIT_TRY_AGAIN,
}
"""What a stage program ends with, for each cost that a program's end can have."""


@dataclass(frozen=True)
class Reason:
    """One reason that a user may read in a status, an Event or a count."""

    name: str
    """CamelCase, as users see it."""
    meaning: str
    remedy: str
    """What the user does next."""
    cost: Cost

    @property
    def is_final(self) -> bool:
        """True when trying again can't help."""
        return self.cost.is_final


@dataclass(frozen=True)
class ProgramReason(Reason):
    """A reason for which a stage program ends."""

    @property
    def exit_code(self) -> int:
        """The program's exit code."""
        return EXIT_CODES[self.cost]


@dataclass(frozen=True)
class RowReason(Reason):
    """A reason for which a row is left out."""
