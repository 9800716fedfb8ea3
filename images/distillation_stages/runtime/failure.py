"""How a program gives up a stage or a row: an exception that carries a reason of the registry."""

from distillation_api.contract import StageFailure
from distillation_api.reasons.reason import ProgramReason, RowReason


class StageError(Exception):
    """A stage that can't go on. Its reason decides whether it is tried again; ``message`` says what would be right."""

    def __init__(self, reason: ProgramReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class RowRejected(Exception):
    """A row that is left out, and counted by its reason."""

    def __init__(self, reason: RowReason, detail: str = "") -> None:
        """``detail``: what is wrong in this row, or what would mend it, for messages."""
        super().__init__(reason.name)
        self.reason = reason
        self.detail = detail


def stage_failure(stage: str, reason: ProgramReason, message: str) -> StageFailure:
    """The termination message of a stage that ends for this reason."""
    return StageFailure(stage=stage, reason=reason.name, message=message, permanent=reason.is_final)


def first_line(error: Exception) -> str:
    """What a library's error says, in one line; its class where it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
