"""The graph of stages: its needs, and where it is drawn."""

import re
from typing import Any

import pytest

from distillation_api.resource import DistillationJob
from distillation_operator.dashboard.layout import NODE_HEIGHT, NODE_WIDTH, Layout, lay_out
from distillation_operator.dashboard.needs import reduced, stage_needs
from distillation_operator.pipeline.graph import build_pipeline
from support.dashboard_jobs import job
from support.small_job import manifest

MANY: dict[str, Any] = {"training": {"stages": [{"name": f"part-{number}", "steps": 10} for number in range(8)]}}


def drawn(across: int, **spec: Any) -> Layout:
    needs = stage_needs(job("one", **spec))
    assert needs is not None
    return lay_out(needs, across)


def test_fewest_needs_keep_the_order() -> None:
    whole = {"a": (), "b": ("a",), "c": ("a", "b"), "d": ("a", "c")}
    assert reduced(whole) == {"a": (), "b": ("a",), "c": ("b",), "d": ("c",)}


def test_what_is_left_out_follows_from_what_stays() -> None:
    pipeline = build_pipeline(DistillationJob.parse(manifest(**MANY)).spec)
    needs = stage_needs(job("one", **MANY))
    assert needs is not None and list(needs) == list(pipeline)

    def before(name: str) -> set[str]:
        return {other for need in needs[name] for other in (need, *before(need))}

    assert all(set(stage.needs) <= before(name) for name, stage in pipeline.items())


def test_only_stages_of_the_status_are_drawn() -> None:
    made = job("one", {"stages": [{"name": "generate"}, {"name": "pack-one"}, {"name": "of-another-version"}]})
    assert stage_needs(made) == {"generate": (), "pack-one": ("generate",), "of-another-version": ()}


@pytest.mark.parametrize("across", [2, 3])
@pytest.mark.parametrize("spec", [{}, MANY], ids=["two stages", "eight stages"])
def test_stages_stand_apart_and_below_what_they_need(across: int, spec: dict[str, Any]) -> None:
    layout = drawn(across, **spec)
    nodes = {node.name: node for node in layout.nodes}
    needs = stage_needs(job("one", **spec)) or {}
    assert set(nodes) == set(needs)
    assert all(nodes[need].y + NODE_HEIGHT < nodes[name].y for name, wanted in needs.items() for need in wanted)
    places = list(nodes.values())
    for number, one in enumerate(places):
        assert 0 <= one.x <= layout.width - NODE_WIDTH and 0 <= one.y <= layout.height - NODE_HEIGHT
        for other in places[:number]:
            assert one.y != other.y or abs(one.x - other.x) > NODE_WIDTH
    assert max(sum(one.y == other.y for other in places) for one in places) <= across


@pytest.mark.parametrize("across", [2, 3])
def test_no_line_passes_through_a_stage_that_it_isnt_about(across: int) -> None:
    layout = drawn(across, **MANY)
    assert len(layout.edges) > 20
    for path, start, end in layout.edges:
        # Between rows it goes straight down at the side of the stages of each row.
        for x, bottom in re.findall(r" ([-\d.]+) [-\d.]+V([-\d.]+)", path):
            for node in layout.nodes:
                if node.name not in (start, end) and node.y + NODE_HEIGHT == float(bottom):
                    assert not node.x < float(x) < node.x + NODE_WIDTH, (start, end, node)
        assert all(-1 <= float(x) <= layout.width + 1 for x in re.findall(r"[MC ]([-\d.]+) [-\d.]+V", path))


def test_nothing_is_drawn_of_nothing() -> None:
    assert lay_out({}, 3).nodes == ()
