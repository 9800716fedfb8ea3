"""Server-sent events: what a page is told while it is open."""

import json
from collections.abc import Mapping
from typing import Any


def encode(event: str, data: Mapping[str, Any], number: str = "") -> bytes:
    """One event in the form of the HTML standard. ``number``: what a browser that connects again asks from."""
    lines = [f"event: {event}", f"data: {json.dumps(data)}", *([f"id: {number}"] if number else [])]
    return ("\n".join(lines) + "\n\n").encode()


def mark(server: str, revision: int) -> str:
    """The number of an event: this run of the dashboard, and the change."""
    return f"{server}.{revision}"


def revision_of(server: str, told: str) -> int | None:
    """The change that a mark names; None for what isn't a mark of this run."""
    run, _, number = told.partition(".")
    return int(number) if run == server and number.isascii() and number.isdigit() and len(number) < 19 else None
