"""The reconciler of one job before a stand-in for the API server: what it writes, creates and deletes, step by step."""

from typing import Any

from distillation_operator.controller.cache import Cache
from distillation_operator.controller.event_recorder import Recorder
from distillation_operator.controller.metrics import Metrics
from distillation_operator.controller.node_signs import NodeSigns
from distillation_operator.controller.pending_reasons import PendingReasons
from distillation_operator.controller.pod_events import PodEvents
from distillation_operator.controller.progress import ProgressReader
from distillation_operator.controller.queue import Key
from distillation_operator.controller.reconcile import Reconciler
from distillation_operator.controller.side_calls import SideCalls
from distillation_operator.manifests.settings import Installation
from support.api_server import Server
from support.scenario import small_spec


class Controller:
    """The reconciler before a stand-in for the API server, with one job."""

    def __init__(self, installation: Installation | None = None, server: Server | None = None, **spec: Any) -> None:
        self.server = server or Server()
        self.key = self.server.add_job(small_spec(**spec))
        self.cache = Cache()
        calls = SideCalls()
        self.reconciler = Reconciler(
            self.server,
            self.cache,
            ProgressReader(self.server, calls, unheard),
            PendingReasons(self.server, calls, unheard),
            PodEvents(self.server, calls, unheard),
            NodeSigns(self.server, calls, unheard),
            Recorder(self.server, calls),
            Metrics(),
            installation or Installation(),
        )

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.server.jobs[self.key].get("status") or {})

    def condition(self, kind: str) -> dict[str, Any]:
        return next((dict(c) for c in self.status["conditions"] if c["type"] == kind), {})

    async def step(self) -> None:
        self.cache.put_job(self.server.jobs[self.key])
        await self.reconciler.reconcile(self.key)

    def change(self, **members: Any) -> None:
        job = self.server.jobs[self.key]
        metadata = {**job["metadata"], "generation": 2, "resourceVersion": "1000"}
        self.server.jobs[self.key] = {**job, "metadata": metadata, "spec": {**job["spec"], **members}}


def unheard(key: Key) -> None:
    """Of no interest here."""
