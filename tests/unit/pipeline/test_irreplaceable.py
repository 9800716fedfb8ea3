"""Which statuses may wait for what follows, and which are written at once."""

from distillation_operator.pipeline.status.irreplaceable import cannot_wait
from support.scenario import ALL, BEFORE_TRAINING, Given


def changed(given: Given, change: Given) -> bool:
    """Whether what the last change leads to is written at once."""
    before = given.status
    return cannot_wait(before, change.act().status)


def training() -> Given:
    given = Given().done(*BEFORE_TRAINING).child("train-one").running_pod("train-one")
    given.act()
    return given


def test_what_the_children_show_again_may_wait() -> None:
    given = Given().child("fetch-teacher")
    assert not cannot_wait(None, given.act().status)
    assert not changed(given, given.pod("fetch-teacher"))
    assert not changed(given, given.running_pod("fetch-teacher"))
    assert not changed(given, given.completed("fetch-teacher"))


def test_an_attempt_that_counts_is_written_at_once() -> None:
    given = training()
    assert changed(given, given.crashed("train-one", ago=3600))


def test_the_end_is_written_at_once() -> None:
    given = Given().done(*ALL[:-1]).child("evaluate").running_pod("evaluate")
    given.act()
    assert changed(given, given.completed("evaluate"))
    given = training()
    assert changed(given, given.gave_up("train-one", "MissingColumn", "no column"))


def test_an_answer_to_the_user_is_written_at_once() -> None:
    given = training()
    assert changed(given, given.spec(suspend=True))
    assert changed(given, given.spec(suspend=False))
    assert changed(given, given.spec(ttlSecondsAfterFinished=7))
