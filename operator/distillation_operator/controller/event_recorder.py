"""Events on DistillationJobs. They are for people: nothing waits for one, and one that can't be written is logged.

They are of the core API, as those of Kubernetes' own controllers: events.k8s.io refuses the two timestamps by which
``kubectl describe`` and ``--sort-by=.lastTimestamp`` order them.
"""

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from distillation_api.resource import API_VERSION, KIND
from distillation_operator.controller.kube import ApiError, Kube
from distillation_operator.controller.side_calls import SideCall, SideCalls
from distillation_operator.pipeline.status.events import Event
from distillation_operator.pipeline.status.pen import cut
from distillation_operator.pipeline.status.times import format_time

COMPONENT = "distillation-operator"
MESSAGE_LIMIT = 1024
"""Bytes; the API server takes no more."""
SECONDS = 10.0
"""It is written once or never, unlike what is read: it may take longer."""
log = logging.getLogger(__name__)


class Recorder:
    """Writes Events."""

    def __init__(self, kube: Kube, calls: SideCalls) -> None:
        self._kube = kube
        self._calls = calls
        self._last = 0

    def tell(self, job: Mapping[str, Any], event: Event) -> None:
        """Have one Event about a DistillationJob written."""
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
