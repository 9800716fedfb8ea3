"""Online logit matching by MaxText's own trainer: the student comes nearer to the teacher, in the steps asked for."""

import json
import signal
from pathlib import Path

import pytest

from distillation_api.contract import EXIT_TERMINATED, LogitMatching
from distillation_stages.runtime.storage import Storage
from e2e.training_storage import Training, copy_of, counting_rows, packed, prepared, train_program

STEPS = 12
MATCHING = LogitMatching(teacher="convert-teacher", alpha=1.0, temperature=1.0, beta=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the storage and the programs' logs."""
    return tmp_path_factory.mktemp("logit-matching")


@pytest.fixture(scope="module")
def storage(folder: Path, converted_models: Storage) -> Storage:
    """A storage with teacher and student converted."""
    storage = copy_of(converted_models, folder / "storage")
    prepared(storage, counting_rows(16))
    packed(storage, folder / "packed")
    return storage


def history(training: Training) -> list[dict[str, float]]:
    path = training.storage.at(training.result().outputs["history"])
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def matched(storage: Storage, folder: Path) -> Training:
    """A training that got a SIGTERM after its fifth step, and went on to its end."""
    training = Training(storage, folder, train_program(steps=STEPS, objective=MATCHING), "train-logits")
    code = training.run_until(lambda line: "completed step: 5," in line, signal.SIGTERM)
    assert code == EXIT_TERMINATED, training.output()
    training.run()
    return training


@pytest.mark.timeout(900)
def test_the_student_comes_nearer_to_the_teacher_in_as_many_steps_as_asked(matched: Training) -> None:
    """M5: MaxText's trainer ignores the steps."""
    told = history(matched)
    assert [line["step"] for line in told] == list(range(1, STEPS + 1))
    assert told[-1]["klToTeacher"] < 0.95 * told[0]["klToTeacher"]
    # alpha is 1: there is nothing else in the loss.
    assert told[-1]["loss"] == pytest.approx(told[-1]["klToTeacher"], rel=0.01)
    output = matched.storage.at("train-logits") / "run"
    assert matched.result().outputs["checkpoint"] == f"train-logits/run/checkpoints/{STEPS}/model_params"
    assert list((output / "tensorboard").rglob("events.out.tfevents.*"))


@pytest.mark.timeout(900)
def test_a_termination_costs_no_step(matched: Training) -> None:
    """M6: no checkpoint was due when it came."""
    counts = matched.result().counts
    assert (counts["steps"], counts["restarts"], counts["repeatedSteps"]) == (STEPS, 1, 0)


@pytest.mark.timeout(900)
def test_logit_matching_follows_sft_from_its_checkpoint(matched: Training, storage: Storage, folder: Path) -> None:
    """With the feature loss on, which MaxText computes only by its newer model code."""
    trained = Training(storage, folder, train_program(steps=3), "train-sft").run()
    matching = MATCHING.model_copy(update={"alpha": 0.5, "beta": 0.1, "alpha_end": 0.2, "alpha_schedule": "Linear"})
    program = train_program(steps=3, start="train-sft", objective=matching)
    mixed = Training(storage, folder, program, "train-mixed")
    result = mixed.run()
    assert result.counts["steps"] == 3
    assert result.settings == trained.settings
    # On the same rows, it starts elsewhere than the training that started from the converted model.
    assert history(mixed)[0]["klToTeacher"] != pytest.approx(history(matched)[0]["klToTeacher"], rel=0.001)
