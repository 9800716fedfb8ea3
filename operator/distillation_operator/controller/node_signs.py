"""What nodes tell of the pods with chips that run on them: a slice that fails or hangs, maintenance that is near.

Nodes aren't watched: all of a cluster's would be kept for a few. Those of running pods with chips are read beside the
decisions, of a few nodes of a job at a time; the more there are in all, the seldomer each.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from distillation_operator.controller.kube import ApiError, Kube
from distillation_operator.controller.queue import Key
from distillation_operator.controller.side_calls import SideCall, SideCalls
from distillation_operator.controller.turns import Turns
from distillation_operator.manifests.bare_reading import chips_asked_for
from distillation_operator.manifests.node_signs import node_cause
from distillation_operator.pipeline.cause import Cause

SECONDS_BETWEEN_READS = 4.0
"""Of one node; decisions about a running job are somewhat farther apart."""
NODES_AT_A_TIME = 16
"""Of a job, in the time between reads."""
SECONDS_WITHOUT_RIGHT = 600.0
"""Without the right to read nodes it is asked for again after so long."""

Object = Mapping[str, Any]
log = logging.getLogger(__name__)


@dataclass
class _Sign:
    asked_at: float = -math.inf
    cause: Cause | None = None


class NodeSigns:
    """The last that each node with running pods of ours has told.

    ``changed``: told of the job when something else is said.
    """

    def __init__(self, kube: Kube, calls: SideCalls, changed: Callable[[Key], None]) -> None:
        self._kube = kube
        self._calls = calls
        self._changed = changed
        self._signs: dict[Key, dict[str, _Sign]] = {}
        """By job and node."""
        self._turns = Turns()
        self._may_read: bool | None = None
        """None until that was answered."""
        self._right_asked_at = -math.inf

    def known(self, key: Key, pods: Iterable[Object]) -> dict[str, Cause]:
        """What the nodes of a job's running pods with chips tell, by node, as far as it was read. What is old is asked
        for.
        """
        nodes = dict.fromkeys(node for pod in pods if (node := _node_of_chips(pod)) is not None)
        if not nodes:
            self.forget(key)
            return {}
        now = asyncio.get_running_loop().time()
        before = self._signs.get(key, {})
        signs = {node: before.get(node) or _Sign() for node in nodes}
        self._turns.note(key, len(signs))
        self._signs[key] = signs
        self._ask(key, signs, now)
        return {node: one.cause for node, one in signs.items() if one.cause is not None}

    def forget(self, key: Key) -> None:
        """Drop what is known of a job that is gone, or has no such pods."""
        self._signs.pop(key, None)
        self._turns.note(key, 0)

    def _ask(self, key: Key, signs: Mapping[str, _Sign], now: float) -> None:
        if not self._may_read:
            wait = SECONDS_BETWEEN_READS if self._may_read is None else SECONDS_WITHOUT_RIGHT
            if now - self._right_asked_at >= wait:
                self._right_asked_at = now
                self._calls.ask(SideCall("right to read nodes", key, self._ask_for_right))
            return
        pause = max(SECONDS_BETWEEN_READS, self._turns.seconds)
        due = sorted((n for n, one in signs.items() if now - one.asked_at >= pause), key=lambda n: signs[n].asked_at)
        lately = sum(now - one.asked_at < SECONDS_BETWEEN_READS for one in signs.values())
        for node in due[: max(NODES_AT_A_TIME - lately, 0)]:
            signs[node].asked_at = now
            self._calls.ask(self._call(key, node, signs[node]))

    async def _ask_for_right(self) -> None:
        before, self._may_read = self._may_read, await self._kube.may("get", "", "nodes")
        if before is None and not self._may_read:
            log.info(
                "no permission to get nodes: hangs, slice errors and maintenance that they tell of aren't shown "
                "(the chart's value rbac.nodes)"
            )

    def _call(self, key: Key, node: str, entry: _Sign) -> SideCall:
        async def read() -> None:
            try:
                cause = node_cause(await self._kube.read_node(node))
            except ApiError as error:
                if error.status == 403:
                    # It was taken away.
                    self._may_read = False
                if error.status not in (403, 404):
                    raise
                cause = None
            if cause != entry.cause:
                entry.cause = cause
                self._changed(key)

        return SideCall(("node", key, node), key, read)


def _node_of_chips(pod: Object) -> str | None:
    """The node of a living pod with chips."""
    if (pod.get("status") or {}).get("phase") != "Running" or not chips_asked_for(pod):
        return None
    return (pod.get("spec") or {}).get("nodeName")
