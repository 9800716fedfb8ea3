"""Which nodes' kubelets are worth asking: one that didn't answer is left alone for a while, that doubles."""

import asyncio
from dataclasses import dataclass

FIRST_SECONDS = 10.0
LONGEST_SECONDS = 300.0
KEPT = 10_000
"""Nodes that are remembered; more than the largest cluster has."""


@dataclass(frozen=True)
class _Silence:
    since: float
    seconds: float
    """For how long the node is left alone."""
    until: float


class NodeBreaker:
    """A circuit breaker for each node, by the loop's clock."""

    def __init__(self) -> None:
        self._silent: dict[str, _Silence] = {}

    def may_ask(self, node: str) -> bool:
        """Whether to ask a node. One that was left alone is asked by one call first."""
        silence, now = self._silent.get(node), _now()
        if silence is None:
            return True
        if now < silence.until:
            return False
        self._silent[node] = _Silence(silence.since, silence.seconds, now + silence.seconds)
        return True

    def tell(self, node: str, answered: bool, begun: float) -> None:
        """Note that a node has answered a call that was begun then, or has not."""
        if answered:
            self._silent.pop(node, None)
            return
        silence, now = self._silent.get(node), _now()
        if silence is not None and begun < silence.since:
            # One of several calls that met the same silence.
            return
        seconds = FIRST_SECONDS if silence is None else min(silence.seconds * 2, LONGEST_SECONDS)
        self._silent.pop(node, None)
        self._silent[node] = _Silence(now, seconds, now + seconds)
        while len(self._silent) > KEPT:
            del self._silent[next(iter(self._silent))]


def _now() -> float:
    return asyncio.get_running_loop().time()
