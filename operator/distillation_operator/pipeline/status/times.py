"""Times as Kubernetes writes them: RFC 3339 in UTC, whole seconds."""

from datetime import UTC, datetime


def format_time(time: datetime) -> str:
    """For example 2026-11-25T04:30:00Z."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """The time that ``format_time`` wrote, or that Kubernetes did."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
