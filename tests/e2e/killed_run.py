"""The demo's job, run once for all tests that look at what came of it; operator and pods are killed on the way."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.operator_process import OperatorProcess
from demo.places import NAMESPACE, Place
from demo.result import result_of, summary_lines, write_result
from distillation_stages.maxtext.checkpoints import steps_in
from support.eventually import eventually

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLE = CHECKOUT / "examples" / "smollm2-cpu.yaml"
JOB = "smollm2-cpu"
MINUTE = 60.0


@dataclass
class Run:
    """What the test saw of one run."""

    job: dict[str, Any] = field(default_factory=dict)
    chunks_before_kill: dict[Path, int] = field(default_factory=dict)
    """Modification time, in nanoseconds, of the chunks that stood when the generation pod was killed."""
    checkpoint_before_kill: int = 0
    training_log: str = ""
    """Log of the lead pod of the attempt after the killed one."""

    def stage(self, name: str) -> dict[str, Any]:
        """A stage's status."""
        return next(dict(stage) for stage in self.job["status"]["stages"] if stage["name"] == name)


def run_with_kills(place: Place) -> Run:
    """The whole run, with its four killings."""
    operator = OperatorProcess(place.kubeconfig, CHECKOUT / "build" / "e2e" / "operator.log", NAMESPACE)
    operator.start()
    seen = Run()
    try:
        place.kubectl("apply", "-f", str(EXAMPLE))
        _kill_while_generating(place, operator, seen)
        _kill_while_training(place, operator, seen)
        eventually("the job's end", lambda: _phase(place) in ("Complete", "Failed"), 25 * MINUTE)
        seen.job = place.kubectl.get("distillationjob", JOB) or {}
        result = result_of(seen.job)
        write_result(result, CHECKOUT / "build" / "e2e" / "result.json")
        print("\n".join(summary_lines(result)), flush=True)
        return seen
    finally:
        operator.stop()


def _kill_while_generating(place: Place, operator: OperatorProcess, seen: Run) -> None:
    """The operator at the first chunk; then, with no operator about, the pod of the shard that wrote it."""
    first = eventually("a chunk", lambda: next(iter(_chunks(place)), None), 10 * MINUTE)
    operator.kill()
    shard = int(first.parent.name.removeprefix("shard-"))
    seen.chunks_before_kill = {path: path.stat().st_mtime_ns for path in _chunks(place) if path.parent == first.parent}
    selector = f"distillation.dev/stage=generate,batch.kubernetes.io/job-completion-index={shard}"
    place.kubectl("delete", "pod", "-l", selector, "--grace-period=1", "--wait=false")
    operator.start()


def _kill_while_training(place: Place, operator: OperatorProcess, seen: Run) -> None:
    """The operator at the first training stage's first real checkpoint, then one of the two training pods."""
    # MaxText saves its first step too; that one would prove little.
    seen.checkpoint_before_kill = eventually("a checkpoint", lambda: _newest_checkpoint(place, after=1), 20 * MINUTE)
    operator.kill()
    operator.start()
    pods = place.kubectl.list("pod", "distillation.dev/stage=train-teacher-data,distillation.dev/attempt=0")
    assert len(pods) == 2, "the first training stage runs on two pods"
    place.kubectl("delete", "pod", pods[1]["metadata"]["name"], "--grace-period=1", "--wait=false")
    attempt = "distillation.dev/stage=train-teacher-data,distillation.dev/attempt=1"
    lead = f"{attempt},batch.kubernetes.io/job-completion-index=0"

    def next_attempt() -> str | None:
        pods = place.kubectl.list("pod", lead)
        running = [pod for pod in pods if pod["status"]["phase"] in ("Running", "Succeeded")]
        return str(running[0]["metadata"]["name"]) if running else None

    name = eventually("the next attempt's pod", next_attempt, 5 * MINUTE)
    eventually("its first progress line", lambda: '"progress"' in place.kubectl("logs", name), 5 * MINUTE)
    seen.training_log = place.kubectl("logs", name)


def chunks_in(storage: Path) -> list[Path]:
    """The chunks of the teacher's answers that stand in a storage."""
    return sorted(storage.glob("distillation/generate/*/shard-*/chunk-*.parquet"))


def _chunks(place: Place) -> list[Path]:
    assert place.storage is not None
    return chunks_in(place.storage)


def _newest_checkpoint(place: Place, after: int) -> int | None:
    """The step of the first training stage's newest whole checkpoint, if it is greater than ``after``."""
    assert place.storage is not None
    folders = place.storage.glob("distillation/train-teacher-data/*/run/checkpoints")
    return max((step for folder in folders for step in steps_in(folder) if step > after), default=None)


def _phase(place: Place) -> str:
    job = place.kubectl.get("distillationjob", JOB) or {}
    return str((job.get("status") or {}).get("phase"))
