"""Figures of answers, and what of them stands out, down to the answers that aren't there."""

from typing import Any

import pytest

from distillation_stages.programs.evaluate.answers import (
    LEAST_TOKENS,
    MOST_TOKENS,
    TEACHER,
    Answer,
    Comparison,
    figures_of,
    limit_for,
    repetition,
)
from distillation_stages.programs.evaluate.scoring import until

PROSE = Answer(list(range(20)), True)
LOOP = Answer([1, 2] * 24, False)
NOTHING = Answer([], True)


@pytest.mark.parametrize(
    ("tokens", "share"),
    [
        ([], 0.0),
        ([1, 1, 1], 0.0),
        ([1, 1, 1, 1], 0.0),
        ([1, 1, 1, 1, 1], 0.5),
        ([1, 2, 3, 4, 5, 6], 0.0),
        ([1, 2, 3, 4, 9, 1, 2, 3, 4], 1 / 6),
        ([1] * 103, 0.99),
    ],
)
def test_repetition_is_the_share_of_4_grams_that_stood_before(tokens: list[int], share: float) -> None:
    assert repetition(tokens) == pytest.approx(share)


@pytest.mark.parametrize(
    ("lengths", "median", "p90"),
    [([7], 7, 7), ([1, 2], 1.5, 2), ([0, 0, 5], 0, 5), (list(range(1, 11)), 5.5, 9), (list(range(1, 21)), 10.5, 18)],
)
def test_median_and_90th_percentile_of_lengths(lengths: list[int], median: float, p90: float) -> None:
    figures = figures_of([Answer([0] * length, True) for length in reversed(lengths)])
    assert figures is not None
    assert (figures.answers, figures.median_tokens, figures.p90_tokens) == (len(lengths), median, p90)


def test_shares_are_of_all_answers() -> None:
    figures = figures_of([PROSE, LOOP, NOTHING, Answer([5] * 5, False)])
    assert figures is not None
    assert figures.ends_by_itself == 0.5
    assert figures.repetition == pytest.approx((0 + 43 / 45 + 0 + 0.5) / 4)


@pytest.mark.parametrize(
    ("longest", "limit"), [(None, LEAST_TOKENS), (0, LEAST_TOKENS), (48, 60), (101, 127), (10_000, MOST_TOKENS)]
)
def test_students_get_somewhat_more_room_than_the_teacher_took(longest: int | None, limit: int) -> None:
    answers = [] if longest is None else [NOTHING, Answer([0] * longest, True)]
    assert limit_for(answers) == limit


def test_an_answer_is_taken_up_to_the_limit_which_its_end_counts_to() -> None:
    assert Answer([1, 2], True).up_to(3) == Answer([1, 2], True)
    assert Answer([1, 2, 3], True).up_to(3) == Answer([1, 2, 3], False)
    assert Answer([1, 2, 3, 4], True).up_to(3) == Answer([1, 2, 3], False)
    assert Answer([1], False).up_to(3) == Answer([1], False)


@pytest.mark.parametrize(
    ("generated", "answer"),
    [
        ([], Answer([], False)),
        ([9], Answer([], True)),
        ([1, 2, 3], Answer([1, 2, 3], False)),
        ([1, 9, 2], Answer([1], True)),
        ([1, 8, 9, 9], Answer([1], True)),
    ],
)
def test_an_answer_goes_to_the_first_token_that_ends_one(generated: list[int], answer: Answer) -> None:
    assert until({9, 8}, generated) == answer


def compared(teacher: list[Answer], after: list[Answer], **between: list[Answer]) -> Comparison:
    return Comparison.of(48, teacher, {"before": [LOOP] * len(after), **between, "after": after})


def test_the_teacher_stands_first_and_the_students_in_their_order() -> None:
    told = compared([PROSE], [PROSE], sft=[LOOP])
    assert list(told.figures) == [TEACHER, "before", "sft", "after"]
    assert told.degeneration is None
    metrics = told.metrics({TEACHER: "Teacher", "before": "Before", "after": "After"})
    assert metrics == {
        "degenerateAfter": 0.0,
        "answerTokensTeacher": 20.0,
        "endsByItselfTeacher": 1.0,
        "repetitionTeacher": 0.0,
        "answerTokensBefore": 48.0,
        "endsByItselfBefore": 0.0,
        "repetitionBefore": pytest.approx(43 / 45),
        "answerTokensAfter": 20.0,
        "endsByItselfAfter": 1.0,
        "repetitionAfter": 0.0,
    }


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ([LOOP], "0% of its answers end by themselves, of the teacher's 100%; 96% of its 4-grams are repeated"),
        ([PROSE, LOOP, LOOP], "33% of its answers end by themselves, of the teacher's 100%; 64% of its 4-grams"),
        ([Answer(list(range(48)), False)], "0% of its answers end by themselves, of the teacher's 100%"),
        ([Answer([1] * 40, True)], "97% of its 4-grams are repeated, of the teacher's 0%"),
        ([NOTHING], "half of its answers or more are empty"),
        ([NOTHING, NOTHING, PROSE], "half of its answers or more are empty"),
    ],
)
def test_a_student_far_worse_than_the_teacher_is_told_of(after: list[Answer], told: str) -> None:
    comparison = compared([PROSE] * len(after), after)
    assert comparison.degeneration is not None
    assert comparison.degeneration.startswith(told)
    assert comparison.metrics({})["degenerateAfter"] == 1.0


@pytest.mark.parametrize(
    ("teacher", "after"),
    [
        ([PROSE], [PROSE]),
        ([PROSE, PROSE], [PROSE, Answer(list(range(48)), False)]),
        # The teacher was cut off too, so nothing can be expected of a student.
        ([Answer(list(range(48)), False)], [Answer(list(range(48)), False)]),
        # The teacher's answers are longer than any student's may be.
        ([Answer(list(range(300)), True)], [Answer(list(range(48)), False)]),
        ([LOOP], [LOOP]),
        ([NOTHING], [NOTHING]),
        ([], []),
        ([PROSE], []),
        ([], [LOOP]),
    ],
)
def test_a_student_that_does_as_its_teacher_is_not(teacher: list[Answer], after: list[Answer]) -> None:
    told = compared(teacher, after)
    assert told.degeneration is None
    assert told.metrics({})["degenerateAfter"] == 0.0


def test_without_answers_there_are_no_figures() -> None:
    told = compared([], [])
    assert told.as_json() == {"limit": 48, "models": [], "degeneration": None}
    names: dict[str, Any] = {TEACHER: "Teacher", "after": "After"}
    assert told.metrics(names) == {"degenerateAfter": 0.0}
