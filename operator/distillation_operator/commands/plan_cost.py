"""What a plan costs: the work of generation and training, and at given rates its time and chip-hours."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from distillation_api.resource import DistillationJob
from distillation_api.spec import DistillationJobSpec
from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.words import duration
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.stages.pack import packed_for
from distillation_operator.pipeline.status.chip_hours import SECONDS_PER_HOUR

Pipeline = Mapping[str, Stage]


def where_rates_are(stages: Iterable[str]) -> list[str]:
    """How time and chip-hours are got too, of these stages."""
    options = " ".join(f"--rate {stage}=NUMBER" for stage in stages)
    return [
        f"For time and chip-hours too: plan FILE {options}",
        "NUMBER is answers or steps per second, as watch shows them while a stage runs. Of a finished job: counts.kept "
        "or counts.steps of the stage in its status, divided by the seconds from startTime to completionTime.",
    ]


@dataclass(frozen=True)
class Work:
    """What one stage has to do."""

    amount: int
    unit: str
    """answers or steps."""
    is_limit: bool = False
    """True where it may be less: several short conversations share a sequence."""

    def __str__(self) -> str:
        return f"{'at most ' if self.is_limit else ''}{self.amount:,} {self.unit}"


def chips(stage: Stage) -> int:
    """Chips of a stage, all shards counted."""
    return stage.placement.chips * shards(stage)


def shards(stage: Stage) -> int:
    """Independent parts of a stage."""
    return stage.program.shards if stage.program.kind == "generate" else 1


def known_work(spec: DistillationJobSpec, pipeline: Pipeline) -> dict[str, Work]:
    """The work of all stages of which it is known before anything has run, by stage; that of a preview left out."""
    known = {}
    for stage in pipeline.values():
        if not stage.is_of_preview and stage.program.kind in ("generate", "train"):
            try:
                known[stage.name] = work(spec, stage, pipeline)
            except CommandError:
                continue
    return known


def cost(job: DistillationJob, pipeline: Pipeline, rates: Mapping[str, float]) -> list[str]:
    """Time and chip-hours at these rates, and at worst. Raises CommandError for a stage whose work isn't known."""
    seconds: dict[str, float] = {}
    for name, rate in rates.items():
        if name not in pipeline:
            raise CommandError(f"--rate {name}: no such stage; there are {', '.join(pipeline)}")
        seconds[name] = work(job.spec, pipeline[name], pipeline).amount / rate
    hours = {name: chips(pipeline[name]) * value / SECONDS_PER_HOUR for name, value in seconds.items()}
    total = sum(hours.values())
    failures = job.spec.retries.failures
    budget = job.spec.budget
    limit = f"; budget.maxChipHours is {budget.max_chip_hours:g}" if budget else "; there is no budget"
    times = ", ".join(f"{name} {duration(value)}" for name, value in seconds.items())
    together = f"; {duration(sum(seconds.values()))} one after another" if len(seconds) > 1 else ""
    return [
        f"Time at these rates, without starts and waiting: {times}{together}.",
        f"Chip-hours at these rates: {', '.join(f'{name} {value:.1f}' for name, value in hours.items())}; {total:.1f} "
        f"in all. At worst, if each of the {failures} retries starts anew at the very end: "
        f"{total * (failures + 1):.1f}{limit}.",
    ]


def work(spec: DistillationJobSpec, stage: Stage, pipeline: Pipeline) -> Work:
    """Answers or steps of a stage. Raises CommandError where they aren't known, or it has none."""
    if stage.is_of_preview:
        raise CommandError(f"--rate {stage.name}: a preview measures its own rates; name the stage that it tries")
    if stage.program.kind == "generate":
        return Work(_rows(spec, stage) * spec.generation.sampling.samples_per_prompt, "answers")
    if stage.program.kind != "train":
        raise CommandError(f"--rate {stage.name}: only generation and training stages have a rate")
    packed = packed_for(stage.program, pipeline).program
    assert packed.kind == "pack"
    if packed.steps is not None:
        return Work(packed.steps, "steps")
    rows = max(0, _rows(spec, stage) - spec.dataset.holdout)
    if packed.data.kind == "TeacherCompletions":
        rows *= spec.generation.sampling.samples_per_prompt
    sequences = rows * (packed.epochs or 1)
    return Work(max(1, sequences // packed.sequences_per_step), "steps", is_limit=True)


def _rows(spec: DistillationJobSpec, stage: Stage) -> int:
    if spec.dataset.limit is None:
        raise CommandError(f"--rate {stage.name}: its rows are not known before dataset.limit is set")
    return spec.dataset.limit
