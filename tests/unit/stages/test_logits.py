"""When two models count as the same."""

import math

import numpy
import pytest

from distillation_api import reasons
from distillation_stages.maxtext.logits import Comparison, compare
from distillation_stages.runtime.failure import StageError


def test_a_close_model_passes() -> None:
    Comparison(kl=5e-5, top1_agreement=0.99, tokens=277).require(
        reasons.CONVERSION_DISAGREES, "They disagree", 0.01, 0.97
    )


@pytest.mark.parametrize(("kl", "agreement"), [(4.38, 0.99), (5e-5, 0.5), (math.nan, 0.99), (5e-5, math.nan)])
def test_a_distant_model_is_refused_with_values_and_thresholds(kl: float, agreement: float) -> None:
    with pytest.raises(StageError, match=r"at most 0\.01.*at least 0\.97") as caught:
        Comparison(kl, agreement, tokens=277).require(reasons.CONVERSION_DISAGREES, "They disagree", 0.01, 0.97)
    assert caught.value.reason.name == "ConversionDisagrees"


def test_equal_logits_have_no_distance_whatever_is_added_to_them() -> None:
    logits = numpy.random.default_rng(0).normal(size=(2, 4, 8))
    compared = compare(logits, logits + 3.0, [4, 4])
    assert compared.kl == pytest.approx(0, abs=1e-12)
    assert compared.top1_agreement == 1.0


def test_padding_does_not_count() -> None:
    logits = numpy.random.default_rng(0).normal(size=(2, 4, 8))
    other = logits.copy()
    other[:, 2:] = -logits[:, 2:]
    compared = compare(logits, other, [2, 2])
    assert (compared.tokens, compared.top1_agreement) == (4, 1.0)


@pytest.mark.parametrize("swapped", [False, True])
def test_rows_that_one_vocabulary_is_padded_with_do_not_count(swapped: bool) -> None:
    """MaxText has 128 more of Gemma 2, and 64 less than some files of Gemma 3."""
    logits = numpy.random.default_rng(0).normal(size=(2, 4, 8))
    padded = numpy.pad(logits, ((0, 0), (0, 0), (0, 3)))
    compared = compare(padded, logits, [4, 4]) if swapped else compare(logits, padded, [4, 4])
    assert compared.kl == pytest.approx(0, abs=1e-12)
    assert compared.top1_agreement == 1.0


def test_distance_is_measured() -> None:
    reference = numpy.log(numpy.array([[[0.9, 0.1]]]))
    other = numpy.log(numpy.array([[[0.1, 0.9]]]))
    compared = compare(reference, other, [1])
    assert compared.kl == pytest.approx(0.8 * math.log(9))
    assert compared.top1_agreement == 0.0


@pytest.mark.parametrize(("gap", "agreement"), [(0.001, 1.0), (0.04, 1.0), (0.06, 0.0), (1.0, 0.0)])
def test_a_token_that_is_as_likely_as_the_first_is_no_disagreement(gap: float, agreement: float) -> None:
    """Rounding orders such a pair either way; the wrong token by far is what a wrong conversion shows."""
    reference = numpy.array([[[2.0, 2.0 - gap, 0.0]]])
    other = numpy.array([[[2.0 - gap, 2.0, 0.0]]])
    assert compare(reference, other, [1]).top1_agreement == agreement
