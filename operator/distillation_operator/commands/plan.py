"""``plan``: what the operator would do with a manifest, without a cluster."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from rich import box
from rich.console import Console
from rich.table import Table

from distillation_api.resource import DistillationJob
from distillation_api.spec import DistillationJobSpec
from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.files import documents
from distillation_operator.commands.plan_cost import chips, cost, known_work, shards, where_rates_are
from distillation_operator.commands.validation import validate
from distillation_operator.manifests.kinds import child_manifest
from distillation_operator.manifests.settings import Installation
from distillation_operator.pipeline.graph import build_pipeline
from distillation_operator.pipeline.placement import Placement
from distillation_operator.pipeline.stage import Stage

_WIDE = 1000
"""Columns of an output that isn't a terminal: nothing is cut or wrapped."""


def run(
    file: str,
    namespace: str | None,
    installation: Installation,
    *,
    rates: Mapping[str, float] | None = None,
    summary: bool = True,
    manifests: bool = True,
) -> int:
    """Print the plan of each DistillationJob in the file.

    ``rates``: rows per second of generation (of all shards), steps per second of training stages, as the status of an
    earlier job told them.
    """
    jobs = list(_jobs(file, namespace))
    if not jobs:
        raise CommandError(f"no DistillationJob in {file}")
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(width=_WIDE, highlight=False)
    for job in jobs:
        pipeline = build_pipeline(job.spec)
        if summary:
            _print_summary(console, job, pipeline, installation)
            _print(console, *_work(job, pipeline, rates or {}))
        if manifests:
            _print_manifests(job, pipeline, installation)
    return 0


def peak_chips(pipeline: Mapping[str, Stage]) -> int:
    """The most chips that can be in use at once: the heaviest set of stages of which none waits for another."""
    before = _ancestors(pipeline)

    def heaviest(rest: list[Stage], chosen: tuple[Stage, ...]) -> int:
        if not rest:
            return sum(chips(stage) for stage in chosen)
        first, others = rest[0], rest[1:]
        without = heaviest(others, chosen)
        if any(stage.name in before[first.name] for stage in chosen):
            return without
        return max(without, heaviest(others, (*chosen, first)))

    return heaviest([stage for stage in pipeline.values() if chips(stage)], ())


def pods(stage: Stage) -> int:
    """Pods of a stage, all shards counted."""
    return stage.placement.pods * shards(stage)


def _ancestors(pipeline: Mapping[str, Stage]) -> dict[str, set[str]]:
    """All stages that each stage waits for; a pipeline is in dataflow order."""
    result: dict[str, set[str]] = {}
    for stage in pipeline.values():
        result[stage.name] = set(stage.needs).union(*(result[need] for need in stage.needs))
    return result


def _jobs(file: str, namespace: str | None) -> Iterator[DistillationJob]:
    for document in documents(file):
        if not document.is_job:
            continue
        messages = validate(document.content)
        if messages:
            raise CommandError("\n".join(f"{document.origin}: {message}" for message in messages))
        metadata: dict[str, Any] = dict(document.content["metadata"])
        metadata.setdefault("name", f"{metadata.get('generateName', '')}xxxxx")
        if namespace is not None and metadata.setdefault("namespace", namespace) != namespace:
            raise CommandError(f"{document.origin}: its namespace is {metadata['namespace']}, not {namespace}")
        yield DistillationJob.parse({**document.content, "metadata": metadata})


def _print_summary(
    console: Console, job: DistillationJob, pipeline: Mapping[str, Stage], installation: Installation
) -> None:
    spec, peak = job.spec, peak_chips(pipeline)
    queue = f", through Kueue's LocalQueue {spec.queue.name}" if spec.queue and (peak or spec.queue.cpu_stages) else ""
    _print(
        console,
        f"DistillationJob {job.metadata.namespace}/{job.metadata.name}: {len(pipeline)} stages. Each starts when all "
        "that it needs is complete.",
        "",
        *_stage_table(pipeline, installation, console),
        "",
        *_preview(spec),
        f"Chips at peak: {peak}{queue}.",
        f"Outputs: {spec.storage.prefix}/STAGE/FINGERPRINT in the storage; what is there already is not done again.",
    )


def _preview(spec: DistillationJobSpec) -> list[str]:
    """What the preview does, and what follows."""
    if spec.preview is None:
        return []
    then = (
        "then the job goes on by itself"
        if spec.preview.then == "Continue"
        else "then no pod runs until preview.then is Continue"
    )
    return [
        f"Preview: {spec.preview.rows} rows and {spec.preview.steps} steps of each training stage first; {then}. "
        "status.preview tells what it finds."
    ]


def _work(job: DistillationJob, pipeline: Mapping[str, Stage], rates: Mapping[str, float]) -> list[str]:
    """What generation and training have to do, and what that takes where rates are given."""
    known = known_work(job.spec, pipeline)
    lines = [f"Work: {', '.join(f'{name} {work}' for name, work in known.items())}."] if known else []
    if rates:
        return [*lines, *cost(job, pipeline, rates)]
    if known:
        return [*lines, *where_rates_are(known)]
    return ["The work isn't known before dataset.limit is set, and no time and chip-hours with it."]


_NARROW = ("STAGE", "NEEDS", "PODS", "CHIPS", "MACHINES")
"""Columns that fit a terminal of 80."""


def _stage_table(pipeline: Mapping[str, Stage], installation: Installation, console: Console) -> list[Any]:
    """The table, and what it leaves out where the terminal is too narrow for all columns."""
    rows = [_cells(stage, installation) for stage in pipeline.values()]
    widths = [max(len(column), *(len(row[column]) for row in rows)) for column in rows[0]]
    is_narrow = console.is_terminal and sum(widths) + 2 * len(widths) > console.width
    frame = box.SIMPLE_HEAD if console.is_terminal else None
    table = Table(box=frame, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in _NARROW if is_narrow else rows[0]:
        table.add_column(
            column,
            justify="right" if column in ("PODS", "CHIPS") else "left",
            overflow="fold",
            no_wrap=column == "STAGE" and len(rows[0]["STAGE"]) < console.width // 2,
        )
    for row in rows:
        table.add_row(*(row[column] for column in (_NARROW if is_narrow else row)))
    if not is_narrow:
        return [table]
    left_out = ", ".join(column.lower() for column in rows[0] if column not in _NARROW)
    return [table, "", f"A wider terminal, or `plan --summary FILE | less -S`, shows {left_out} too."]


def _cells(stage: Stage, installation: Installation) -> dict[str, str]:
    return {
        "STAGE": stage.name,
        "NEEDS": ", ".join(stage.needs) or "-",
        "WORKLOAD": "JobSet" if stage.is_training else "Indexed Job" if stage.is_indexed else "Job",
        "PODS": str(pods(stage)),
        "CHIPS": str(chips(stage)),
        "MACHINES": _machines(stage.placement),
        "IMAGE": installation.image(stage.image, stage.placement.hardware),
        "FINGERPRINT": stage.fingerprint,
    }


def _machines(place: Placement) -> str:
    accelerator = place.accelerator
    if accelerator is None:
        return "CPU"
    slices = f"{place.slices} slices of " if place.slices > 1 else ""
    nodes = {
        "Spot": ", Spot",
        "Reservation": f", reservation {accelerator.reservation_name}",
        "FlexStart": ", flex-start",
        "FlexStartQueued": ", queued flex-start",
    }
    where = nodes.get(accelerator.provisioning, "")
    return f"{slices}{accelerator.type} {accelerator.topology}, {place.chips_per_host} chips per host{where}"


def _print(console: Console, *parts: Any) -> None:
    if console.is_terminal:
        console.print(*parts, sep="\n")
        return
    with console.capture() as capture:
        console.print(*parts, sep="\n", soft_wrap=True)
    for line in capture.get().splitlines():
        print(line.rstrip())


def _print_manifests(job: DistillationJob, pipeline: Mapping[str, Stage], installation: Installation) -> None:
    """All first attempts as YAML documents, without the owner: its uid is known only once the object exists."""
    for stage in pipeline.values():
        manifest = child_manifest(job, stage, 0, installation)
        del manifest["metadata"]["ownerReferences"]
        print("---")
        print(f"# {stage.name}")
        print(yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=float("inf")), end="")


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper without anchors: labels that are shared are written out each time."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
