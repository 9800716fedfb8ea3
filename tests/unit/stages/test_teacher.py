"""What errors of the engine and of the accelerator's runtime mean: whether to try again, and what would help."""

import pytest

from distillation_stages.programs.generate.vllm_engine import engine_failure


@pytest.mark.parametrize(
    "text",
    [
        "RESOURCE_EXHAUSTED: Error allocating device buffer: Attempting to allocate 1.2G. That was not possible.",
        "XlaRuntimeError: RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm.",
        "No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
        "To serve at least one request ... Based on the available memory, the estimated maximum model length is 512",
    ],
)
def test_an_accelerator_too_small_is_no_matter_of_trying_again(text: str) -> None:
    """V9."""
    failure = engine_failure(RuntimeError(text))
    assert failure is not None and failure.reason.is_final
    assert failure.reason.name == "OutOfMemory"
    assert "topology" in failure.message and "maxModelLen" in failure.message


@pytest.mark.parametrize(
    "text",
    [
        "The TPU is already in use by process with pid 7.",
        "open(/dev/vfio/0): Device or resource busy",
        'Internal error when accessing libtpu multi-process lockfile. Run "$ sudo rm /tmp/libtpu_lockfile".',
    ],
)
def test_a_busy_accelerator_is_tried_again_by_a_fresh_pod(text: str) -> None:
    """V22."""
    failure = engine_failure(RuntimeError(text))
    assert failure is not None and not failure.reason.is_final
    assert failure.reason.name == "AcceleratorBusy"


def test_memory_that_other_pods_hold_now_may_be_free_later() -> None:
    failure = engine_failure(ValueError("Available memory on node 0 (3.1/15.6 GiB) is less than desired"))
    assert failure is not None and not failure.reason.is_final


def test_other_errors_stay_what_they_are() -> None:
    assert engine_failure(ValueError("unknown architecture")) is None
