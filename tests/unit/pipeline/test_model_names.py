"""A status and an Event tell MaxText's name of a model, and where it is from."""

from typing import Any

from distillation_operator.pipeline.status.events import transitions
from support.scenario import Given

STUDENT: dict[str, Any] = {"source": {"path": "models/student"}}
FOUND: dict[str, Any] = {"settings": {"model_name": "llama3.1-8b"}}


def completed(given: Given, stage: str, **result: Any) -> tuple[str | None, list[str]]:
    """The message of the stage when its pod has told this result, and the Events about it."""
    given.act()
    before = given.status
    seen = given.completed(stage, **result).decide()
    assert seen.stage(stage).state == "Complete"
    assert seen.stage(stage).reason is None
    events = [event.message for event in transitions(before, seen.status) if event.message.startswith(f"{stage} ")]
    return seen.stage(stage).message, events


def test_a_name_that_was_found_is_told() -> None:
    message, events = completed(Given(student=STUDENT), "fetch-student", **FOUND)
    assert message == "MaxText runs it as llama3.1-8b, found from config.json."
    assert events == ["fetch-student is complete. MaxText runs it as llama3.1-8b, found from config.json."]


def test_a_name_that_was_given_is_told_whatever_was_found() -> None:
    given = Given(student={**STUDENT, "maxTextModel": "llama2-7b"})
    message, events = completed(given, "fetch-student", reused=True, **FOUND)
    assert message == "MaxText runs it as llama2-7b, as maxTextModel says."
    assert events == [f"fetch-student is complete (found done in the storage). {message}"]


def test_of_a_teacher_that_only_answers_nothing_is_told() -> None:
    assert completed(Given(), "fetch-teacher", **FOUND) == (None, ["fetch-teacher is complete."])


def test_of_a_teacher_whose_logits_are_matched_the_name_is_told() -> None:
    matching = {"name": "one", "objective": "LogitMatching", "steps": 10}
    message, _ = completed(Given(training={"stages": [matching]}), "fetch-teacher", **FOUND)
    assert message == "MaxText runs it as llama3.1-8b, found from config.json."


def test_a_result_of_an_older_image_tells_no_name() -> None:
    assert completed(Given(student=STUDENT), "fetch-student")[0] is None


def test_what_is_told_stays_while_the_job_goes_on() -> None:
    given = Given(student=STUDENT)
    message, _ = completed(given, "fetch-student", **FOUND)
    assert given.act().stage("fetch-student").message == message
