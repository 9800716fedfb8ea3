"""Why something is as it is: one CamelCase word for programs, and what a user can do about it in words."""

from dataclasses import dataclass

from distillation_api.reasons.reason import Reason

TRIED_AGAIN_SOON = "Tried again soon: "
"""How a message begins between the end of an attempt and the next one."""


@dataclass(frozen=True)
class Cause:
    """A reason with its message. The reason is one of ours (``of``), or Kubernetes' own word."""

    reason: str
    message: str = ""

    @classmethod
    def of(cls, reason: Reason, message: str = "") -> "Cause":
        """A cause for one of our reasons."""
        return cls(reason.name, message)
