"""How many objects are listed at once follows from how large they are."""

import pytest

from distillation_operator.controller.pages import BYTES, FIRST, MOST, next_page


@pytest.mark.parametrize("size", [1, 2_000, 200_000, 1_500_000])
def test_a_page_of_like_objects_has_at_most_two_megabytes_or_one_object(size: int) -> None:
    count = FIRST
    for _ in range(3):
        count = next_page(count, count * size)
    assert 1 <= count <= MOST
    assert count == 1 or count * size <= BYTES


def test_small_objects_come_in_few_pages_and_an_empty_page_ends_nothing() -> None:
    count = FIRST
    for _ in range(3):
        count = next_page(count, count * 4_000)
    assert count == MOST
    assert next_page(0, 400) == 1
