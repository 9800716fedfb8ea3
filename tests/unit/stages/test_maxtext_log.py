"""What is read from a trainer's output, and what its end is put down to."""

import math

import pytest

from distillation_stages.maxtext.log import TrainerLog, parse_step
from distillation_stages.runtime.failure import StageError
from unit.stages.training_inputs import distill_line, step_line


def ended(*lines: str, exit_code: int = 1) -> StageError | None:
    log = TrainerLog()
    for line in lines:
        log.read(line)
    return log.failure(exit_code, steps=20)


def test_a_step_line_is_read() -> None:
    step = parse_step(step_line(7, loss="4.021", weights=84))
    assert step is not None
    assert (step.number, step.loss, step.total_weights) == (7, 4.021, 84)
    assert (step.seconds, step.tokens_per_second) == (1.25, 409.6)


def test_a_step_of_logit_matching_tells_the_distance_to_the_teacher() -> None:
    step = parse_step(distill_line(7))
    assert step is not None
    assert (step.number, step.loss, step.total_weights, step.seconds) == (7, 2.5, 90, 2.0)
    assert step.metrics() == {"loss": 2.5, "learningRate": 0.0003, "klToTeacher": 1.25}


def test_a_learning_rate_told_before_its_step_belongs_to_it() -> None:
    log = TrainerLog()
    log.read("I1125 09:05:31.153000 19877 maxtext_start.py:60] learning rate of step 4: 0.00025")
    steps = [log.read(step_line(number)) for number in (3, 4)]
    assert [step.metrics().get("learningRate") for step in steps if step] == [None, 0.00025]


def test_a_loss_that_is_not_finite_is_read() -> None:
    step = parse_step(step_line(7, loss="nan"))
    assert step is not None
    assert math.isnan(step.loss)


@pytest.mark.parametrize("line", ["", "Completed eval step: 3, loss: 1.0", "completed steps"])
def test_other_lines_are_no_steps(line: str) -> None:
    assert parse_step(line) is None


def test_a_clean_end_has_no_failure() -> None:
    assert ended(step_line(1), step_line(20), exit_code=0) is None


def test_swallowed_data_errors_are_failures_though_the_exit_code_is_0() -> None:
    """M1."""
    failure = ended("I1125 hooks.py:1] Exception in load_next_train_batch: list index out of range", exit_code=0)
    assert failure is not None and failure.reason.is_final
    assert failure.reason.name == "TrainingDataRefused"
    assert "list index out of range" in failure.message
    assert "before the first step" in failure.message


def test_the_end_of_the_data_is_no_data_error() -> None:
    assert ended("Exception in load_next_train_batch: Run out of shards on host 0, shard 1", exit_code=0) is None


@pytest.mark.parametrize(
    "line", [step_line(6, loss="nan"), step_line(6, loss="inf"), "Aborting training due to NaN loss."]
)
def test_a_loss_that_is_not_finite_is_permanent_and_names_the_last_good_step(line: str) -> None:
    """M13."""
    failure = ended(step_line(5), line)
    assert failure is not None and failure.reason.is_final
    assert failure.reason.name == "LossNotFinite"
    assert "last finite at step 5" in failure.message


def test_the_last_real_error_is_shown_not_the_noise_of_the_shutdown() -> None:
    failure = ended(
        "ValueError: the real reason",
        "Exception ignored in: <function Foo.__del__>",
        "RuntimeError: can't create new thread at interpreter shutdown",
    )
    assert failure is not None
    assert "the real reason" in failure.message
    assert "interpreter" not in failure.message


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("pydantic_core.ValidationError: 1 validation error for MaxTextConfig", "MaxTextRefused"),
        ("ValueError: No valid Orbax checkpoint found at '/x'", "MaxTextRefused"),
        ("AttributeError: 'X' object has no attribute '_checkpointer'", "IncompatibleImage"),
        ("XlaRuntimeError: RESOURCE_EXHAUSTED: out of memory", "OutOfMemory"),
        ("MemoryError: Unable to allocate 9 GiB", "OutOfHostMemory"),
        ("ModuleNotFoundError: No module named 'tunix.rl'", "IncompatibleImage"),
        ("ImportError: cannot import name 'nnx' from 'flax'", "IncompatibleImage"),
        ("OSError: [Errno 28] No space left on device", "StorageFull"),
        ("KeyError: 'x'", "MaxTextFailed"),
    ],
)
def test_errors_are_told_apart(line: str, reason: str) -> None:
    """M9: libraries that don't fit together; S4: a full disk."""
    failure = ended(line)
    assert failure is not None and failure.reason.name == reason


SHUTTING_DOWN = "ImportError: sys.meta_path is None, Python is likely shutting down"
SAVE_FAILED = 'ValueError: NOT_FOUND: Error writing "d/1" in OCDBT database at local file "/storage/checkpoints/5/"'


def test_a_failed_asynchronous_save_is_a_failure_of_the_storage_not_of_the_image() -> None:
    failure = ended(step_line(5), SAVE_FAILED, *[SHUTTING_DOWN] * 18)
    assert failure is not None and not failure.reason.is_final
    assert failure.reason.name == "StorageFailed"
    assert "OCDBT" in failure.message and "after step 5 of 20" in failure.message


def test_the_end_after_a_failed_save_has_errors_of_its_own() -> None:
    failure = ended(SAVE_FAILED, "AttributeError: 'NoneType' object has no attribute 'close'", SHUTTING_DOWN)
    assert failure is not None and failure.reason.name == "StorageFailed"
    assert SAVE_FAILED in failure.message and "'NoneType' object has no attribute 'close'" in failure.message


def test_an_error_that_training_got_over_explains_no_later_crash() -> None:
    failure = ended(SAVE_FAILED, step_line(5), "KeyError: 'x'")
    assert failure is not None and failure.reason.name == "MaxTextFailed"


def test_an_ending_interpreter_alone_tells_nothing_of_the_image() -> None:
    failure = ended(SHUTTING_DOWN)
    assert failure is not None and failure.reason.name == "MaxTextFailed"


def test_a_refused_configuration_is_permanent_whatever_error_follows() -> None:
    """M8: a setting of another version."""
    failure = ended(
        "E1125 pyconfig.py:360] MAXTEXT CONFIG ERROR: 'enable_nnx' not in 'emb_dim', 'mlp_dim'",
        "ValueError: 'enable_nnx' not in 'emb_dim', 'mlp_dim'",
    )
    assert failure is not None and failure.reason.is_final
    assert failure.reason.name == "MaxTextRefused"
    assert "'enable_nnx' not in" in failure.message


def test_a_killed_trainer_ran_out_of_memory() -> None:
    failure = ended(step_line(3), exit_code=-9)
    assert failure is not None
    assert failure.reason.name == "OutOfHostMemory"
    assert "after step 3 of 20" in failure.message
