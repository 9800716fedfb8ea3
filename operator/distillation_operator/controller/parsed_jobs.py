"""DistillationJobs as models: a spec is parsed when it changes, a status when somebody else has written it."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from distillation_api.resource import DistillationJob, ObjectMeta
from distillation_api.status import DistillationJobStatus
from distillation_operator.controller.queue import Key
from distillation_operator.manifests.input_size import too_large
from distillation_operator.manifests.readings import Readings
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.spec_graph import SpecGraph

Object = Mapping[str, Any]
KEPT = 1024
"""Jobs of which the models are kept, those used last; another one is parsed again."""


@dataclass
class ParsedJob:
    """A job, and what follows from its spec alone."""

    spec: Object
    """As the API server has it, like ``status``."""
    status: Object | None
    job: DistillationJob
    graph: SpecGraph
    excess: Cause | None
    """What is too large about the spec."""
    readings: Readings = field(default_factory=Readings)


class ParsedJobs:
    """The models of the jobs that are worked on."""

    def __init__(self) -> None:
        self._parsed: OrderedDict[Key, ParsedJob] = OrderedDict()

    def parse(self, key: Key, raw: Object) -> ParsedJob:
        """The job. Raises pydantic.ValidationError."""
        known = self._parsed.get(key)
        # Not by generation alone: a new default of the CRD changes what is read of an object and not its generation.
        if known is None or known.spec != raw.get("spec"):
            job = DistillationJob.parse(dict(raw))
            known = ParsedJob(raw["spec"], raw.get("status"), job, SpecGraph(job.spec), too_large(job.spec))
            self._parsed[key] = known
            if len(self._parsed) > KEPT:
                self._parsed.popitem(last=False)
            return known
        self._parsed.move_to_end(key)
        if known.status != raw.get("status"):
            # Of somebody else's making. Whole, for an error that names where it is.
            changed = DistillationJob.parse(dict(raw))
            known.status, known.job = raw.get("status"), changed.model_copy(update={"spec": known.job.spec})
        else:
            metadata = ObjectMeta.model_validate(raw["metadata"])
            known.job = known.job.model_copy(update={"metadata": metadata})
        return known

    def note_status(self, key: Key, raw: Object | None, status: DistillationJobStatus) -> None:
        """Keep the model of a status that was just written. ``raw``: as the API server has it."""
        known = self._parsed.get(key)
        if known is not None:
            known.status, known.job = raw, known.job.model_copy(update={"status": status})

    def forget(self, key: Key) -> None:
        """Drop the models of a job that is gone, or that nothing is to be done for."""
        self._parsed.pop(key, None)
