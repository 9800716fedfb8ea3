"""Steps and rows belong together: what can't be trained fails as soon as the rows are counted, before a pod starts."""

from typing import Any

import pytest

from support.scenario import SOURCES, Given, Seen


def prepared(train: int, *stages: dict[str, Any], **members: Any) -> Given:
    """All sources are there and ``train`` rows are for training."""
    given = Given(training={"stages": [{"name": "one", **stage} for stage in stages]}, **members)
    return given.completed("prepare-dataset", counts={"train": train, "kept": train + 8}).done(
        *SOURCES[:2], "preflight"
    )


def message(seen: Seen) -> str:
    stage = seen.stage("pack-one")
    assert (stage.state, stage.reason) == ("Failed", "TooFewRows")
    assert seen.holds("Failed")
    return stage.message or ""


def test_more_steps_than_the_data_gives_fail_before_the_teacher_is_asked() -> None:
    seen = prepared(39, {"steps": 20}).decide()
    assert message(seen) == (
        "20 steps of 2 rows read 40, but TeacherCompletions has 39 training rows, read at most once; lower steps to 19 "
        "or set epochs to 2."
    )
    assert seen.created == []


@pytest.mark.parametrize(
    "stage",
    [
        {"steps": 19},
        {"steps": 20, "epochs": 2},
        {"epochs": 1},
        {"steps": 19, "data": "OriginalDataset"},
    ],
)
def test_what_the_data_gives_is_trained(stage: dict[str, Any]) -> None:
    assert "generate/0" in prepared(39, stage).decide().created


def test_epochs_bound_the_steps() -> None:
    seen = prepared(39, {"steps": 50, "epochs": 2}).decide()
    assert "read at most 2 times; lower steps to 39 or set epochs to 3." in message(seen)


def test_several_samples_are_several_rows() -> None:
    sampled = {"sampling": {"temperature": 1.0, "samplesPerPrompt": 3}}
    assert "generate/0" in prepared(39, {"steps": 58}, generation=sampled).decide().created
    assert "has 117 training rows" in message(prepared(39, {"steps": 59}, generation=sampled).decide())


def test_fewer_rows_than_one_batch_fail() -> None:
    told = message(prepared(3, {"epochs": 5, "perDeviceBatchSize": 4}).decide())
    assert told.startswith("TeacherCompletions has 3 training rows, one step reads 4")


def test_hosts_and_gradient_accumulation_read_more() -> None:
    stage = {"steps": 5, "hosts": 2, "parallelism": {"fsdp": 2}, "gradientAccumulationSteps": 4}
    assert "5 steps of 16 rows read 80" in message(prepared(79, stage).decide())
    assert "generate/0" in prepared(80, stage).decide().created


def test_every_answer_may_be_a_row() -> None:
    """A template that renders earlier answers otherwise than the last makes a row of each."""
    stage = {"steps": 20, "data": "OriginalDataset", "trainOn": "EveryAssistantTurn"}

    def counted(**counts: int) -> Given:
        return prepared(39, stage).completed("prepare-dataset", counts={"train": 39, "kept": 47, **counts})

    assert "generate/0" in counted(answers=40).decide().created
    assert message(counted(answers=39).decide()).startswith(
        "20 steps of 2 rows read 40, but OriginalDataset has at most 39 training rows (one for each answer), "
        "read at most once; lower steps to 19"
    )
    # Prepared by an operator that didn't count them: the stage's program tells.
    assert "generate/0" in counted().decide().created


def test_rows_that_the_teacher_lost_count() -> None:
    given = prepared(40, {"steps": 20}).done("convert-student")
    assert "pack-one/0" in given.completed("generate", counts={"train": 40}).decide().created
    given = prepared(40, {"steps": 20}).done("convert-student")
    assert "has 39 training rows" in message(given.completed("generate", counts={"train": 39}).decide())


def test_a_finished_training_is_not_judged_again() -> None:
    given = prepared(40, {"steps": 20}).done("convert-student", "pack-one")
    seen = given.completed("generate", counts={"train": 3}).decide()
    assert seen.stage("pack-one").state == "Complete"
