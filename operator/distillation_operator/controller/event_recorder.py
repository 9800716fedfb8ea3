"""Events on DistillationJobs. They are for people: one that can't be written is logged, and work goes on."""

import logging
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from distillation_api.resource import API_VERSION, KIND
from distillation_operator.controller.kube import ApiError, Kube
from distillation_operator.pipeline.status.events import Event

COMPONENT = "distillation-operator"
NOTE_LIMIT = 1024
log = logging.getLogger(__name__)


class Recorder:
    """Writes Events."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    async def tell(self, job: Mapping[str, Any], event: Event) -> None:
        """Write one Event about a DistillationJob."""
        metadata = job["metadata"]
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata['name']}.{uuid.uuid4().hex[:16]}", "namespace": metadata["namespace"]},
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
        try:
            await self._kube.create_event(metadata["namespace"], body)
        except ApiError as error:
            log.warning("event not written: %s", error, extra={"job": (metadata["namespace"], metadata["name"])})
