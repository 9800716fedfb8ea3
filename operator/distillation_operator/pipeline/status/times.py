"""Times as Kubernetes writes them: RFC 3339 in UTC, whole seconds."""

from datetime import UTC, datetime

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""Bounds of what is read: with a time at the edge of what a datetime holds no back-off could be added to it."""


def format_time(time: datetime) -> str:
    """For example 2026-11-25T04:30:00Z."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """The time that ``format_time`` wrote, or that Kubernetes did, moved within the bounds."""
    return min(max(datetime.fromisoformat(text.replace("Z", "+00:00")), EARLIEST), LATEST)


def later(*texts: str | None) -> datetime | None:
    """The latest of the times that are given; None when none is."""
    return max((parse_time(text) for text in texts if text), default=None)
