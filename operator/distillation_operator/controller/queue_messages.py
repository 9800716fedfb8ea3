"""What Kueue says of the children that it holds, read from its Workloads: in words that a user can act on."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from distillation_operator.controller.kube import Kube, Refused
from distillation_operator.manifests.reading import is_held, queue_message

SECONDS_BETWEEN_READS = 10.0

Object = Mapping[str, Any]


class QueueMessages:
    """The last message of each held child; Kueue is asked again only after ``SECONDS_BETWEEN_READS``."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._messages: dict[str, str] = {}
        self._read_at: dict[str, float] = {}

    async def read(self, namespace: str, children: Iterable[Object]) -> dict[str, str]:
        """Messages by name; what isn't held, or of which nothing is known, is absent."""
        told: dict[str, str] = {}
        for child in children:
            uid = child["metadata"]["uid"]
            if not is_held(child):
                self._messages.pop(uid, None)
                self._read_at.pop(uid, None)
                continue
            now = time.monotonic()
            if now - self._read_at.get(uid, -SECONDS_BETWEEN_READS) >= SECONDS_BETWEEN_READS:
                self._read_at[uid] = now
                await self._read_one(namespace, uid)
            if uid in self._messages:
                told[child["metadata"]["name"]] = self._messages[uid]
        return told

    async def _read_one(self, namespace: str, uid: str) -> None:
        try:
            message = queue_message(await self._kube.list_workloads(namespace, uid))
        except Refused:
            # A message is worth no failed reconcile: what was known stands.
            return
        if message is not None:
            self._messages[uid] = message
