"""What the pods of a stage have said, as its status holds it."""

from collections.abc import Mapping, Sequence
from posixpath import commonprefix

from distillation_api import reasons
from distillation_api.contract import (
    DIRECTORY_RENAME,
    MEASURED,
    EvaluateProgram,
    FetchProgram,
    Measurements,
    PrepareProgram,
    Program,
    Progress,
    StageFailure,
    StageResult,
)
from distillation_api.status import StageProgress, StageStatus
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.status.pen import VALUE_LIMIT, decimals, limited, rewrite_stage


def with_progress(status: StageStatus, lines: Sequence[Progress]) -> StageStatus:
    """The stage with the last progress line of each of its pods, which are all at the same."""
    furthest = max(lines, key=lambda line: line.done)
    # Printed by a program: it need not make sense.
    total = max(furthest.total, 0)
    done = min(max(furthest.done, 0), total) if total else max(furthest.done, 0)
    rate = furthest.rate or 0
    progress = StageProgress(done=done, total=total, unit=lines[0].unit, rate=f"{rate:.3g}" if rate else None)
    return rewrite_stage(status, progress=progress, metrics=decimals(furthest.metrics) or status.metrics)


def with_results(status: StageStatus, results: Sequence[StageResult]) -> StageStatus:
    """The stage with the results of its pods: counts are added up, outputs name all, the rest is the first's."""
    counts: dict[str, int] = {}
    for result in results:
        for name, count in result.counts.items():
            counts[name] = counts.get(name, 0) + count
        for name, count in _of_the_cache(result).items():
            counts[name] = counts.get(name, 0) + count
    first = results[0]
    return rewrite_stage(
        status,
        reused=all(result.reused for result in results),
        outputs=limited({name: _of_all(name, path, results)[:VALUE_LIMIT] for name, path in first.outputs.items()})
        or None,
        counts=limited(counts) or None,
        metrics=decimals(first.metrics) or None,
    )


def with_findings(status: StageStatus, failure: StageFailure | None) -> StageStatus:
    """The stage with what its program has made and measured though it gives up, as a report of scores too low."""
    if failure is None:
        return status
    outputs = limited({name: path[:VALUE_LIMIT] for name, path in (failure.outputs or {}).items()})
    metrics = decimals(failure.metrics or {})
    return rewrite_stage(status, outputs=outputs or status.outputs, metrics=metrics or status.metrics)


def _of_all(name: str, path: str, results: Sequence[StageResult]) -> str:
    """One path for an output of several pods, with a star for what differs: ``generate/HASH/shard-*``."""
    paths = [result.outputs.get(name, path).split("/") for result in results]
    if len({len(parts) for parts in paths}) > 1:
        return path
    return "/".join(_pattern(set(parts)) for parts in zip(*paths, strict=True))


def _pattern(names: set[str]) -> str:
    return names.pop() if len(names) == 1 else f"{commonprefix([*names])}*"


def with_seconds(status: StageStatus, result: StageResult) -> StageStatus:
    """The stage of a preview with the time that its program has taken, also where another job's preview was found."""
    # A pod's number may be none that a metric can be.
    seconds = Measurements.read({f"{MEASURED}seconds": f"{result.seconds:.6g}"}).metrics()
    return rewrite_stage(status, metrics={**decimals(seconds), **(status.metrics or {})} or None)


def _of_the_cache(result: StageResult) -> dict[str, int]:
    """Compiled programs that the start has found, and that it hasn't, where it has looked for any."""
    start = result.start_up
    if start is None or not (start.cache_hits or start.cache_misses):
        return {}
    return {"compileCacheHits": start.cache_hits, "compileCacheMisses": start.cache_misses}


_DIRECTORY_RENAMES = {
    "AtOnce": Cause("", "The storage renames directories atomically."),
    "FileByFile": Cause.of(
        reasons.NO_ATOMIC_DIRECTORY_RENAME,
        "The storage renames a directory file by file, and leaves halves where that is interrupted. Checkpoints don't "
        "need it; what else renames directories there does. A bucket with a hierarchical namespace renames at once.",
    ),
    "Refused": Cause.of(
        reasons.NO_ATOMIC_DIRECTORY_RENAME,
        "The storage refuses to rename a directory. No stage needs it; what else does there will fail. A bucket with a "
        "hierarchical namespace renames at once.",
    ),
}


def completion_cause(program: Program, result: StageResult) -> Cause | None:
    """What a user may want to know of a stage that is complete, with a reason where it is a warning."""
    match program:
        case FetchProgram(for_max_text=True):
            message = _maxtext_name(program, result)
            return Cause("", message) if message else None
        case PrepareProgram():
            # A program of another version may say what isn't known here.
            return _DIRECTORY_RENAMES.get(str(result.settings.get(DIRECTORY_RENAME)))
        case EvaluateProgram() if result.metrics.get("degenerateAfter"):
            return Cause.of(reasons.DEGENERATE_ANSWERS, _degeneration(result.metrics))
        case _:
            return None


def _maxtext_name(program: FetchProgram, result: StageResult) -> str | None:
    """MaxText's name of a model, and where it is from."""
    if program.max_text_model is not None:
        return f"MaxText runs it as {program.max_text_model}, as maxTextModel says."
    found = result.settings.get("model_name")
    return f"MaxText runs it as {found}, found from config.json." if found is not None else None


def _degeneration(metrics: Mapping[str, float]) -> str:
    """The student's answers beside the teacher's; a figure that the program hasn't reported is left out."""
    shown = {
        "median length in tokens": ("answerTokens", "{:.6g}"),
        "share that ends by itself": ("endsByItself", "{:.0%}"),
        "share of repeated n-grams": ("repetition", "{:.0%}"),
    }
    figures = [
        f"{text} {form.format(metrics[f'{name}After'])}, the teacher's {form.format(metrics[f'{name}Teacher'])}"
        for text, (name, form) in shown.items()
        if f"{name}After" in metrics and f"{name}Teacher" in metrics
    ]
    return f"The student's answers degenerate: {'; '.join(figures)}. The report has them."
