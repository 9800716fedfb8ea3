"""One reconcile of one job: read the cache, decide, act, decide again on what came of it, write the status, tell.

Nothing is remembered between two reconciles but what can be lost: progress lines, and why a creation was refused.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from distillation_api import reasons
from distillation_api.resource import DistillationJob
from distillation_api.status import DistillationJobStatus
from distillation_operator.controller.cache import Cache, is_made_by_jobset
from distillation_operator.controller.creation_failures import creation_failure
from distillation_operator.controller.event_recorder import Recorder
from distillation_operator.controller.kube import ApiError, Kube
from distillation_operator.controller.metrics import Metrics
from distillation_operator.controller.pending_reasons import PendingReasons
from distillation_operator.controller.progress import ProgressReader
from distillation_operator.controller.queue import Key
from distillation_operator.manifests.input_size import too_large
from distillation_operator.manifests.kinds import child_manifest
from distillation_operator.manifests.labels import CHILD_LABEL
from distillation_operator.manifests.reading import observe, read_pod
from distillation_operator.manifests.settings import Installation
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.decision.job import Creation, Decision, decide, is_over
from distillation_operator.pipeline.observed import Observed
from distillation_operator.pipeline.status.events import transitions
from distillation_operator.pipeline.status.job_status import rejected_status

Object = Mapping[str, Any]
KINDS = ("JobSet", "Job", "Pod")
"""In the order in which they are listed: effects before their causes, so that no end is seen without its reason."""
log = logging.getLogger(__name__)


class CreationRefused(Exception):
    """A child could not be created; the status shows why, and the queue tries again later."""


class Reconciler:
    """Brings the cluster towards what one DistillationJob asks for."""

    def __init__(
        self,
        kube: Kube,
        cache: Cache,
        progress: ProgressReader,
        recorder: Recorder,
        metrics: Metrics,
        installation: Installation,
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._progress = progress
        self._recorder = recorder
        self._metrics = metrics
        self._installation = installation
        self._pending_reasons = PendingReasons(kube)
        self._problems: dict[Key, dict[str, Cause]] = {}
        self._listed: set[Key] = set()

    def request_fresh_lists(self, key: Key) -> None:
        """Take a fresh list of the job's children next time: a watch may have missed that one went."""
        self._listed.discard(key)

    async def reconcile(self, key: Key) -> timedelta | None:
        """One step. Returns the time after which to look again. Raises ApiError and CreationRefused."""
        raw = self._cache.job(key)
        if raw is None:
            self._problems.pop(key, None)
            self._listed.discard(key)
            return None
        now = datetime.now(UTC)
        try:
            job = DistillationJob.parse(dict(raw))
        except ValidationError as error:
            await self._reject(raw, _read_status(raw), Cause.of(reasons.INVALID_SPEC, str(error)), now)
            return None
        refusal = self._installation.refusal(job) or too_large(job.spec)
        # What has ended stays as it ended, though the installation may allow less by now.
        if refusal is not None and not is_over(job):
            await self._reject(raw, job.status, refusal, now)
            return None
        decision = await self._decide(job, key, now)
        if decision.create or decision.delete:
            await self._act(job, key, decision)
            # An end stands: children that are being deleted for it don't show any more why it came.
            if not decision.is_end:
                again = await self._decide(job, key, now)
                decision = Decision(status=again.status, requeue_after=again.requeue_after)
        else:
            self._problems.pop(key, None)
        await self._write(raw, job.status, decision.status)
        if self._problems.get(key):
            raise CreationRefused("; ".join(problem.message for problem in self._problems[key].values()))
        return decision.requeue_after

    async def _decide(self, job: DistillationJob, key: Key, now: datetime) -> Decision:
        """On what the watches have told, or, where that isn't enough, on fresh lists."""
        if key in self._listed:
            known = {kind: self._cache.children(key, kind) for kind in KINDS}
            decision = decide(job, await self._observe(job, key, known, fresh=False), now)
            if not decision.needs_fresh_lists:
                return decision
        return decide(job, await self._observe(job, key, await self._list(key), fresh=True), now)

    async def _list(self, key: Key) -> dict[str, list[Object]]:
        lists: dict[str, list[Object]] = {}
        for kind in KINDS:
            listed = await self._kube.list_children(kind, key)
            self._cache.replace_children(key, kind, listed.items, listed.version)
            lists[kind] = listed.items
        self._listed.add(key)
        return lists

    async def _observe(
        self, job: DistillationJob, key: Key, objects_by_kind: Mapping[str, list[Object]], fresh: bool
    ) -> Observed:
        pods, jobs = objects_by_kind["Pod"], objects_by_kind["Job"]
        running = [pod.name for pod in map(read_pod, pods) if pod.running and not pod.ended]
        children = [child for child in (*jobs, *objects_by_kind["JobSet"]) if not is_made_by_jobset(child)]
        return observe(
            uid=job.metadata.uid,
            children=children,
            jobs_of_jobsets=jobs,
            pods=pods,
            progress=await self._progress.read(key[0], running),
            creation_failures=self._problems.get(key, {}),
            pending_reasons=await self._pending_reasons.read(key[0], children, jobs, pods),
            fresh=fresh,
        )

    async def _act(self, job: DistillationJob, key: Key, decision: Decision) -> None:
        for name in decision.delete:
            for kind in ("Job", "JobSet"):
                if any(child["metadata"]["name"] == name for child in self._cache.children(key, kind)):
                    log.info("deleting %s %s", kind, name, extra={"job": key})
                    await self._kube.delete_child(kind, key[0], name)
        problems: dict[str, Cause] = {}
        for creation in decision.create:
            problem = await self._create(job, key, creation)
            if problem is not None:
                problems[creation.name] = problem
        self._problems[key] = problems

    async def _create(self, job: DistillationJob, key: Key, creation: Creation) -> Cause | None:
        manifest = child_manifest(job, creation.stage, creation.attempt, self._installation)
        kind = str(manifest["kind"])
        try:
            created = await self._kube.create_child(manifest)
            log.info("created %s %s", kind, creation.name, extra={"job": key})
        except ApiError as answer:
            if answer.status != 409:
                return creation_failure(answer, kind, creation.name)
            # The cache was behind: the child is there. Ours is success, another owner's is reported.
            created = await self._kube.read_child(kind, key[0], creation.name)
            owners = created["metadata"].get("ownerReferences") or []
            if not any(owner.get("uid") == job.metadata.uid for owner in owners):
                return creation_failure(answer, kind, creation.name)
        self._cache.put_child(kind, created)
        return None

    async def _reject(self, raw: Object, status: DistillationJobStatus | None, cause: Cause, now: datetime) -> None:
        await self._write(raw, None, rejected_status(status, raw["metadata"]["generation"], cause, now))

    async def _write(self, raw: Object, before: DistillationJobStatus | None, after: DistillationJobStatus) -> None:
        status = after.to_json_dict()
        if status == raw.get("status"):
            return
        self._cache.put_job(await self._kube.write_status(raw, status))
        self._metrics.tell_stages(before, after)
        for event in transitions(before, after):
            await self._recorder.tell(raw, event)

    def forget_pod(self, pod: Object) -> None:
        """A pod is gone."""
        if CHILD_LABEL in (pod["metadata"].get("labels") or {}):
            self._progress.forget(pod["metadata"]["namespace"], pod["metadata"]["name"])


def _read_status(raw: Object) -> DistillationJobStatus | None:
    try:
        return DistillationJobStatus.model_validate(raw.get("status"))
    except ValidationError:
        return None
