"""What the API server's refusals come as."""


class ApiError(Exception):
    """The API server said no, or wasn't reached (status 0)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def is_outage(self) -> bool:
        """Whether it says nothing of what was asked: the API server isn't reached, is overloaded, fails, or can't tell
        who asks."""
        return self.status in (0, 401, 429) or self.status >= 500
