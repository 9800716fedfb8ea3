"""Where the operator's processor time goes, of stacks that py-spy has sampled in its raw form."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

PARTS = (
    ("decisions, and what they look at", "Reconciler._decide"),
    ("writing statuses", "Reconciler._write"),
    ("making children", "Reconciler._act"),
    ("the rest of a reconcile", "Reconciler.reconcile"),
    ("logs, Events and queues' words", "SideCalls._make"),
    ("lists of the whole installation", "Sweep.run"),
    ("our handlers of events: what is kept of objects", "_Operator._child_changed"),
    ("our handlers of events: what is kept of objects", "_Operator._job_changed"),
    ("kopf, for each event of a watch", "process_resource_event"),
    ("kopf, for each event of a watch", "worker (kopf/"),
    ("reading watches: JSON", "JSONDecoder.decode"),
    ("reading watches", "watcher (kopf/"),
    ("sockets and TLS", "_SelectorSocketTransport"),
    ("waiting for sockets: calls of epoll", "EpollSelector.select"),
)
"""Names, and what a frame begins with; a stack belongs to the first that one of its frames fits."""
REST = "event loop and others"


def shares(raw: Iterable[str]) -> dict[str, float]:
    """Shares of all samples by part, the largest first. ``raw``: lines of frames from the outermost, joined by
    semicolons, and a count."""
    found: Counter[str] = Counter()
    for line in raw:
        stack, _, count = line.rpartition(" ")
        found[_part(stack.split(";"))] += int(count)
    every = sum(found.values()) or 1
    return {part: round(count / every, 3) for part, count in found.most_common()}


def read_shares(path: Path) -> dict[str, float]:
    """Those of a file. Raises OSError and ValueError."""
    return shares(path.read_text().splitlines())


def _part(frames: list[str]) -> str:
    return next((part for part, begins in PARTS if any(frame.startswith(begins) for frame in frames)), REST)
