"""What a job's stages have been asked, read from the status and the children: facts that outlast an upgrade.

The outputs of a complete stage lie where its pods were told to put them. What the operator of today would ask may hash
to something else (a program has another member, its ``outputs_version`` was raised): that holds for stages and attempts
that are still to be started.
"""

from collections.abc import Iterable

from distillation_api.status import StageStatus
from distillation_operator.pipeline.observed import Observed
from distillation_operator.pipeline.stage import Asked


def asked_before(stages: Iterable[StageStatus], observed: Observed) -> dict[str, Asked]:
    """By stage: of a complete one from the status; of any other what the child of its newest attempt was asked."""
    known = {stage.name: stage for stage in stages}
    facts: dict[str, Asked] = {}
    for name in {*known, *(child.stage for child in observed.children.values())}:
        fact = _of_stage(known.get(name), name, observed)
        if fact is not None:
            facts[name] = fact
    return facts


def _of_stage(known: StageStatus | None, name: str, observed: Observed) -> Asked | None:
    recorded = Asked(known.fingerprint, known.directory) if known and known.fingerprint else None
    if known is not None and known.state in ("Complete", "Failed"):
        return recorded
    owned = [child for child in observed.of_stage(name) if child.ours]
    if not owned or (known is not None and owned[-1].attempt < known.attempt):
        return None
    child = owned[-1]
    # A child of a version that didn't write it down: the status has what was asked then.
    return Asked(child.fingerprint, child.output) if child.fingerprint else recorded
