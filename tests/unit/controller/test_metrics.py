"""What Prometheus is told."""

import asyncio
from datetime import datetime
from typing import Any

from prometheus_client import generate_latest

from distillation_api.status import DistillationJobStatus, StageStatus
from distillation_operator.controller.metrics import PHASES, Metrics
from distillation_operator.controller.probes import Probes
from support.scenario import START
from support.virtual_time import now, run


def sample(metrics: Metrics, metric: str, /, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(metric, labels)


def job(name: str, phase: str | None, stages: list[dict[str, Any]], **spec: Any) -> dict[str, Any]:
    status = {"phase": phase, "stages": stages} if phase else None
    return {"metadata": {"namespace": "ml", "name": name}, "spec": spec, "status": status}


def test_jobs_are_told_as_they_are_at_the_scrape() -> None:
    metrics, jobs = Metrics(), list[Any]()
    metrics.watch_jobs(lambda: jobs)
    assert sample(metrics, "distillation_jobs", phase="Running") == 0
    stage = {"name": "train-one", "state": "Running", "progress": {"done": 3, "total": 4, "unit": "steps"}}
    chips = {"chipSeconds": 7200, "chipSecondsIdle": {"compile": 1800}}
    jobs += [
        job("new", None, []),
        job("busy", "Running", [{**stage, **chips}], budget={"maxChipHours": 10}),
    ]
    assert sample(metrics, "distillation_jobs", phase="Running") == 1
    assert sample(metrics, "distillation_jobs", phase="Pending") == 1
    assert sample(metrics, "distillation_job_chip_hours", namespace="ml", name="busy") == 2
    assert sample(metrics, "distillation_job_idle_chip_hours", namespace="ml", name="busy", part="compile") == 0.5
    assert sample(metrics, "distillation_job_budget_chip_hours", namespace="ml", name="busy") == 10
    assert sample(metrics, "distillation_stage_progress_ratio", namespace="ml", name="busy", stage="train-one") == 0.75
    jobs.clear()
    assert sample(metrics, "distillation_job_chip_hours", namespace="ml", name="busy") is None


def test_a_status_that_makes_no_sense_does_not_break_the_scrape() -> None:
    metrics = Metrics()
    metrics.watch_jobs(lambda: [{"metadata": {"namespace": "ml", "name": "odd"}, "status": {"stages": 3}}])
    assert b"distillation_jobs" in generate_latest(metrics.registry)


def ended(state: str, seconds: int) -> DistillationJobStatus:
    times = {"start_time": _text(0), "completion_time": _text(seconds)}
    return DistillationJobStatus(stages=[StageStatus(name="train-my-own-name", state=state, **times)])


def _text(seconds: int) -> str:
    return datetime.fromtimestamp(START.timestamp() + seconds, START.tzinfo).isoformat()


def test_a_stage_is_counted_once_when_it_ends() -> None:
    metrics = Metrics()
    running = DistillationJobStatus(stages=[StageStatus(name="train-my-own-name", state="Running")])
    metrics.tell_stages(None, running)
    metrics.tell_stages(running, ended("Complete", 90))
    metrics.tell_stages(ended("Complete", 90), ended("Complete", 90))
    assert sample(metrics, "distillation_stage_seconds_count", stage="train", state="Complete") == 1
    assert sample(metrics, "distillation_stage_seconds_sum", stage="train", state="Complete") == 90


def test_a_job_that_has_ended_has_no_series_of_its_own() -> None:
    metrics = Metrics()
    ended = {"name": "train-one", "state": "Complete", "chipSeconds": 7200}
    metrics.watch_jobs(lambda: [job(phase, phase, [ended], budget={"maxChipHours": 10}) for phase in PHASES])
    told = generate_latest(metrics.registry).decode()
    assert [phase for phase in PHASES if f'name="{phase}"' in told] == ["Pending", "Queued", "Running", "Suspended"]
    assert sample(metrics, "distillation_jobs", phase="Complete") == 1


def test_whoever_asks_often_gets_the_same_metrics_again() -> None:
    """Each rendering of five thousand jobs would take the operator's only thread for a fifth of a second."""

    async def scenario() -> tuple[int, int]:
        metrics, rendered = Metrics(), list[float]()

        def jobs() -> list[Any]:
            rendered.append(now())
            return []

        async def well() -> str | None:
            return None

        metrics.watch_jobs(jobs)
        probes = Probes(metrics, well, well)
        rendered.clear()
        for _ in range(600):
            assert b"distillation_jobs" in probes.render()
            await asyncio.sleep(0.1)
        return len(rendered), len(set(rendered))

    often, moments = run(scenario())
    assert often == moments <= 13
