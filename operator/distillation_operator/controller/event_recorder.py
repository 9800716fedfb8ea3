"""Events on DistillationJobs. They are for people: nothing waits for one, and one that can't be written is logged.

They are of the core API, as those of Kubernetes' own controllers: events.k8s.io refuses the two timestamps by which
``kubectl describe`` and ``--sort-by=.lastTimestamp`` order them.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from distillation_api import reasons
from distillation_api.resource import API_VERSION, KIND
from distillation_operator.controller.kube import ApiError, Kube
from distillation_operator.controller.queue import Key
from distillation_operator.controller.side_calls import SideCall, SideCalls
from distillation_operator.pipeline.status.events import Event
from distillation_operator.pipeline.status.pen import cut
from distillation_operator.pipeline.status.times import format_time

COMPONENT = "distillation-operator"
MESSAGE_LIMIT = 1024
"""Bytes; the API server takes no more."""
SECONDS = 10.0
"""It is written once or never, unlike what is read: it may take longer."""
SECONDS_TOGETHER = 30.0
"""Stages that end within this time are one Event; the status has each at once."""
log = logging.getLogger(__name__)


@dataclass
class _Held:
    job: Mapping[str, Any]
    messages: list[str]
    timer: asyncio.TimerHandle


class Recorder:
    """Writes Events. Those of complete stages wait for each other, or for another Event of their job."""

    def __init__(self, kube: Kube, calls: SideCalls) -> None:
        self._kube = kube
        self._calls = calls
        self._last = 0
        self._held: dict[Key, _Held] = {}

    def tell(self, job: Mapping[str, Any], event: Event) -> None:
        """Have one Event about a DistillationJob written."""
        key = (job["metadata"]["namespace"], job["metadata"]["name"])
        if (event.type, event.reason) == ("Normal", reasons.STAGE_COMPLETE.name):
            self._hold(key, job, event.message)
            return
        self._tell_held(key)
        self._write(job, event)

    def flush(self) -> None:
        """Have all written that waits for others."""
        for key in list(self._held):
            self._tell_held(key)

    def _hold(self, key: Key, job: Mapping[str, Any], message: str) -> None:
        held = self._held.get(key)
        if held is not None and _is_too_long([*held.messages, message]):
            self._tell_held(key)
            held = None
        if held is None:
            timer = asyncio.get_running_loop().call_later(SECONDS_TOGETHER, self._tell_held, key)
            held = self._held[key] = _Held(job, [], timer)
        held.job = job
        held.messages.append(message)

    def _tell_held(self, key: Key) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            held.timer.cancel()
            self._write(held.job, Event("Normal", reasons.STAGE_COMPLETE.name, " ".join(held.messages)))

    def _write(self, job: Mapping[str, Any], event: Event) -> None:
        metadata = job["metadata"]
        key = (metadata["namespace"], metadata["name"])
        # In the order of time by name too: timestamps have whole seconds, and of equal ones the first listed stays so.
        self._last = max(self._last + 1, time.time_ns())
        name = f"{metadata['name']}.{self._last:016x}"
        now = datetime.now(UTC)
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "eventTime": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "firstTimestamp": format_time(now),
            "lastTimestamp": format_time(now),
            "count": 1,
            "type": event.type,
            "reason": event.reason,
            "message": cut(event.message, MESSAGE_LIMIT),
            "action": "Reconcile",
            "source": {"component": COMPONENT},
            "reportingComponent": f"distillation.dev/{COMPONENT}",
            "reportingInstance": COMPONENT,
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
        }

        async def write() -> None:
            try:
                await self._kube.create_event(key[0], body)
            except ApiError as error:
                log.warning("event not written: %s", error, extra={"job": key})

        self._calls.ask(SideCall(("event", name), key, write, seconds=SECONDS))


def _is_too_long(messages: list[str]) -> bool:
    return len(" ".join(messages).encode(errors="replace")) > MESSAGE_LIMIT
