"""The operator's process: kopf watches, our queue, our workers.

kopf supplies watching, login and shutdown through ``on.event`` alone: no other handler, so that nothing of kopf's
(annotations, finalizers) is written on users' objects.
"""

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import Mapping
from typing import Any

import kopf

from distillation_api import reasons
from distillation_api.resource import GROUP, PLURAL, VERSION
from distillation_operator.controller import pages
from distillation_operator.controller.cache import Cache
from distillation_operator.controller.crd_age import OPENAPI_PATH, missing_fields
from distillation_operator.controller.event_recorder import Recorder
from distillation_operator.controller.kube import RESOURCES, ApiError, Kube
from distillation_operator.controller.leader import Leadership
from distillation_operator.controller.logging_setup import configure_logs
from distillation_operator.controller.metrics import Metrics
from distillation_operator.controller.node_signs import NodeSigns
from distillation_operator.controller.pending_reasons import PendingReasons
from distillation_operator.controller.pod_events import PodEvents
from distillation_operator.controller.probes import Probes
from distillation_operator.controller.progress import ProgressReader
from distillation_operator.controller.queue import LONGEST_RETRY_SECONDS, OUTAGE_RETRY_SECONDS, Key, WorkQueue
from distillation_operator.controller.reconcile import CreationRefused, DecisionFailed, Reconciler
from distillation_operator.controller.settings import ControllerSettings
from distillation_operator.controller.side_calls import SideCalls
from distillation_operator.controller.sweep import Sweep
from distillation_operator.controller.watches import Watches, keep_awake
from distillation_operator.manifests.bare_reading import has_ended, pod_has_ended
from distillation_operator.manifests.labels import SELECTOR

RECONCILE_SECONDS = 300.0
"""One reconcile is given up after so long, so that no worker is lost to a call that never ends."""
BATCH_SECONDS = 1.0
"""A status may wait so long for what follows: a pod appears, runs and may end meanwhile."""
SCHEMA_SECONDS = 5.0
FEW_JOBS = 20
"""So many that haven't ended are acted on at once at a start."""
log = logging.getLogger(__name__)

Resource = tuple[str, str] | tuple[str, str, str]


def run(settings: ControllerSettings) -> None:
    """Run until SIGTERM or SIGINT. Raises LeaseLost when another replica may act now."""
    configure_logs(settings.log_format)
    if settings.kubeconfig is not None:
        # kopf's own login reads it from there only.
        os.environ["KUBECONFIG"] = settings.kubeconfig
    asyncio.run(_Operator(settings).run())


class LeaseLost(Exception):
    """Another replica may act now: this process is of no more use."""


class _Operator:
    def __init__(self, settings: ControllerSettings) -> None:
        self._settings = settings
        self._cache = Cache()
        self._queue = WorkQueue()
        self._metrics = Metrics()
        self._metrics.watch_queue(self._queue.__len__)
        self._metrics.watch_jobs(self._cache.all_jobs, self._cache.ended_phases)
        self._metrics.watch_cache(self._cache.__len__)
        self._workers: list[asyncio.Task[None]] = []
        self._sweeping = asyncio.Lock()
        self._leadership: Leadership | None = None
        self._schema_problem: str | None = "the CRD has not been read yet"

    async def run(self) -> None:
        # The API server's audit log tells the replicas apart by it.
        kube = self._kube = await Kube.connect(self._settings.kubeconfig, f"distillation-operator/{_replica()}")
        kube.count = lambda verb, resource, code: self._metrics.api_calls.labels(verb, resource, str(code)).inc()
        self._assemble(kube)
        probes = Probes(self._metrics, self._alive, self._ready)
        if self._settings.port is not None:
            await probes.start(self._settings.port)
        stop = asyncio.Event()
        watching = asyncio.create_task(self._watch(stop))
        beside = [asyncio.create_task(self._lead(kube)), asyncio.create_task(self._read_schema())]
        try:
            # The watches end by SIGTERM; leadership ends when it is lost.
            done, _ = await asyncio.wait([watching, beside[0]], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                # When kopf stops it cancels all tasks of the loop, ours too.
                if not task.cancelled():
                    task.result()
        finally:
            await _cancel([*self._workers, *beside])
            stop.set()
            await asyncio.gather(watching, return_exceptions=True)
            await probes.close()
            self._recorder.flush()
            await self._side_calls.close()
            if self._leadership is not None:
                await self._leadership.release()
            await kube.close()

    def _assemble(self, kube: Kube) -> None:
        self._sweep = Sweep(kube, self._cache, self._settings.namespaces)
        self._side_calls = SideCalls(lambda result: self._metrics.side_calls.labels(result).inc())
        self._recorder = Recorder(kube, self._side_calls)
        self._reconciler = Reconciler(
            kube,
            self._cache,
            ProgressReader(kube, self._side_calls, self._queue.add),
            PendingReasons(kube, self._side_calls, self._queue.add),
            PodEvents(kube, self._side_calls, self._queue.add),
            NodeSigns(kube, self._side_calls, self._queue.add),
            self._recorder,
            self._metrics,
            self._settings.installation,
            BATCH_SECONDS,
        )

    async def _watch(self, stop: asyncio.Event) -> None:
        plurals = [PLURAL, *(plural for _, _, plural in RESOURCES.values())]
        watches = Watches(self._registry, self._kopf_settings, self._settings.namespaces, plurals, self._look_again)
        await watches.run(stop)

    async def _kopf_settings(self) -> kopf.OperatorSettings:
        settings = _kopf_settings()
        # kopf would ask again and again before it starts without.
        settings.scanning.disabled = not await self._may_scan()
        return settings

    async def _look_again(self) -> bool:
        """Find what went while a watch was broken; whether the API server has answered. Who leads later lists all."""
        if not self._workers:
            return True
        changed = await self._sweep_again()
        for key in changed or ():
            self._queue.add(key)
        return changed is not None

    async def _may_scan(self) -> bool:
        """Whether kopf may look for CRDs that come later and, where it is given namespaces, for those."""
        wanted = [("apiextensions.k8s.io", "customresourcedefinitions")]
        if self._settings.namespaces:
            wanted.append(("", "namespaces"))
        try:
            allowed = [await self._kube.may("list", group, resource) for group, resource in wanted]
        except ApiError as error:
            log.warning("permissions can't be asked for: %s", error)
            return True
        return all(allowed)

    async def _lead(self, kube: Kube) -> None:
        """Act, as soon as this replica may, until it may no more. Raises LeaseLost."""
        if self._settings.lease is None:
            await self._act()
            return
        identity = f"{_replica()}-{uuid.uuid4().hex[:8]}"
        leadership = self._leadership = Leadership(kube.api, *self._settings.lease, identity)
        kube.write_seconds = leadership.seconds_left
        await leadership.run(self._act)
        raise LeaseLost(f"{identity} has lost the lease {'/'.join(self._settings.lease)}")

    async def _act(self) -> None:
        self._metrics.leads.set(1)
        await self._sweep.wait_for_jobs()
        first = asyncio.create_task(self._sweep_first())
        try:
            # Until all children are known each job is listed by itself. Those of a few take less than those of all,
            # most of which are of jobs that have ended.
            if len(self._cache.jobs()) > FEW_JOBS:
                await first
            self._workers = [asyncio.create_task(self._work()) for _ in range(self._settings.workers)]
            self._workers.append(asyncio.create_task(self._resync()))
            await asyncio.gather(first, *self._workers)
        finally:
            self._metrics.leads.set(0)
            await _cancel([first, *self._workers])

    async def _alive(self) -> str | None:
        """What only a new process can mend. That there is an answer shows that the loop turns; calls that fail, and
        what waits for them, no restart would mend.
        """
        return "a worker has ended" if any(worker.done() for worker in self._workers) else None

    async def _ready(self) -> str | None:
        return self._schema_problem

    async def _read_schema(self) -> None:
        """See whether the CRD is as new as this code, until it is."""
        while self._schema_problem is not None:
            why = ""
            try:
                missing = missing_fields(await self._kube.read_document(OPENAPI_PATH))
                problem = f"the CRD is older than this operator: it lacks {', '.join(missing[:5])}" if missing else None
            except (ApiError, ValueError) as error:
                # The port is open to whoever reaches it: what the API server said is for the log.
                problem, why = "the CRD can't be read; the log tells why", f": {error}"
            if problem is not None and problem != self._schema_problem:
                log.warning("not ready: %s%s", problem, why)
            self._schema_problem = problem
            await asyncio.sleep(SCHEMA_SECONDS)

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
        async def job_changed(event: Mapping[str, Any], **_: Any) -> None:
            await self._job_changed(event)

        for kind in RESOURCES:
            self._watch_children(registry, kind)
        return registry

    def _watch_children(self, registry: kopf.OperatorRegistry, kind: str) -> None:
        @kopf.on.event(*_resource(kind), registry=registry, id=f"{kind}_changed")
        async def child_changed(event: Mapping[str, Any], **_: Any) -> None:
            await self._child_changed(kind, event)

    async def _child_changed(self, kind: str, event: Mapping[str, Any]) -> None:
        child = event["object"]
        is_gone = event["type"] == "DELETED"
        key = self._cache.drop_child(kind, child) if is_gone else self._cache.put_child(kind, {"kind": kind, **child})
        if key is None:
            return
        # What has ended lets the job go on, which a TPU may wait for; all else is only to be shown.
        if is_gone or (pod_has_ended(child) if kind == "Pod" else has_ended(child)):
            self._queue.add(key, urgent=True)
        else:
            self._queue.add_soon(key)

    async def _job_changed(self, event: Mapping[str, Any]) -> None:
        job = event["object"]
        if event["type"] == "DELETED":
            key = (job["metadata"]["namespace"], job["metadata"]["name"])
            if self._cache.uid(key) != job["metadata"]["uid"]:
                return
            self._cache.drop_job(key)
            self._queue.add(key)
        elif (changed := self._cache.put_job(job)) is not None:
            # What a user has just asked for; what is listed at a start has its turn.
            self._queue.add(changed, urgent=event["type"] is not None)

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            try:
                with self._metrics.reconcile_seconds.time():
                    await self._reconcile(key)
            finally:
                self._queue.done(key)

    async def _reconcile(self, key: Key) -> None:
        try:
            async with asyncio.timeout(RECONCILE_SECONDS):
                requeue_after = await self._reconciler.reconcile(key)
        except CreationRefused as problem:
            seconds = self._failed(key, "CreationRefused")
            log.warning("%s; tried again in %.0f s", problem, seconds, extra={"job": key})
            return
        except DecisionFailed as problem:
            seconds = self._failed(key, reasons.INTERNAL_ERROR.name)
            log.warning("%s; tried again in %.0f s", problem, seconds, extra={"job": key})
            return
        except ApiError as error:
            longest = OUTAGE_RETRY_SECONDS if error.is_outage else LONGEST_RETRY_SECONDS
            seconds = self._failed(key, error.reason or str(error.status), longest)
            level = logging.INFO if error.status == 409 else logging.WARNING
            log.log(level, "%s; tried again in %.1f s", error, seconds, extra={"job": key})
            return
        except TimeoutError:
            seconds = self._failed(key, "Timeout")
            log.warning("given up after %.0f s; tried again in %.0f s", RECONCILE_SECONDS, seconds, extra={"job": key})
            return
        except Exception:
            seconds = self._failed(key, "Exception")
            log.exception("reconcile failed; tried again in %.0f s", seconds, extra={"job": key})
            return
        self._queue.succeeded(key)
        if requeue_after is not None:
            self._queue.add_after(key, requeue_after.total_seconds())

    def _failed(self, key: Key, reason: str, longest: float = LONGEST_RETRY_SECONDS) -> float:
        self._metrics.reconcile_errors.labels(reason).inc()
        return self._queue.add_after_failure(key, longest)

    async def _sweep_first(self) -> None:
        try:
            async with self._sweeping:
                await self._sweep.run()
        except ApiError as error:
            log.warning("the children of all jobs can't be listed, so those of each job are: %s", error)
        else:
            log.info("%d jobs and their children are known", self._cache.job_count)

    async def _resync(self) -> None:
        """Look at everything again: a watch that was broken for long may have missed a deletion."""
        while True:
            await asyncio.sleep(self._settings.resync_seconds)
            changed = await self._sweep_again()
            for key in (changed or set()).union(self._cache.jobs()):
                self._queue.add(key)

    async def _sweep_again(self) -> set[Key] | None:
        """The jobs for which there was news; None when the API server doesn't say."""
        try:
            async with self._sweeping:
                return await self._sweep.run()
        except ApiError as error:
            log.warning("the children of all jobs can't be listed: %s", error)
            return None


def _resource(kind: str) -> Resource:
    group, version, plural = RESOURCES[kind]
    return (group, version, plural) if group else (version, plural)


def _replica() -> str:
    """The name of this replica: its pod's."""
    return os.environ.get("POD_NAME") or socket.gethostname()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _kopf_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    # A worker of kopf's per object is kept only as long as it has something to hand over.
    settings.queueing.idle_timeout = 0.1
    keep_awake(settings)
    settings.watching.chunk_size = pages.MOST
    for kind in RESOURCES:
        settings.watching.label_selectors[_resource(kind)] = SELECTOR
    settings.persistence.diffbase_storage = _NoDiffs()
    return settings


class _NoDiffs(kopf.DiffBaseStorage):
    """No memory of what objects were: kopf would copy each one at each event to find what has changed, for handlers
    that we don't have.
    """

    def build(self, **_: Any) -> kopf.BodyEssence:
        return {}

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        pass
