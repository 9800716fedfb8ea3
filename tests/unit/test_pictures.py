"""The README's pictures: they are those that today's code draws."""

import itertools
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.pictures.__main__ import PHOTOGRAPH, PICTURES, RECORDED, drawn
from demo.pictures.layers import lay_out, reduced
from demo.pictures.reported import HEIGHT, WIDTH, reported
from distillation_api.resource import DistillationJob

CHECKOUT = Path(__file__).resolve().parents[2]
NODE, BEND, GAP = 100.0, 10.0, 20.0


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    """Nodes that need some of those before them."""
    count = draw(st.integers(0, 12))
    names = [f"n{number}" for number in range(count)]
    return {
        name: draw(st.lists(st.sampled_from(names[:number]), unique=True, max_size=4)) if number else []
        for number, name in enumerate(names)
    }


def before(needs: Mapping[str, Sequence[str]]) -> dict[str, set[str]]:
    """All that each node comes after."""
    found: dict[str, set[str]] = {}
    for name, its in needs.items():
        found[name] = set(its).union(*(found[need] for need in its))
    return found


@pytest.mark.parametrize("name", sorted(drawn()))
def test_a_picture_is_the_one_that_the_code_draws(name: str) -> None:
    assert (PICTURES / name).read_text() == drawn()[name], "make pictures"


def test_the_report_has_its_photograph() -> None:
    head = (PICTURES / PHOTOGRAPH).read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    assert (int.from_bytes(head[16:20]), int.from_bytes(head[20:24])) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("name", sorted(drawn()))
def test_a_picture_loads_nothing_from_elsewhere(name: str) -> None:
    assert not re.findall(r"url\((?!#)|@import|<script|<image|href=", drawn()[name])


def test_each_stage_of_the_guide_is_in_the_picture() -> None:
    stages = yaml.safe_load((RECORDED / "status.yaml").read_text())["status"]["stages"]
    assert all(f">{stage['name']}<" in drawn()["dataflow.svg"] for stage in stages if stage["name"] != "export")
    assert "32 TPU chips" in drawn()["dataflow.svg"]


def test_what_was_recorded_is_of_today() -> None:
    assert DistillationJob.parse(yaml.safe_load((RECORDED / "status.yaml").read_text()))
    page = reported(RECORDED / "facts.json", RECORDED / "samples.json")
    assert "Passed" in page and "teacher" in page


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_fewer_edges_tell_the_same_order(needs: dict[str, list[str]]) -> None:
    fewer = reduced(needs)
    assert before(fewer) == before(needs)
    for its in fewer.values():
        assert not any(need in before(fewer)[other] for need, other in itertools.permutations(its, 2))


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_nodes_and_bends_stand_apart_and_below_what_they_need(needs: dict[str, list[str]]) -> None:
    layout = lay_out(needs, NODE, BEND, GAP)
    assert set(layout.nodes) == set(needs)
    for (need, name), path in layout.edges.items():
        assert (path[0], path[-1]) == (layout.nodes[need], layout.nodes[name])
        assert [place.row for place in path] == list(range(path[0].row, path[-1].row + 1))
    boxes = [(place.row, place.x, NODE / 2) for place in layout.nodes.values()]
    boxes += [(bend.row, bend.x, BEND / 2) for path in layout.edges.values() for bend in path[1:-1]]
    for one, other in itertools.combinations(sorted(boxes), 2):
        assert one[0] != other[0] or other[1] - other[2] - one[1] - one[2] >= GAP - 1e-6
    assert all(half - 1e-6 <= x <= layout.width - half + 1e-6 for _, x, half in boxes)


def test_without_a_browser_it_says_which_package_has_one(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-m", "demo.pictures"]
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "apt-get install chromium" in done.stderr
    assert "Traceback" not in done.stderr
