"""Which stages need which, from the spec by the operator's own rules."""

from pydantic import ValidationError

from distillation_api.resource import DistillationJob
from distillation_operator.dashboard.lenient import Object, mapping, members, text
from distillation_operator.pipeline.graph import build_pipeline
from distillation_operator.pipeline.recorded_outputs import RecordedOutput

Needs = dict[str, tuple[str, ...]]
"""By stage, in dataflow order, the stages that it needs at first hand."""


def stage_needs(job: Object) -> Needs | None:
    """The graph of a job; None where its spec can't be read, for example one of a newer version."""
    try:
        spec = DistillationJob.parse(
            {**{name: job.get(name) for name in ("apiVersion", "kind", "spec")}, "metadata": _metadata(job)}
        ).spec
        stages = members(mapping(job.get("status")).get("stages"))
        begun = frozenset(text(stage.get("name"), 63) for stage in stages if stage.get("startTime"))
        recorded = {
            text(stage.get("name"), 63): RecordedOutput(text(stage["fingerprint"], 64))
            for stage in stages
            if stage.get("fingerprint") and stage.get("state") == "Complete"
        }
        pipeline = build_pipeline(spec, recorded, begun)
    except (ValidationError, ValueError, LookupError, TypeError, AttributeError):
        return None
    known = {text(stage.get("name"), 63) for stage in stages}
    # The status is the fact: an operator of another version may have other stages.
    shown = [*(name for name in pipeline if not known or name in known), *sorted(known - set(pipeline))]
    needs = {name: pipeline[name].needs if name in pipeline else () for name in shown}
    return reduced({name: tuple(need for need in wanted if need in needs) for name, wanted in needs.items()})


def reduced(needs: Needs) -> Needs:
    """The same order of stages by the fewest needs: what another need brings with it is left out."""
    before: dict[str, set[str]] = {}
    for name, wanted in needs.items():
        before[name] = set(wanted).union(*(before.get(need, set()) for need in wanted))
    return {
        name: tuple(
            need for need in wanted if not any(need in before.get(other, ()) for other in wanted if other != need)
        )
        for name, wanted in needs.items()
    }


def _metadata(job: Object) -> dict[str, str]:
    return {"name": text(mapping(job.get("metadata")).get("name"), 253)}
