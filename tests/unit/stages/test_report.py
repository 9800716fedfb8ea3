"""What the report says, and that nothing in it can act on the reader's browser."""

import base64
import hashlib
import itertools
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from distillation_api.contract import (
    AnswerFigures,
    Curve,
    Gate,
    JobIdentity,
    ModelScore,
    ModelSize,
    ReportFacts,
    RowCounts,
    SourceNames,
    StageFigures,
    StartUp,
)
from distillation_stages.data.conversations import Turn
from distillation_stages.programs.evaluate.report import render_report
from distillation_stages.programs.evaluate.samples import Sample
from unit.stages.report_facts import AFTER, BEFORE, SAMPLE, TRAINED, facts
from unit.stages.stage_inputs import prompt_of

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Reader(HTMLParser):
    """The elements with their attributes, and what a reader sees of the texts."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"
        if tag in ("td", "th", "text"):
            self.texts.append(" ")

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)


def read(page: str) -> Reader:
    """The page's elements; each must be closed where it was opened."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def text_of(facts: ReportFacts, *samples: Sample) -> str:
    """What one reads on the page, with single spaces."""
    return " ".join("".join(read(render_report(facts, samples)).texts).split())


def cells(page: str, table: str) -> list[list[str]]:
    """The texts of a table's rows below its head."""
    found = re.search(rf'<table id="{table}".*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    assert found is not None
    rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in re.split("<tr[^>]*>", found[1])]
    return [row for row in rows if row]


def first_screen(facts: ReportFacts) -> str:
    """What stands before the table of scores."""
    return text_of(facts).partition("Scores on held-out rows")[0]


def test_the_first_screen_has_whose_it_is_the_verdict_and_size_and_cost() -> None:
    screen = first_screen(facts())
    for shown in (
        "ml/one",
        "big taught small on rows",
        "1 March 2026, 09:05 UTC",
        "24 held-out rows",
        "Passed",
        "fell by 25.0%, from 4.000 to 3.000 nats per token",
        "a drop of at least 20%",
        "teacher 1.000",
        "33%",
        "50 million parameters",
        "25% of the teacher's 200 million",
        "100.0 MB",
        "1.5 chip-hours",
        "12,345 tokens",
    ):
        assert shown in screen, shown


@pytest.mark.parametrize(
    ("packed", "shown"),
    [
        ([], "12,345 tokensseen in training"),
        ([87], "12,345 tokensof 87 rows"),
        ([1_087, 86], "12,345 tokensof 1,087 and 86 rows, one training after another"),
    ],
)
def test_rows_that_are_held_out_are_no_training_data(packed: list[int], shown: str) -> None:
    packs = [StageFigures(name=f"pack-{number}", counts={"rows": rows}) for number, rows in enumerate(packed)]
    answered = StageFigures(name="generate", counts={"kept": 104, "train": 87, "holdout": 17})
    assert shown in first_screen(facts(stages=[answered, *packs, TRAINED], rows=RowCounts(answered=104, holdout=17)))


def test_a_failed_gate_is_said_first_with_its_metric_threshold_and_number() -> None:
    worse = ModelScore(name="a", cross_entropy=4.4)
    screen = first_screen(facts(scores=[BEFORE, worse], gate=Gate(threshold=0.025, value=-0.1, passed=False)))
    assert "Failed Cross-entropy on held-out rows rose by 10.0%, from 4.000 to 4.400" in screen
    assert "at least 2.5%. Not published." in screen
    assert "Passed" not in screen


@pytest.mark.parametrize(("after", "verdict"), [(3.0, "Better than before"), (4.0, "Not better than before")])
def test_without_a_gate_the_verdict_is_that_of_the_scores(after: float, verdict: str) -> None:
    screen = first_screen(facts(gate=None, scores=[BEFORE, ModelScore(name="a", cross_entropy=after)]))
    assert verdict in screen
    assert "The manifest sets no gate." in screen


def test_it_says_after_which_stage_the_student_was_best() -> None:
    scores = [BEFORE, AFTER, ModelScore(name="b", cross_entropy=3.5), ModelScore(name="c", cross_entropy=3.25)]
    screen = first_screen(facts(scores=scores))
    assert "Best after a: the cross-entropy was 3.000 then and is 3.250 at the end." in screen
    assert "What followed (b, c) made it worse." in screen
    assert "Best" not in first_screen(facts())


def test_a_training_that_only_harmed_is_called_so() -> None:
    screen = first_screen(facts(scores=[BEFORE, ModelScore(name="a", cross_entropy=5.0)]))
    assert "Best before any training: the cross-entropy was 4.000 then and is 5.000 at the end." in screen


def test_scores_have_one_row_per_model_and_the_teacher_last() -> None:
    assert cells(render_report(facts(), []), "scores") == [
        ["before", "4.000", "54.6", "2.000", "20.0%"],
        ["after a", "3.000", "20.1", "1.250", "40.0%"],
        ["the teacher", "1.000", "2.72", "0.000", "100.0%"],
    ]


def test_a_training_stage_called_teacher_is_not_taken_for_the_teacher() -> None:
    page = render_report(facts(scores=[BEFORE, ModelScore(name="teacher", cross_entropy=2.0)]), [])
    assert [row[0] for row in cells(page, "scores")] == ["before", "after teacher", "the teacher"]


def test_numbers_and_names_are_for_people() -> None:
    scores = [ModelScore(name="before", cross_entropy=14.17, perplexity=1.426e6), AFTER]
    told = text_of(facts(scores=scores, spec={}))
    assert "1.43 million" in told
    assert "e+06" not in told
    assert "trained tokens 12,000" in told
    assert "left out: student template refused 3" in told
    assert not re.findall(r"\b[a-z]+[A-Z]\w*", told), "camelCase is for programs"


def test_the_figures_of_answers_stand_with_their_definition() -> None:
    page = render_report(facts(), [SAMPLE])
    assert cells(page, "answers") == [
        ["the teacher", "1", "17", "17", "100%", "0%"],
        ["before", "1", "48", "48", "0%", "98%"],
        ["after a", "1", "17", "17", "100%", "0%"],
    ]
    assert "at most 48 tokens" in page
    assert "distinct\n4-grams / all 4-grams" in page
    assert 'id="degeneration"' not in page


def test_a_student_whose_answers_degenerate_is_shown_on_the_first_screen() -> None:
    screen = first_screen(facts(degeneration="0% of its answers end by themselves, of the teacher's 100%"))
    assert "answers degenerate. 0% of its answers end by themselves, of the teacher's 100%" in screen


def test_the_words_that_differ_from_the_teachers_are_marked() -> None:
    page = render_report(facts(), [SAMPLE])
    assert "Because it <mark>snows.</mark>" in page
    assert "<mark>Hm.</mark>" in page
    assert "2 of 3 words as the teacher" in page


def test_a_report_without_answers_says_so() -> None:
    page = render_report(facts(answers=[], answer_limit=None), [])
    assert 'id="answers"' not in page
    assert "There are none." in page


def test_texts_of_models_and_datasets_are_only_texts() -> None:
    attack = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    stage = StageFigures(
        name=f"train-{attack}",
        counts={attack: 1},
        rejected={attack: 1},
        metrics={attack: 1.0},
        versions={attack: attack},
        curve=Curve(steps=[1], loss=[1.0]),
    )
    hostile = facts(
        job=JobIdentity(namespace=attack, name=attack),
        date=attack,
        fingerprint=attack,
        sources=SourceNames(teacher=attack, student=attack, dataset=attack),
        spec={attack: attack},
        scores=[BEFORE, ModelScore(name=attack, cross_entropy=3.0)],
        answers=[AnswerFigures(name=attack, answers=1)],
        degeneration=attack,
        no_kl_because=attack,
        stages=[stage],
        versions={attack: attack},
    )
    prompt: list[Turn] = [
        {"role": attack, "content": attack},
        {"role": "assistant", "content": None, "tool_calls": [{"a": attack}]},
    ]
    page = render_report(hostile, [Sample(1, prompt, attack, attack, attack)])
    tags = {tag for tag, _ in read(page).elements}
    assert not tags & {"script", "img", "iframe", "object", "embed", "form"}
    assert not [name for _, attributes in read(page).elements for name in attributes if name.startswith("on")]
    assert page.count("&lt;script&gt;alert(1)") >= 20


def test_the_policy_lets_nothing_run_or_load_but_the_pages_own_style() -> None:
    page = render_report(facts(), [SAMPLE])
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ")[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]
    assert not [tag for tag, attributes in read(page).elements if "style" in attributes], "the policy refuses these"
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page)
    assert "url(" not in style and "@import" not in style


def test_a_phone_shows_it_in_its_own_width() -> None:
    page = render_report(facts(), [SAMPLE])
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    sizes = re.findall(r"font(?:-size)?: ([0-9.]+)(px|rem|pt)", page)
    assert min(float(size) * {"px": 1, "rem": 16, "pt": 4 / 3}[unit] for size, unit in sizes) >= 12
    plots = [attributes for tag, attributes in read(page).elements if tag == "svg" and "role" in attributes]
    assert plots and all(plot["width"] == "100%" and "viewbox" not in plot for plot in plots), "text isn't scaled"


def test_plots_say_in_words_what_they_show() -> None:
    elements = read(render_report(facts(), [])).elements
    labels = [attributes["aria-label"] or "" for tag, attributes in elements if attributes.get("role") == "img"]
    assert "Cross-entropy, nats per token, lower is better: before 4.000; after a 3.000; teacher 1.000" in labels
    assert "Training a: loss 3 at step 1, 2.5 at step 2" in labels
    headings = [int(tag[1]) for tag, _ in elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert all(next_ - one <= 1 for one, next_ in itertools.pairwise(headings)), "no level is skipped"


def test_ids_are_each_of_one_element() -> None:
    page = render_report(facts(), [SAMPLE, Sample(8, prompt_of("How?"), "So.", "So.", "So.")])
    ids = [attributes["id"] for _, attributes in read(page).elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_without_a_common_vocabulary_it_says_so() -> None:
    scores = [ModelScore(name=one.name, cross_entropy=one.cross_entropy) for one in (BEFORE, AFTER)]
    page = render_report(facts(scores=scores, teacher=None, no_kl_because="the tokenizers differ"), [])
    assert "No KL and no top-1 agreement: the tokenizers differ." in page
    assert cells(page, "scores")[1] == ["after a", "3.000", "\u2013", "\u2013", "\u2013"]
    assert "Way to the teacher" not in page


PART = RowCounts(scored=24, scored_tokens=9000, teacher_tokens=4096)


def test_a_line_to_reach_that_fewer_tokens_tell_says_so() -> None:
    told = text_of(facts(rows=PART))
    assert "The teacher's on the first 4,096 of 9,000 tokens." in told


@pytest.mark.parametrize("rows", [PART, RowCounts(scored=24, teacher_tokens=900), RowCounts(scored_tokens=900)])
def test_no_way_to_the_teacher_is_told_from_scores_of_other_tokens(rows: RowCounts) -> None:
    assert "Way to the teacher" in first_screen(facts())
    assert "Way to the teacher" not in first_screen(facts(rows=rows))


def test_scores_of_a_part_of_the_tokens_say_so_in_table_and_plots() -> None:
    told = text_of(facts(rows=PART))
    assert "KL, top-1 and the teacher's row are of the first 4,096 of 9,000 tokens, the rest is of all." in told
    assert told.count("On the first 4,096 of 9,000 tokens.") == 2
    assert "of the first" not in text_of(facts()) and "On the first" not in text_of(facts())


def test_where_the_starts_of_a_stage_went_is_shown_with_the_chips_that_waited() -> None:
    stage = StageFigures(
        name="generate",
        seconds=3600,
        chip_hours=16,
        idle_chip_hours=0.9333,
        start_up=StartUp(imports=20, weights=40, compile=240),
    )
    told = text_of(facts(stages=[stage]))
    assert "5 min 0 s: imports 20 s, weights 40 s, compile 4 min 0 s, other 0 s; 0.933 chip-hours" in told


EMPTY: list[dict[str, Any]] = [
    {"scores": [ModelScore(name="before")]},
    {"scores": [ModelScore(name="before", cross_entropy=float("nan"), kl=float("inf")), ModelScore(name="after")]},
    {"scores": [BEFORE], "stages": [StageFigures(name="train-a", curve=Curve())]},
    {"scores": [BEFORE, AFTER], "gate": Gate(threshold=0.1, value=float("nan"), passed=False)},
    {"scores": [ModelScore(name="before", cross_entropy=0.0), ModelScore(name="a", cross_entropy=0.0)]},
    {"scores": [BEFORE], "teacher_size": ModelSize(parameters=0, bytes=0), "student_size": ModelSize(parameters=1)},
]


@pytest.mark.parametrize("members", EMPTY)
def test_what_is_missing_or_no_number_is_left_out(members: dict[str, Any]) -> None:
    told = text_of(ReportFacts(**members))
    assert not re.findall(r"\b(nan|inf|None|Undefined)\b", told)


def test_ten_stages_of_a_million_steps_are_one_small_page() -> None:
    curve = Curve(steps=list(range(2000)), loss=[3.0 + 1 / (step + 1) for step in range(2000)])
    names = [f"stage-{number}-with-a-name-as-long-as-one-may-be-in-a-manifest" for number in range(10)]
    stages = [TRAINED.model_copy(update={"name": f"train-{name}", "curve": curve}) for name in names]
    scores = [BEFORE, *(ModelScore(name=name, cross_entropy=4 - place / 10) for place, name in enumerate(names))]
    page = render_report(facts(stages=stages, scores=scores), [])
    assert page.count("<polyline") == 2 * len(names), "the losses and their mean"
    assert len(page) < 1_500_000
