"""What Prometheus reads: of the jobs, from the cache at each scrape; of the operator's own work, counted as it goes."""

from collections import Counter as Count
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import ValidationError

from distillation_api.status import DistillationJobStatus
from distillation_operator.pipeline.status.chip_hours import SECONDS_PER_HOUR, chip_seconds
from distillation_operator.pipeline.status.idle_chips import idle_seconds
from distillation_operator.pipeline.status.times import parse_time

PREFIX = "distillation"
PHASES = ("Pending", "Queued", "Running", "Suspended", "Complete", "Failed")
ENDED = ("Complete", "Failed")
_STAGE_SECONDS = (10, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 3 * 24 * 3600, 7 * 24 * 3600)

Object = Mapping[str, Any]


class Metrics:
    """The operator's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconcile_seconds = Histogram(
            f"{PREFIX}_reconcile_seconds", "Time that one reconcile of a job took.", registry=self.registry
        )
        self.reconcile_errors = Counter(
            f"{PREFIX}_reconcile_errors",
            "Reconciles that failed and are tried again.",
            ["reason"],
            registry=self.registry,
        )
        self.api_calls = Counter(
            f"{PREFIX}_api_calls",
            "Calls to the API server; code 0: not reached.",
            ["verb", "resource", "code"],
            registry=self.registry,
        )
        self.side_calls = Counter(
            f"{PREFIX}_side_calls",
            "Calls for log tails, Events and queues' words, which no decision waits for, by what came of them.",
            ["result"],
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            f"{PREFIX}_stage_seconds",
            "Time from a stage's start to its end.",
            ["stage", "state"],
            buckets=_STAGE_SECONDS,
            registry=self.registry,
        )
        self.leads = Gauge(f"{PREFIX}_leader", "1 while this replica acts.", registry=self.registry)

    def watch_queue(self, depth: Callable[[], int]) -> None:
        """Report the number of jobs that wait for a worker."""
        gauge = Gauge(f"{PREFIX}_queue_depth", "Jobs that wait for a worker.", registry=self.registry)
        gauge.set_function(depth)

    def watch_cache(self, size: Callable[[], int]) -> None:
        """Report the number of objects that are remembered."""
        gauge = Gauge(f"{PREFIX}_cached_objects", "Objects that are remembered.", registry=self.registry)
        gauge.set_function(size)

    def watch_jobs(self, jobs: Callable[[], list[Object]], ended_phases: Callable[[], Iterable[str]] = tuple) -> None:
        """Report the jobs that there are at a scrape, and the phases of those at rest."""
        self.registry.register(_Jobs(jobs, ended_phases))

    def tell_stages(self, before: DistillationJobStatus | None, after: DistillationJobStatus) -> None:
        """Count the stages that have ended between two statuses of a job."""
        states = {stage.name: stage.state for stage in (before.stages if before else [])}
        for stage in after.stages:
            ended = stage.state in ("Complete", "Failed") and states.get(stage.name) != stage.state
            if ended and stage.start_time and stage.completion_time:
                took = parse_time(stage.completion_time) - parse_time(stage.start_time)
                # Training stages have names of the users': the kind is enough.
                kind = stage.name.split("-")[0]
                self.stage_seconds.labels(kind, stage.state).observe(took.total_seconds())


class _Jobs(Collector):
    def __init__(self, jobs: Callable[[], list[Object]], ended_phases: Callable[[], Iterable[str]]) -> None:
        self._jobs = jobs
        self._ended_phases = ended_phases

    def collect(self) -> Iterable[Metric]:
        phases = GaugeMetricFamily(f"{PREFIX}_jobs", "DistillationJobs by phase.", labels=["phase"])
        hours = GaugeMetricFamily(
            f"{PREFIX}_job_chip_hours", "TPU chip-hours that a job has used.", labels=["namespace", "name"]
        )
        idle = GaugeMetricFamily(
            f"{PREFIX}_job_idle_chip_hours",
            "Those of the chip-hours before the pods' first tokens or steps, by what they went to.",
            labels=["namespace", "name", "part"],
        )
        budget = GaugeMetricFamily(
            f"{PREFIX}_job_budget_chip_hours", "TPU chip-hours that a job may use.", labels=["namespace", "name"]
        )
        progress = GaugeMetricFamily(
            f"{PREFIX}_stage_progress_ratio",
            "How far a running stage is, from 0 to 1.",
            labels=["namespace", "name", "stage"],
        )
        count = Count(self._ended_phases())
        for job in self._jobs():
            phase = _phase(job)
            count[phase] += 1
            if phase in ENDED:
                # Its status tells; series that never end would grow with every job that there has been.
                continue
            labels = [job["metadata"]["namespace"], job["metadata"]["name"]]
            status = _status(job)
            hours.add_metric(labels, chip_seconds(status.stages) / SECONDS_PER_HOUR)
            for part, seconds in idle_seconds(status.stages).items():
                idle.add_metric([*labels, part], seconds / SECONDS_PER_HOUR)
            limit = ((job.get("spec") or {}).get("budget") or {}).get("maxChipHours")
            if limit is not None:
                budget.add_metric(labels, float(limit))
            for stage in status.stages:
                if stage.state == "Running" and stage.progress is not None and stage.progress.total:
                    progress.add_metric([*labels, stage.name], stage.progress.done / stage.progress.total)
        for phase in PHASES:
            phases.add_metric([phase], count[phase])
        return [phases, hours, idle, budget, progress]


def _phase(job: Object) -> str:
    status = job.get("status")
    phase = status.get("phase") if isinstance(status, Mapping) else None
    return phase if phase in PHASES else "Pending"


def _status(job: Object) -> DistillationJobStatus:
    try:
        return DistillationJobStatus.model_validate(job.get("status") or {})
    except ValidationError:
        return DistillationJobStatus()
