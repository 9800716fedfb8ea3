"""One reconcile of one job: read the cache, decide, act, decide again on what came of it, write the status, tell.

Nothing is remembered between two reconciles but what can be lost: progress lines, and why a creation was refused.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from distillation_api import reasons
from distillation_api.resource import DistillationJob
from distillation_api.status import DistillationJobStatus
from distillation_operator.controller.cache import Cache, Ended, is_made_by_jobset
from distillation_operator.controller.creation_failures import creation_failure
from distillation_operator.controller.error_ids import id_of
from distillation_operator.controller.event_recorder import Recorder
from distillation_operator.controller.kube import RESOURCES, ApiError, Kube
from distillation_operator.controller.metrics import Metrics
from distillation_operator.controller.node_signs import NodeSigns
from distillation_operator.controller.parsed_jobs import ParsedJob, ParsedJobs
from distillation_operator.controller.pending_reasons import PendingReasons
from distillation_operator.controller.pod_events import PodEvents
from distillation_operator.controller.progress import ProgressReader
from distillation_operator.controller.queue import Key
from distillation_operator.controller.settled import Settled
from distillation_operator.controller.unwritten import Unwritten
from distillation_operator.manifests.bare_reading import bare_children, bare_pods
from distillation_operator.manifests.kinds import child_manifest
from distillation_operator.manifests.reading import observe, read_child, reporting_pods
from distillation_operator.manifests.settings import Installation
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.decision.at_rest import clean_up
from distillation_operator.pipeline.decision.internal_error import decide_on_error, internal_error
from distillation_operator.pipeline.decision.job import Creation, Decision, decide, is_over
from distillation_operator.pipeline.observed import Observed
from distillation_operator.pipeline.status.events import transitions
from distillation_operator.pipeline.status.job_status import rejected_status, unread_status

Object = Mapping[str, Any]
log = logging.getLogger(__name__)


class CreationRefused(Exception):
    """A child could not be created; the status shows why, and the queue tries again later."""


class DecisionFailed(Exception):
    """No decision was possible, by an error of ours that is logged; the status shows its id, and the queue tries again
    later."""


class StatusRefused(Exception):
    """The API server finds the status invalid that a decision has made."""


@dataclass(frozen=True)
class _Children:
    """What is seen of a job's children."""

    of: Mapping[str, list[Object]]
    """Ours, by kind."""
    strange_children: Sequence[Object] = ()
    """Jobs and JobSets that have our labels and aren't ours; only of a fresh list."""
    strange_pods: Sequence[Object] = ()


class Reconciler:
    """Brings the cluster towards what one DistillationJob asks for."""

    def __init__(
        self,
        kube: Kube,
        cache: Cache,
        progress: ProgressReader,
        pending_reasons: PendingReasons,
        pod_events: PodEvents,
        node_signs: NodeSigns,
        recorder: Recorder,
        metrics: Metrics,
        installation: Installation,
        batch_seconds: float = 0.0,
    ) -> None:
        """``batch_seconds``: how long a status may wait for what follows (see ``unwritten``)."""
        self._kube = kube
        self._cache = cache
        self._progress = progress
        self._recorder = recorder
        self._metrics = metrics
        self._installation = installation
        self._pending_reasons = pending_reasons
        self._pod_events = pod_events
        self._node_signs = node_signs
        self._problems: dict[Key, dict[str, Cause]] = {}
        self._parsed = ParsedJobs()
        self._settled = Settled()
        self._unwritten = Unwritten(batch_seconds)

    def request_fresh_lists(self, key: Key) -> None:
        """Take a fresh list of the job's children next time: a watch may have missed that one went."""
        self._cache.distrust(key)

    async def reconcile(self, key: Key) -> timedelta | None:
        """One step. Returns the time after which to look again. Raises ApiError, CreationRefused and DecisionFailed."""
        raw, now = self._cache.job(key), datetime.now(UTC)
        if raw is None:
            self._forget(key)
            ended = self._cache.ended(key)
            if ended is None or not self._cache.has_live_children(key):
                return None if ended is None else await self._clean_up(key, ended, now)
            # As after a restart at the moment of its end: what becomes of them depends on the whole of it.
            raw = await self._kube.read_job(key)
            self._cache.wake(raw)
        try:
            return await self._step(raw, key, now)
        except (ApiError, CreationRefused):
            raise
        except Exception as error:
            raise await self._decide_on(error, raw, key, now) from error

    def _forget(self, key: Key) -> None:
        self._problems.pop(key, None)
        for memory in (
            self._parsed, self._settled, self._unwritten,
            self._progress, self._pending_reasons, self._pod_events, self._node_signs,
        ):  # fmt: skip
            memory.forget(key)

    async def _clean_up(self, key: Key, ended: Ended, now: datetime) -> timedelta | None:
        children = _attempts([*self._cache.children(key, "Job"), *self._cache.children(key, "JobSet")])
        left = clean_up([read_child(child, ended.uid, []) for child in children], ended.rest.removal, now)
        await self._delete(key, left.delete)
        return left.requeue_after

    async def _step(self, raw: Object, key: Key, now: datetime) -> timedelta | None:
        try:
            parsed = self._parsed.parse(key, raw)
        except ValidationError as error:
            await self._reject_unread(raw, error, now)
            return None
        written = parsed.job.status
        job = self._unwritten.applied(key, raw, parsed.job)
        refusal = self._installation.refusal(job) or parsed.excess
        # What has ended stays as it ended, though the installation may allow less by now.
        if refusal is not None and not is_over(job):
            self._unwritten.forget(key)
            await self._reject(raw, written, refusal, now)
            return None
        decision = await self._decide(job, parsed, key, now)
        if decision.create or decision.delete:
            await self._act(job, key, decision)
            # An end stands: children that are being deleted for it don't show any more why it came.
            if not decision.is_end:
                decision = await self._decide_after(decision, job, parsed, key, now)
        else:
            self._problems.pop(key, None)
        problems = self._problems.get(key)
        if problems or decision.delete_once_written:
            self._unwritten.forget(key)
            wait = None
        else:
            wait = self._unwritten.put_off(key, raw, written, decision.status)
        if wait is not None:
            soon = timedelta(seconds=wait)
            return soon if decision.requeue_after is None else min(soon, decision.requeue_after)
        try:
            await self._write(raw, written, decision.status)
        except ApiError as answer:
            if answer.status != 422:
                raise
            self._unwritten.forget(key)
            raise StatusRefused(answer.message) from answer
        await self._delete(key, decision.delete_once_written)
        if problems:
            raise CreationRefused("; ".join(problem.message for problem in problems.values()))
        if decision.is_end:
            self._cache.settle(key)
            # Most of the jobs that there are have ended.
            self._parsed.forget(key)
        return decision.requeue_after

    async def _decide_after(
        self, acted: Decision, job: DistillationJob, parsed: ParsedJob, key: Key, now: datetime
    ) -> Decision:
        """What came of a decision's acts. What it has concluded stands: the pods that proved it may be gone by now."""
        again = await self._decide(job.model_copy(update={"status": acted.status}), parsed, key, now)
        tried = {creation.name for creation in acted.create}
        is_more_to_make = any(creation.name not in tried for creation in again.create)
        return Decision(
            status=again.status,
            delete_once_written=again.delete_once_written,
            requeue_after=timedelta(0) if is_more_to_make else again.requeue_after,
        )

    async def _decide_on(self, error: Exception, raw: Object, key: Key, now: datetime) -> DecisionFailed:
        """Tell of an error of ours, and do what must be done nevertheless."""
        mark = id_of(error)
        self._settled.forget(key)
        self._unwritten.forget(key)
        log.error("no decision is possible; id %s", mark, exc_info=error, extra={"job": key})
        failed = DecisionFailed(f"no decision is possible: {type(error).__name__}, id {mark}")
        before = _read_status(raw)
        if "deletionTimestamp" in raw["metadata"] or (before is None and raw.get("status")):
            # Going, with all that it owns; or a status that can't be read, whose facts none of ours may replace.
            return failed
        known = self._known(key) if self._cache.is_listed(key) else await self._list(key)
        decision = decide_on_error(
            raw.get("spec") or {},
            raw["metadata"]["generation"],
            before or DistillationJobStatus(),
            bare_children(raw["metadata"]["uid"], [*known.of["Job"], *known.of["JobSet"]]),
            bare_pods(known.of["Pod"]),
            internal_error(type(error).__name__, mark),
            now,
        )
        await self._delete(key, decision.delete)
        await self._write(self._cache.job(key) or raw, before, decision.status)
        return failed

    async def _decide(self, job: DistillationJob, parsed: ParsedJob, key: Key, now: datetime) -> Decision:
        """On what the watches have told, or, where that isn't enough, on fresh lists."""
        if self._cache.is_listed(key):
            observed = self._observe(parsed, key, self._known(key), fresh=False)
            settled = self._settled.decision(key, job, observed)
            if settled is not None:
                return settled
            decision = decide(job, observed, now, parsed.graph)
            if not decision.needs_fresh_lists:
                self._settled.note(key, job, observed, decision)
                return decision
        observed = self._observe(parsed, key, await self._list(key), fresh=True)
        decision = decide(job, observed, now, parsed.graph)
        self._settled.note(key, job, observed, decision)
        return decision

    def _known(self, key: Key) -> "_Children":
        return _Children({kind: self._cache.children(key, kind) for kind in RESOURCES})

    async def _list(self, key: Key) -> "_Children":
        ours: dict[str, list[Object]] = {}
        others: dict[str, list[Object]] = {}
        self._cache.begin_list(key)
        for kind in RESOURCES:
            listed = await self._kube.list_children(kind, key)
            ours[kind], others[kind] = self._cache.replace_children(key, kind, listed.items, listed.version)
        self._cache.end_list(key)
        return _Children(ours, [*others["Job"], *others["JobSet"]], others["Pod"])

    def _observe(self, parsed: ParsedJob, key: Key, seen: "_Children", fresh: bool) -> Observed:
        readings = parsed.readings.begin()
        pods, jobs = seen.of["Pod"], seen.of["Job"]
        children = _attempts([*jobs, *seen.of["JobSet"]])
        return observe(
            uid=parsed.job.metadata.uid,
            # Another's object of a name that we need is told of; what is ours wins.
            children=[*_attempts(seen.strange_children), *children],
            jobs_of_jobsets=jobs,
            pods=pods,
            progress=self._progress.known(key, reporting_pods(pods, seen.of["JobSet"])),
            last_progress=self._progress.last(key, [child["metadata"].get("uid", "") for child in children]),
            creation_failures=self._problems.get(key, {}),
            pending_reasons=self._pending_reasons.known(key, children, jobs, pods),
            fresh=fresh,
            begun=_copied(self._cache.begun_stages(key)),
            at_work=self._cache.at_work(key),
            strangers=seen.strange_pods,
            pod_events=self._pod_events.known(key, pods),
            node_signs=self._node_signs.known(key, pods),
            of_pod=readings.pod,
            of_child=readings.child,
        )

    async def _act(self, job: DistillationJob, key: Key, decision: Decision) -> None:
        await self._delete(key, decision.delete)
        made = [self._create(job, key, creation) for creation in decision.create]
        # All are tried, and none is left to itself, though one may fail by the answer of a second call.
        outcomes = await asyncio.gather(*made, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        tried = zip(decision.create, outcomes, strict=True)
        self._problems[key] = {creation.name: problem for creation, problem in tried if isinstance(problem, Cause)}

    async def _delete(self, key: Key, names: Iterable[str]) -> None:
        for name in names:
            for kind in ("Job", "JobSet"):
                child = self._cache.child(key, kind, name)
                if child is not None:
                    log.info("deleting %s %s", kind, name, extra={"job": key})
                    await self._kube.delete_child(kind, key[0], name, child["metadata"]["uid"])

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
        await self._write(raw, status, rejected_status(status, raw["metadata"]["generation"], cause, now))

    async def _reject_unread(self, raw: Object, error: ValidationError, now: datetime) -> None:
        """Tell why nothing follows from an object that this operator can't read. A status that it can't read is kept:
        its facts are for those who can, as the operator that wrote it.
        """
        if (raw.get("status") or {}).get("phase") in ("Complete", "Failed"):
            return
        status = _read_status(raw)
        if status is not None or not raw.get("status"):
            await self._reject(raw, status, Cause.of(reasons.INVALID_SPEC, str(error)), now)
            return
        of_status_alone = all(problem["loc"][:1] == ("status",) for problem in error.errors())
        reason = reasons.STATUS_UNREADABLE if of_status_alone else reasons.INVALID_SPEC
        kept = unread_status(raw["status"], raw["metadata"]["generation"], Cause.of(reason, str(error)), now)
        if kept != raw["status"]:
            self._cache.put_job(await self._kube.write_status(raw, kept))

    async def _write(self, raw: Object, before: DistillationJobStatus | None, after: DistillationJobStatus) -> None:
        status = after.to_json_dict()
        if status == raw.get("status"):
            return
        written = await self._kube.write_status(raw, status)
        self._cache.put_job(written)
        self._parsed.note_status(_key(raw), written.get("status"), after)
        try:
            self._metrics.tell_stages(before, after)
            for event in transitions(before, after):
                self._recorder.tell(raw, event)
        except Exception:
            # The status stands and has it all.
            log.exception("metrics or Events are not told", extra={"job": _key(raw)})


def _copied(stages: Set[str] | None) -> frozenset[str] | None:
    return None if stages is None else frozenset(stages)


def _attempts(children: Iterable[Object]) -> list[Object]:
    return [child for child in children if not is_made_by_jobset(child)]


def _key(raw: Object) -> Key:
    return raw["metadata"]["namespace"], raw["metadata"]["name"]


def _read_status(raw: Object) -> DistillationJobStatus | None:
    try:
        return DistillationJobStatus.model_validate(raw.get("status"))
    except ValidationError:
        return None
