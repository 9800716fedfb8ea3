"""What a preview holds up, and what becomes of its stages when it is removed from the spec.

It has a word of its own (``preview.then``) and isn't let go by ``suspend: false``: that is the default, so a job with a
preview would never wait, and ``suspend: true`` has to keep its meaning, which is that no pod runs.
"""

from collections.abc import Iterable, Mapping, Set

from distillation_api import reasons
from distillation_api.spec import Preview
from distillation_api.status import StageStatus
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.graph import Pipeline
from distillation_operator.pipeline.names import is_of_preview
from distillation_operator.pipeline.observed import Observed
from distillation_operator.pipeline.status.pen import rewrite_stage, with_state
from distillation_operator.pipeline.status.preview import GO_ON


def held_stages(preview: Preview | None, pipeline: Pipeline, begun: Set[str]) -> frozenset[str]:
    """The stages that wait for the user's word after the preview. None once the real work has ``begun``: ``suspend``
    is what stops it then.
    """
    gated = frozenset(stage.name for stage in pipeline.values() if pipeline.is_held_by_preview(stage))
    return frozenset() if preview is None or preview.then == "Continue" or gated & begun else gated


def holding(status: StageStatus) -> StageStatus:
    """A stage that waits for nothing but the user's word."""
    if status.state != "Waiting":
        return status
    return with_state(status, "Waiting", Cause.of(reasons.PREVIEW_HOLDS, f"The preview is complete. {GO_ON}"))


def removed_stages(pipeline: Pipeline, known: Mapping[str, StageStatus]) -> list[StageStatus]:
    """The stages of a preview that isn't asked for any more, as the status goes on to have them: their chip-hours
    count, and what is complete needn't be done again when it is asked for anew.
    """
    return [_removed(status) for name, status in known.items() if is_of_preview(name) and name not in pipeline]


def removed_children(pipeline: Pipeline, observed: Observed) -> Iterable[str]:
    """Their children that may still run."""
    for child in observed.children.values():
        if child.live and is_of_preview(child.stage) and child.stage not in pipeline:
            yield child.name


def _removed(status: StageStatus) -> StageStatus:
    if status.state in ("Complete", "Failed"):
        return status
    return with_state(rewrite_stage(status, progress=None), "Waiting", Cause.of(reasons.PREVIEW_REMOVED))
