"""How a program gives up a stage or a row: an exception that carries a reason of the registry."""

from collections.abc import Mapping

from distillation_api.contract import StageFailure, StartUp
from distillation_api.reasons.reason import ProgramReason, RowReason


class StageError(Exception):
    """A stage that can't go on. Its reason decides whether it is tried again; ``message`` says what would be right."""

    def __init__(
        self,
        reason: ProgramReason,
        message: str,
        outputs: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """``outputs``, ``metrics``: what there is to look at nevertheless, as a result has them."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.outputs = outputs
        self.metrics = metrics
        self.start_up: StartUp | None = None
        """How far its start had come, where that was measured."""


class RowRejected(Exception):
    """A row that is left out, and counted by its reason."""

    def __init__(self, reason: RowReason, detail: str = "") -> None:
        """``detail``: what is wrong in this row, or what would mend it, for messages."""
        super().__init__(reason.name)
        self.reason = reason
        self.detail = detail


def stage_failure(stage: str, reason: ProgramReason, message: str, start_up: StartUp | None = None) -> StageFailure:
    """The termination message of a stage that ends for this reason."""
    return StageFailure(stage=stage, reason=reason.name, message=message, permanent=reason.is_final, start_up=start_up)


def first_line(error: Exception) -> str:
    """What a library's error says, in one line; its class where it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
