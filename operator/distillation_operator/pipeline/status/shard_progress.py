"""Progress of a generation over all of its shards, and no row back: shards end, pods are lost and begin again."""

from collections.abc import Mapping, Sequence

from distillation_api.contract import Progress, StageResult
from distillation_api.status import StageProgress, StageStatus
from distillation_operator.pipeline.status.pen import decimals, rewrite_stage


def with_shard_progress(
    status: StageStatus,
    shards: int,
    running: Sequence[Progress],
    last: Mapping[int, Progress],
    results: Mapping[int, StageResult],
) -> StageStatus:
    """The stage with what its shards have done together.

    ``running``: the last lines of pods that run; ``last``: the last line of each shard, its pod gone or not;
    ``results``: of the shards that are done. A shard that nothing is known of has as much to do as the largest other.
    """
    counted = {index: _of_line(line) for index, line in last.items() if 0 <= index < shards}
    counted |= {index: _of_result(result) for index, result in results.items() if 0 <= index < shards}
    if not counted:
        return status
    largest = max(total for _, total in counted.values())
    total = sum(total for _, total in counted.values()) + (shards - len(counted)) * largest
    done = sum(done for done, _ in counted.values())
    rate = sum(line.rate or 0 for line in running)
    unit = next((line.unit for line in (*running, *last.values())), "rows")
    progress = StageProgress(
        done=_not_before(status.progress, done, total), total=total, unit=unit, rate=f"{rate:.3g}" if rate else None
    )
    furthest = max(running, key=lambda line: line.done, default=None)
    metrics = decimals(furthest.metrics) if furthest is not None else {}
    return rewrite_stage(status, progress=progress, metrics=metrics or status.metrics)


def _of_line(line: Progress) -> tuple[int, int]:
    """Done and total. Printed by a program: it need not make sense."""
    total = max(line.total, 0)
    return min(max(line.done, 0), total), total


def _of_result(result: StageResult) -> tuple[int, int]:
    answered = max(result.counts.get("read", 0), 0)
    return answered, answered


def _not_before(before: StageProgress | None, done: int, total: int) -> int:
    """Rows that are done, at least those that were. What a lost pod had at work is answered again, and counted once.

    In rows and not by share: where there comes to be more to do, no more has been done.
    """
    return min(max(done, before.done if before is not None else 0), total)
