"""The page of ``compare``: what it shows, that nothing in it can act, and its curves."""

import base64
import hashlib
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from distillation_operator.cli import main
from distillation_operator.commands.compare.plot import DISTINCT, averaged, round_numbers, spread
from unit.cli.compared_runs import facts, job, spec, write_facts, write_json

VOID = ("meta", "br")


class Page(HTMLParser):
    """Elements, and whether all that were opened are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.elements if name in (attributes.get("class") or "").split()]


def written(tmp_path: Path, *paths: Path) -> str:
    page = tmp_path / "page.html"
    assert main(["compare", *map(str, paths), "--html", str(page)]) == 0
    assert [path.name for path in tmp_path.glob(".page*")] == []
    return page.read_text()


def reports(tmp_path: Path, number: int, **members: Any) -> list[Path]:
    return [
        write_facts(
            tmp_path / f"report-{run}", facts(3 + run / 20, job={"namespace": "ml", "name": f"run-{run}"}, **members)
        )
        for run in range(number)
    ]


def test_the_page_shows_runs_differences_and_figures(tmp_path: Path) -> None:
    files = [
        write_json(tmp_path / "a.json", job("first")),
        write_json(tmp_path / "b.json", job("second", after=2.75, spec=spec(2e-4))),
    ]
    text = " ".join(Page(written(tmp_path, *files)).texts)
    for told in (
        "2 runs compared", "first", "second", "training.stages[teacher-data].learningRate", "0.0001", "0.0002",
        "2.75 \u2605", "50.0% \u2605", "38,412", "14 min 30 s", "its curves are missing",
    ):  # fmt: skip
        assert told in text, told


def test_the_teachers_level_is_drawn_only_where_it_is_of_the_same_tokens(tmp_path: Path) -> None:
    part = {"scored": 300, "scoredTokens": 9000, "teacherTokens": 4096}
    whole = Page(written(tmp_path, *reports(tmp_path, 2)))
    assert len(whole.of_class("level")) == 2, "wide and narrow"
    page = Page(written(tmp_path, *reports(tmp_path, 2, rows=part)))
    assert page.of_class("level") == []
    assert "are of the first 4,096 of 9,000 held-out tokens." in " ".join(page.texts)


def test_nothing_on_the_page_is_loaded_or_runs(tmp_path: Path) -> None:
    text = written(tmp_path, *reports(tmp_path, 2))
    page = Page(text)
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"script", "link", "iframe", "object", "img", "form", "base", "a"})
    assert all(not name.startswith("on") and name != "style" for _, attributes in page.elements for name in attributes)
    assert "url(" not in text
    assert "http://" not in text and "https://" not in text
    (policy,) = [attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes]
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_hostile_strings_stay_text(tmp_path: Path) -> None:
    evil = '</title></style><script>alert(1)</script><img src=x onerror=alert(2)>" onload="x\x00\x1b\ud800'
    one = job("one")
    one["metadata"]["name"] = evil
    one["spec"]["student"]["chatTemplate"] = evil
    one["status"]["phase"] = evil
    told = facts(job={"namespace": evil, "name": "x"})
    told["scores"][1]["name"] = evil
    told["stages"][1]["name"] = f"train-{evil}"
    page = Page(written(tmp_path, write_json(tmp_path / "one.json", one), write_facts(tmp_path / "report", told)))
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "img"})
    assert not any("onload" in attributes for _, attributes in page.elements)
    assert any("<script>alert(1)</script>" in text for text in page.texts)
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", "".join(page.texts))


@pytest.mark.parametrize("runs", [2, 12])
def test_each_curve_has_a_look_of_its_own_and_its_number(tmp_path: Path, runs: int) -> None:
    page = Page(written(tmp_path, *reports(tmp_path, runs)))
    plots = page.of_class("wide")
    assert [attributes["aria-label"] for attributes in plots] == [
        f"Cross-entropy, held out: nats per token by student before, after stages, after all, {runs} runs",
        f"KL to the teacher, held out: nats per token by student before, after stages, after all, {runs} runs",
        f"train-teacher-data: loss: nats per token by step, {runs} runs",
    ]
    lines = page.of_class("line")
    # In the first table, in the legend, and twice in each of the plots: wide and narrow.
    assert len(lines) == runs * (2 + 2 * len(plots))
    first = lines[:runs]
    dashes = [attributes.get("stroke-dasharray") for attributes in first]
    assert len(set(dashes)) == min(runs, 6)
    assert len({attributes["class"] for attributes in first}) == runs
    dotted = {attributes["class"] for attributes in page.of_class("dot")}
    assert dotted == {f"dot run-{number}" for number in range(7, runs + 1)}


def test_of_many_runs_the_first_are_drawn_and_all_are_told(tmp_path: Path) -> None:
    page = Page(written(tmp_path, *reports(tmp_path, 50)))
    text = " ".join(page.texts)
    assert f"Drawn are the first {DISTINCT} of the 50 runs" in text
    assert all(f"run-{run}" in text for run in range(50))


def test_curves_of_odd_numbers_are_drawn_as_far_as_they_can(tmp_path: Path) -> None:
    told = facts()
    told["stages"][1]["curve"] = {"steps": [1, 2, 3, 4], "loss": [math.nan, 1e300, 2.0, None]}
    flat = facts(job={"namespace": "ml", "name": "flat"})
    flat["stages"][1]["curve"] = {"steps": [5, 6], "loss": [2.0, 2.0]}
    none = facts(job={"namespace": "ml", "name": "none"})
    none["stages"][1]["curve"] = {"steps": [], "loss": []}
    folders = [write_facts(tmp_path / str(number), one) for number, one in enumerate([told, flat, none])]
    text = written(tmp_path, *folders)
    assert not re.search(r'="[^"]*(nan|inf)[^"]*"', "".join(re.findall(r"<(?:path|text|circle)[^>]*>", text)))
    assert "train-teacher-data: loss: nats per token by step, 2 runs" in text


def test_long_curves_are_averaged_and_keep_their_end() -> None:
    points = [(float(step), float(step % 2)) for step in range(1000)]
    drawn = averaged(points, 100)
    assert len(drawn) <= 100
    assert drawn[-1] == points[-1]
    assert all(0.2 < y < 0.8 for _, y in drawn[:-1])


def test_numbers_at_the_ends_of_lines_do_not_cover_each_other() -> None:
    assert spread([10, 11, 12], 0, 100, 5) == [10, 15, 20]
    assert spread([98, 99, 100], 0, 100, 5) == [90, 95, 100]
    crowded = spread([50.0] * 30, 0, 100, 13)
    assert crowded[0] >= 0 and crowded[-1] <= 100 + 1e-6
    assert crowded == sorted(crowded)


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0, 10, [0, 2, 4, 6, 8, 10]), (2.9, 3.1, [2.9, 2.95, 3.0, 3.05, 3.1]), (1, 1, [1])]
)
def test_axes_have_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert round_numbers(low, high, 5) == pytest.approx(expected)


def test_the_page_replaces_an_older_one_whole(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("old")
    text = written(tmp_path, write_json(tmp_path / "a.json", job("first")))
    assert text.startswith("<!DOCTYPE html>")
    assert text.rstrip().endswith("</html>")
