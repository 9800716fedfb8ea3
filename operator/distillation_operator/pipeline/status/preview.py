"""What a preview has found, from the results of its stages; and from that, what all after it will take.

Each stage is taken to last as long as its preview, and for each answer, step or row more as long as the preview has
measured one to take. So loading and compiling are counted once, as they happen. The stages after the preview run in the
order of the graph; what takes longest of those side by side is what is waited for.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from distillation_api import reasons
from distillation_api.contract import EvaluateProgram, GenerateProgram, Measurements, PackProgram, TrainProgram
from distillation_api.status import Fact, PreviewStatus, StageStatus
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.graph import Pipeline
from distillation_operator.pipeline.names import PREVIEW
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.stages.pack import packed_for
from distillation_operator.pipeline.status.chip_hours import SECONDS_PER_HOUR, chip_hours
from distillation_operator.pipeline.status.preview_facts import fact_of_storage, facts_of
from distillation_operator.pipeline.status.times import parse_time

GO_ON = "Set spec.preview.then to Continue to go on."
_GIB = 1 << 30
_LONGEST = 100 * 365 * 24 * SECONDS_PER_HOUR
"""Seconds; what takes longer is as good as unknown."""
_SHORTEST_STEP = 1e-6
"""Seconds; no step is as quick, whatever a pod says."""


@dataclass(frozen=True)
class _Tried:
    """A stage of the preview that is complete."""

    stage: Stage
    status: StageStatus
    found: Measurements

    @property
    def pod_seconds(self) -> float:
        """From the first pod's creation to the end, less the program's own time: queue, node, image, mounts."""
        started, ended = self.status.start_time, self.status.completion_time
        if self.status.reused or started is None or ended is None:
            return 0.0
        return max(0.0, (parse_time(ended) - parse_time(started)).total_seconds() - self.seconds)

    @property
    def seconds(self) -> float:
        """Of the program."""
        return self.found.seconds or 0.0


def preview_status(pipeline: Pipeline, stages: Mapping[str, StageStatus]) -> PreviewStatus | None:
    """What is known so far; None without a preview."""
    if pipeline.preview is None:
        return None
    tried = {
        stage.name: _Tried(stage, status, Measurements.read(status.metrics or {}))
        for stage in pipeline.values()
        if stage.is_of_preview and (status := stages[stage.name]).state == "Complete"
    }
    generated = tried.get(f"{PREVIEW}generate")
    ends = _Estimate(pipeline, stages, tried, generated).of_all() if pipeline.preview.name in tried else None
    return PreviewStatus(
        accepted_share=_decimal(_accepted(generated)),
        teacher_tokens_per_second=((generated.status.metrics or {}) if generated else {}).get("tokensPerSecond"),
        training_tokens_per_second={
            name.removeprefix(f"{PREVIEW}train-"): f"{tokens:.6g}"
            for name, one in tried.items()
            if (tokens := _training_tokens(one)) is not None
        }
        or None,
        estimated_seconds=math.ceil(ends[0]) if ends else None,
        estimated_chip_hours=chip_hours(math.ceil(ends[1])) if ends else None,
        memory_gib=_gib({name: one.found.host_memory for name, one in tried.items()}),
        device_memory_gib=_gib({name: one.found.device_memory for name, one in tried.items()}),
        facts=[*fact_of_storage(stages[pipeline.prepare_dataset.name]), *_facts(tried)],
    )


def _facts(tried: Mapping[str, _Tried]) -> list[Fact]:
    """What was found, once for all stages of a kind that have found it alike: a status has to stay small."""
    found: dict[tuple[str, str, str], Fact] = {}
    for one in tried.values():
        for fact in facts_of(one.status, one.found, one.stage.placement):
            found.setdefault((one.stage.program.kind, fact.name, fact.value), fact)
    return list(found.values())


def previewed(pipeline: Pipeline, stages: Mapping[str, StageStatus], found: PreviewStatus | None) -> Cause | None:
    """Whether the preview is complete, with its figures; None without one."""
    if pipeline.preview is None or found is None:
        return None
    if stages[pipeline.preview.name].state != "Complete":
        return Cause.of(reasons.PREVIEW_RUNS, "Stages of the preview aren't complete.")
    return Cause.of(reasons.PREVIEW_DONE, f"The preview is complete: {figures(found)}.")


def figures(found: PreviewStatus) -> str:
    """For people, in one line."""
    told = []
    if found.accepted_share is not None:
        told.append(f"{float(found.accepted_share):.0%} of the answers accepted")
    if found.teacher_tokens_per_second is not None:
        told.append(f"teacher {found.teacher_tokens_per_second} tokens/s a shard")
    for name, tokens in (found.training_tokens_per_second or {}).items():
        told.append(f"train-{name} {tokens} tokens/s")
    if found.estimated_seconds is not None:
        told.append(f"the rest takes about {duration(found.estimated_seconds)}")
        told.append(f"{found.estimated_chip_hours} chip-hours")
    odd = [f"{fact.name} of {fact.stage} is {fact.value}" for fact in found.facts if fact.as_expected is False]
    return ", ".join(told or ["nothing was measured"]) + ("; not as expected: " + ", ".join(odd) if odd else "")


def duration(seconds: int) -> str:
    """Days, hours and minutes; a short one in seconds."""
    if seconds < 120:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


@dataclass(frozen=True)
class _Estimate:
    """What the stages after the preview take."""

    pipeline: Pipeline
    stages: Mapping[str, StageStatus]
    tried: Mapping[str, _Tried]
    generated: _Tried | None

    def of_all(self) -> tuple[float, float] | None:
        """Seconds until all have ended, and chip-seconds; None where a stage measured nothing."""
        ends: dict[str, float] = {}
        chip_seconds = 0.0
        for stage in self.pipeline.values():
            before = max((ends.get(need, 0.0) for need in stage.needs), default=0.0)
            tried = self.tried.get(_preview_of(stage))
            if stage.is_of_preview or tried is None:
                # Done already; or a copy of the student to where users want it, which nobody has tried.
                ends[stage.name] = before
                continue
            seconds = self._seconds(stage, tried)
            if seconds is None:
                return None
            ends[stage.name] = before + tried.pod_seconds + seconds
            chip_seconds += seconds * stage.placement.chips * _shards(stage)
        last = max(ends.values())
        return (last, chip_seconds) if last <= _LONGEST else None

    def _seconds(self, stage: Stage, tried: _Tried) -> float | None:
        """Of the stage's programs."""
        match stage.program:
            case GenerateProgram() | TrainProgram() | EvaluateProgram() as program:
                units = self._units(stage)
                done, each = tried.found.units, tried.found.unit_seconds
                if units is None or done is None or each is None:
                    return None
                seconds = tried.seconds + (units - done) * each
                # The preview's evaluation has scored no student in between.
                more = len(program.between) / 3 if isinstance(program, EvaluateProgram) else 0.0
                return max(0.0, seconds) * (1 + more)
            case _:
                return tried.seconds

    def _units(self, stage: Stage) -> float | None:
        match stage.program:
            case GenerateProgram() as program:
                rows = self._rows("holdout")
                if not program.holdout_only:
                    rows += self._rows("train") * program.sampling.samples_per_prompt
                return math.ceil(rows / program.shards)
            case TrainProgram() as program:
                packed = packed_for(program, self.pipeline)
                assert isinstance(packed.program, PackProgram)
                return packed.program.steps or self._steps(packed, packed.program)
            case _:
                return self._rows("holdout") * _accepted_share(self.generated)

    def _steps(self, packed: Stage, program: PackProgram) -> float | None:
        """Of a training that reads its rows a number of times: as densely packed as the preview's."""
        tried = self.tried.get(_preview_of(packed))
        counts = (tried.status.counts or {}) if tried else {}
        read = counts.get("rowsRead")
        if not read:
            return None
        rows = self._rows("train")
        generate = self.pipeline.generate.program
        if program.data.kind == "TeacherCompletions" and isinstance(generate, GenerateProgram):
            rows *= generate.sampling.samples_per_prompt * _accepted_share(self.generated)
        sequences = rows * (program.epochs or 1) * counts.get("sequences", 0) / read
        return max(1.0, sequences // program.sequences_per_step)

    def _rows(self, split: str) -> float:
        prepared = self.stages[self.pipeline.prepare_dataset.name]
        return max(0.0, float((prepared.counts or {}).get(split, 0)))


def _preview_of(stage: Stage) -> str:
    """The name of the stage of the preview that did the same; exports in between are like the last one."""
    return f"{PREVIEW}export" if stage.program.kind == "export" else PREVIEW + stage.name


def _shards(stage: Stage) -> int:
    return stage.program.shards if isinstance(stage.program, GenerateProgram) else 1


def _accepted(generated: _Tried | None) -> float | None:
    counts = (generated.status.counts or {}) if generated else {}
    read, kept = counts.get("read", 0), counts.get("kept", 0)
    # A pod's words: they need not close.
    return min(1.0, max(0.0, (kept + counts.get("duplicates", 0)) / read)) if read > 0 else None


def _accepted_share(generated: _Tried | None) -> float:
    share = _accepted(generated)
    return 1.0 if share is None else share


def _training_tokens(tried: _Tried) -> float | None:
    program, each = tried.stage.program, tried.found.unit_seconds
    if not isinstance(program, TrainProgram) or each is None or each < _SHORTEST_STEP:
        return None
    return program.sequences_per_step * program.max_target_length / each


def _gib(sizes: Mapping[str, float | None]) -> dict[str, str] | None:
    return {name: f"{number / _GIB:.3g}" for name, number in sizes.items() if number is not None} or None


def _decimal(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"
