"""A spec's graph is built once, and is the one that its recorded outputs ask for."""

from collections.abc import Mapping

import pytest

from distillation_api.spec import DistillationJobSpec
from distillation_operator.pipeline import spec_graph
from distillation_operator.pipeline.graph import Pipeline, Shape, build_pipeline, build_shape
from distillation_operator.pipeline.recorded_outputs import RecordedOutput
from distillation_operator.pipeline.spec_graph import SpecGraph
from support.scenario import job_of, small_spec

SPEC = job_of(small_spec(preview={"rows": 8})).spec
NOW = {stage.name: RecordedOutput(stage.fingerprint, stage.output) for stage in build_pipeline(SPEC).values()}
OLDER = RecordedOutput("0123456789abcdef", "prepare-dataset/older")


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Shape]:
    """What was built."""
    made: list[Shape] = []

    def build(spec: DistillationJobSpec, recorded: Mapping[str, RecordedOutput], shape: Shape) -> Pipeline:
        made.append(shape)
        return build_shape(spec, recorded, shape)

    monkeypatch.setattr(spec_graph, "build_shape", build)
    return made


def test_a_graph_is_built_once_for_all_that_its_stages_record(built: list[Shape]) -> None:
    graph = SpecGraph(SPEC)
    for count in range(len(NOW) + 1):
        recorded = dict([*NOW.items()][:count])
        assert graph.pipeline(recorded, frozenset(recorded)) == build_pipeline(SPEC, recorded, frozenset(recorded))
    assert len(built) == 1


@pytest.mark.parametrize(
    ("recorded", "begun"),
    [
        ({"prepare-dataset": OLDER}, ()),
        ({"prepare-dataset": RecordedOutput(OLDER.fingerprint)}, ()),
        ({"generate": NOW["generate"]}, ()),
        ({}, ("generate",)),
        ({**NOW, "prepare-dataset": OLDER}, tuple(NOW)),
        ({"of-no-stage": OLDER}, ()),
    ],
)
def test_what_an_older_operator_asked_for_stands(recorded: dict[str, RecordedOutput], begun: tuple[str, ...]) -> None:
    graph = SpecGraph(SPEC)
    graph.pipeline({}, frozenset())
    for _ in range(2):
        assert graph.pipeline(recorded, frozenset(begun)) == build_pipeline(SPEC, recorded, frozenset(begun))
    assert graph.pipeline({}, frozenset()) == build_pipeline(SPEC)
