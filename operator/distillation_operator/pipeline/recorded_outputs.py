"""What a job's stages were asked to write, read from the status and the children: facts that outlast an upgrade.

The outputs of a complete stage lie where its pods were told to put them. What the operator of today would ask may hash
to something else (a program has another member, its ``outputs_version`` was raised): that holds for stages and attempts
that are still to be started.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from distillation_api.status import StageStatus
from distillation_operator.pipeline.observed import Observed


@dataclass(frozen=True)
class RecordedOutput:
    """What the pods of a stage were asked to write, and where."""

    fingerprint: str
    directory: str | None = None
    """Inside the storage; where today's operator would put it, when nothing says."""


def recorded_outputs(stages: Iterable[StageStatus], observed: Observed) -> dict[str, RecordedOutput]:
    """By stage: of a complete one from the status; of any other what the child of its newest attempt was asked."""
    known = {stage.name: stage for stage in stages}
    recorded: dict[str, RecordedOutput] = {}
    for name in {*known, *observed.stages}:
        output = _of_stage(known.get(name), name, observed)
        if output is not None:
            recorded[name] = output
    return recorded


def begun_stages(stages: Iterable[StageStatus], observed: Observed) -> frozenset[str]:
    """Those that were ever started, by the status or by a child."""
    started = (stage.name for stage in stages if stage.start_time is not None)
    return frozenset((*started, *observed.stages))


def _of_stage(known: StageStatus | None, name: str, observed: Observed) -> RecordedOutput | None:
    recorded = RecordedOutput(known.fingerprint, known.directory) if known and known.fingerprint else None
    if known is not None and known.state in ("Complete", "Failed"):
        return recorded
    owned = observed.of_stage(name)
    if not owned or (known is not None and owned[-1].attempt < known.attempt):
        return None
    child = owned[-1]
    # A child of a version that didn't write it down: the status has what was asked then.
    return RecordedOutput(child.fingerprint, child.directory) if child.fingerprint else recorded
