"""Events on DistillationJobs. They are for people: nothing waits for one, and one that can't be written is logged."""

import logging
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from distillation_api.resource import API_VERSION, KIND
from distillation_operator.controller.kube import ApiError, Kube
from distillation_operator.controller.side_calls import SideCall, SideCalls
from distillation_operator.pipeline.status.events import Event

COMPONENT = "distillation-operator"
NOTE_LIMIT = 1024
SECONDS = 10.0
"""It is written once or never, unlike what is read: it may take longer."""
log = logging.getLogger(__name__)


class Recorder:
    """Writes Events."""

    def __init__(self, kube: Kube, calls: SideCalls) -> None:
        self._kube = kube
        self._calls = calls

    def tell(self, job: Mapping[str, Any], event: Event) -> None:
        """Have one Event about a DistillationJob written."""
        metadata = job["metadata"]
        key = (metadata["namespace"], metadata["name"])
        name = f"{metadata['name']}.{uuid.uuid4().hex[:16]}"
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "eventTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "type": event.type,
            "reason": event.reason,
            "note": event.message[:NOTE_LIMIT],
            "action": "Reconcile",
            "reportingController": f"distillation.dev/{COMPONENT}",
            "reportingInstance": COMPONENT,
            "regarding": {
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
