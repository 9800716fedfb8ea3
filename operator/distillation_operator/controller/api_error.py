"""What the API server's refusals come as."""


class ApiError(Exception):
    """The API server said no, or wasn't reached (status 0)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
