"""How a program gives up: an exception that carries the reason, the message for the user and whether to try again."""

from distillation_operator.api.contract import EXIT_BAD_CONFIGURATION, EXIT_BAD_INPUT, EXIT_TRY_AGAIN

ACCELERATOR_BUSY = (
    "/dev/vfio",
    "already in use by",
    "libtpu_lockfile",
    "libtpu lockfile",
    "Device or resource busy",
)
"""What a predecessor that was killed leaves for a while (V22): another pod, or this one later, gets the accelerator."""


class StageError(Exception):
    """A stage that can't go on. ``reason`` is CamelCase, ``message`` says what would be right."""

    exit_code = EXIT_TRY_AGAIN

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class BadInput(StageError):
    """The data or the model is wrong: trying again can't help."""

    exit_code = EXIT_BAD_INPUT


class BadConfiguration(StageError):
    """What was asked for can't be done: trying again can't help."""

    exit_code = EXIT_BAD_CONFIGURATION


class TryAgain(StageError):
    """Something outside failed: the same program may succeed later."""
