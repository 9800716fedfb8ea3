"""The operator's process: kopf watches, our queue, our workers.

kopf supplies watching, login and shutdown through ``on.event`` alone: no other handler, so that nothing of kopf's
(annotations, finalizers) is written on users' objects.
"""

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import Any

import kopf

from distillation_operator.api.resource import GROUP, PLURAL, VERSION
from distillation_operator.controller.cache import Cache
from distillation_operator.controller.kube import Kube, Refused
from distillation_operator.controller.logs import configure_logs
from distillation_operator.controller.progress import ProgressReader
from distillation_operator.controller.queue import Key, WorkQueue
from distillation_operator.controller.reconcile import CreationRefused, Reconciler
from distillation_operator.controller.recorder import Recorder
from distillation_operator.controller.settings import ControllerSettings
from distillation_operator.manifests.labels import SELECTOR

log = logging.getLogger(__name__)

Resource = tuple[str, str] | tuple[str, str, str]

_WATCHED_CHILDREN: tuple[tuple[str, Resource], ...] = (
    ("Job", ("batch", "v1", "jobs")),
    ("JobSet", ("jobset.x-k8s.io", "v1alpha2", "jobsets")),
    ("Pod", ("v1", "pods")),
)


def run(settings: ControllerSettings) -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logs(settings.log_format)
    if settings.kubeconfig is not None:
        # kopf's own login reads it from there only.
        os.environ["KUBECONFIG"] = settings.kubeconfig
    asyncio.run(_Operator(settings).run())


class _Operator:
    def __init__(self, settings: ControllerSettings) -> None:
        self._settings = settings
        self._cache = Cache()
        self._queue = WorkQueue()

    async def run(self) -> None:
        kube = await Kube.connect(self._settings.kubeconfig)
        self._reconciler = Reconciler(
            kube, self._cache, ProgressReader(kube), Recorder(kube), self._settings.installation
        )
        workers = [asyncio.create_task(self._work()) for _ in range(self._settings.workers)]
        workers.append(asyncio.create_task(self._resync()))
        port = self._settings.health_port
        try:
            await kopf.operator(
                registry=self._registry(),
                settings=_kopf_settings(),
                standalone=True,
                clusterwide=not self._settings.namespaces,
                namespaces=self._settings.namespaces,
                liveness_endpoint=f"http://0.0.0.0:{port}/healthz" if port else None,
            )
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await kube.close()

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
        async def job_changed(event: Mapping[str, Any], **_: Any) -> None:
            await self._job_changed(event)

        for kind, resource in _WATCHED_CHILDREN:
            self._watch_children(registry, kind, resource)
        kopf.on.login(registry=registry)(kopf.login_with_kubeconfig)
        kopf.on.login(registry=registry)(kopf.login_with_service_account)
        return registry

    def _watch_children(self, registry: kopf.OperatorRegistry, kind: str, resource: Resource) -> None:
        @kopf.on.event(*resource, registry=registry, id=f"{kind}_changed")
        async def child_changed(event: Mapping[str, Any], **_: Any) -> None:
            child = event["object"]
            if event["type"] == "DELETED":
                key = self._cache.drop_child(kind, child)
                if kind == "Pod":
                    self._reconciler.forget_pod(child)
            else:
                key = self._cache.put_child(kind, {"kind": kind, **child})
            if key is not None:
                await self._queue.add(key)

    async def _job_changed(self, event: Mapping[str, Any]) -> None:
        job = event["object"]
        if event["type"] == "DELETED":
            key = (job["metadata"]["namespace"], job["metadata"]["name"])
            known = self._cache.job(key)
            if known is not None and known["metadata"]["uid"] == job["metadata"]["uid"]:
                self._cache.drop_job(key)
        else:
            key = self._cache.put_job(job)
        await self._queue.add(key)

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            try:
                await self._reconcile(key)
            finally:
                await self._queue.done(key)

    async def _reconcile(self, key: Key) -> None:
        try:
            look_again = await self._reconciler.reconcile(key)
        except CreationRefused as problem:
            seconds = await self._queue.add_after_failure(key)
            log.warning("%s; tried again in %.0f s", problem, seconds, extra={"job": key})
            return
        except Refused as refused:
            seconds = await self._queue.add_after_failure(key)
            level = logging.INFO if refused.status == 409 else logging.WARNING
            log.log(level, "%s; tried again in %.1f s", refused, seconds, extra={"job": key})
            return
        except Exception:
            seconds = await self._queue.add_after_failure(key)
            log.exception("reconcile failed; tried again in %.0f s", seconds, extra={"job": key})
            return
        self._queue.succeeded(key)
        if look_again is not None:
            await self._queue.add_after(key, look_again.total_seconds())

    async def _resync(self) -> None:
        """Look at everything again: a watch that was broken for long may have missed a deletion."""
        while True:
            await asyncio.sleep(self._settings.resync_seconds)
            for key in self._cache.jobs():
                self._reconciler.list_again(key)
                await self._queue.add(key)


def _kopf_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    # A worker of kopf's per object is kept only as long as it has something to hand over.
    settings.queueing.idle_timeout = 0.1
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    for _, resource in _WATCHED_CHILDREN:
        settings.watching.label_selectors[resource] = SELECTOR
    return settings
