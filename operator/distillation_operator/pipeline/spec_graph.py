"""The graph of one spec, built once: decisions come by the hundred, and what is recorded of stages rarely differs from
what the spec asks for today.
"""

from collections.abc import Mapping, Set

from distillation_api.spec import DistillationJobSpec
from distillation_operator.pipeline.graph import Pipeline, Shape, build_shape, shape_of
from distillation_operator.pipeline.recorded_outputs import RecordedOutput
from distillation_operator.pipeline.stage import Stage


class SpecGraph:
    """The pipelines of one spec. Its owner drops it with the spec.

    One pipeline for each shape, and of those in which a stage was asked for something else, by an operator of another
    version, the last.
    """

    def __init__(self, spec: DistillationJobSpec) -> None:
        self._spec = spec
        self._built: dict[Shape, Pipeline] = {}
        self._differing: tuple[Shape, dict[str, RecordedOutput], Pipeline] | None = None

    def pipeline(self, recorded: Mapping[str, RecordedOutput], begun: Set[str]) -> Pipeline:
        """The same as ``build_pipeline`` returns."""
        shape = shape_of(self._spec, recorded, begun)
        built = self._built.get(shape)
        if built is None:
            built = self._built[shape] = build_shape(self._spec, {}, shape)
        if all(name not in built or _is_as_asked(output, built[name]) for name, output in recorded.items()):
            return built
        if self._differing is None or self._differing[:2] != (shape, recorded):
            self._differing = (shape, dict(recorded), build_shape(self._spec, recorded, shape))
        return self._differing[2]


def _is_as_asked(recorded: RecordedOutput, stage: Stage) -> bool:
    return recorded.fingerprint == stage.fingerprint and recorded.directory in (None, stage.output)
