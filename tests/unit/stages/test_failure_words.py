"""What runtimes and libraries say of machines, other hosts and the storage, and what it is put down to: row by row."""

import os
import resource

import pytest

from distillation_api.reasons.reason import Cost
from distillation_stages.maxtext.log import TrainerLog
from distillation_stages.programs.generate.vllm_engine import engine_failure
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.failure_words import known_failure

_LIMITED = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] != resource.RLIM_INFINITY
NOT_LOCKED = ("AcceleratorDenied", Cost.FINAL_CONFIGURATION) if _LIMITED else ("SliceFailed", Cost.DISRUPTION)
"""What memory that can't be locked means here."""
ROWS = [
    ("open(/dev/vfio/0): Permission denied", "AcceleratorDenied", Cost.FINAL_CONFIGURATION),
    ("Couldn't open iommu group /dev/vfio/3: Operation not permitted", "AcceleratorDenied", Cost.FINAL_CONFIGURATION),
    ("open(/dev/accel0): Permission denied", "AcceleratorDenied", Cost.FINAL_CONFIGURATION),
    ("Could not lock 0x40000000 bytes starting at 0x7f00: Cannot allocate memory", *NOT_LOCKED),
    ("mlock(0x7f00, 0x40000000) failed", *NOT_LOCKED),
    ("Failed to map transfer buffer chunk for DMA: Cannot allocate memory", *NOT_LOCKED),
    ("open(/dev/vfio/0): Device or resource busy", "AcceleratorBusy", Cost.DISRUPTION),
    ("Couldn't open vfio container /dev/vfio/vfio", "AcceleratorBusy", Cost.DISRUPTION),
    ("The TPU is already in use by process with pid 9.", "AcceleratorBusy", Cost.DISRUPTION),
    ("Internal error when accessing libtpu multi-process lockfile. Remove /tmp/libtpu_lockfile", "AcceleratorBusy",
     Cost.DISRUPTION),
    ("INTERNAL: SLICE_FAILURE_CHIP_DRIVER_ERROR", "SliceFailed", Cost.DISRUPTION),
    ("UNAVAILABLE: Socket closed", "PeerLost", Cost.DISRUPTION),
    ("DEADLINE_EXCEEDED: Failed to connect to job-train-0-1.job:8471", "PeerLost", Cost.DISRUPTION),
    ("UNAVAILABLE: Task 1 heartbeat timeout", "PeerLost", Cost.DISRUPTION),
    ("UNAVAILABLE: The following tasks are unhealthy (stopped sending heartbeats): 1", "PeerLost", Cost.DISRUPTION),
    ("[Errno 28] No space left on device", "StorageFull", Cost.RETRIED),
    ("[Errno 122] Disk quota exceeded", "StorageFull", Cost.RETRIED),
    ('NOT_FOUND: Error writing "d/1" in OCDBT database', "StorageFailed", Cost.AWAY),
    ("[Errno 107] Transport endpoint is not connected: '/storage/x'", "StorageFailed", Cost.AWAY),
    ("[Errno 116] Stale file handle", "StorageFailed", Cost.AWAY),
    ("[Errno 5] Input/output error: '/storage/x'", "StorageFailed", Cost.AWAY),
]  # fmt: skip
of_one_host = pytest.mark.parametrize(
    ("text", "reason", "cost"),
    [row for row in ROWS if row[1] != "PeerLost"],
    ids=[r[0] for r in ROWS if r[1] != "PeerLost"],
)


LOCK = "E1127 12:00:00.000000 7 mlock.cc:88] Could not lock 0x40000 bytes starting at 0x7f00: Cannot allocate memory"
DMA = "E1127 12:00:00.000000 7 dma.cc:5] Failed to map transfer buffer chunk for DMA: Cannot allocate memory"
OPEN = "E1127 12:00:00.000000 7 device.cc:9] Couldn't open iommu group /dev/vfio/0: Permission denied"


def trained(*lines: str, has_peers: bool = True) -> StageError | None:
    log = TrainerLog(has_peers=has_peers)
    for line in lines:
        log.read(line)
    return log.failure(1, steps=20)


@pytest.mark.parametrize(("text", "reason", "cost"), ROWS, ids=[row[0] for row in ROWS])
def test_what_a_training_ends_with(text: str, reason: str, cost: Cost) -> None:
    """V22."""
    failure = trained(f"jaxlib.xla_extension.XlaRuntimeError: {text}")
    assert failure is not None
    assert (failure.reason.name, failure.reason.cost) == (reason, cost)
    assert text in failure.message


def test_a_process_that_jax_terminates_tells_without_the_word_error() -> None:
    """As jaxlib 0.10 has it."""
    line = (
        "client.cc:119] Terminating process because the JAX distributed service detected fatal errors. This most likely"
    )
    failure = trained(f"F0127 12:00:00.000000 7 {line}")
    assert failure is not None and failure.reason.name == "PeerLost"


@of_one_host
def test_what_a_teacher_ends_with(text: str, reason: str, cost: Cost) -> None:
    """V22."""
    failure = engine_failure(RuntimeError(text))
    assert failure is not None
    assert (failure.reason.name, failure.reason.cost) == (reason, cost)


def test_where_there_is_no_other_host_none_is_lost() -> None:
    line = "XlaRuntimeError: UNAVAILABLE: Socket closed"
    failure = trained(line, has_peers=False)
    assert failure is not None and failure.reason.name == "MaxTextFailed"
    assert known_failure(line, "It ended") is None


def test_a_slice_that_failed_is_told_by_libtpu_alone() -> None:
    failure = trained("F1125 slice.cc:9] SLICE_FAILURE_SW_INJECT_ERROR: chip 3", "RuntimeError: aborted")
    assert failure is not None and failure.reason.name == "SliceFailed"
    assert "SLICE_FAILURE_SW_INJECT_ERROR: chip 3" in failure.message


def test_a_host_without_memory_is_not_taken_for_one_that_lost_another() -> None:
    failure = trained("XlaRuntimeError: UNAVAILABLE: Socket closed", "XlaRuntimeError: RESOURCE_EXHAUSTED: HBM")
    assert failure is not None and failure.reason.name == "OutOfMemory"


def test_a_refused_configuration_is_told_though_a_connection_was_lost_before() -> None:
    failure = trained("XlaRuntimeError: UNAVAILABLE: Socket closed", "ValidationError: 1 validation error")
    assert failure is not None and failure.reason.name == "MaxTextRefused"


def test_what_grpc_says_of_locked_memory_denies_nothing() -> None:
    """Lines that libtpu 0.0.52 logs where all is well."""
    line = "Tx zero-copy will not be used by gRPC since RLIMIT_MEMLOCK value is not set. Use ulimit -l <value>"
    assert known_failure(line, "It ended") is None


def test_who_may_not_lock_memory_is_told_by_libtpu_alone() -> None:
    """Its own lines are no Python errors, and what Python says after them is the same for everything."""
    error = "RuntimeError: Unable to initialize backend 'tpu': UNKNOWN: TPU initialization failed"
    for line, reason in (LOCK, NOT_LOCKED[0]), (DMA, NOT_LOCKED[0]), (OPEN, "AcceleratorDenied"):
        for lines in (line, error), (line,):
            failure = trained(*lines)
            assert failure is not None and failure.reason.name == reason
            assert all(one.rpartition("] ")[2] in failure.message for one in lines)
            assert len(failure.message) < 1000


@pytest.mark.parametrize(
    "error",
    [
        "jax.errors.JaxRuntimeError: INTERNAL: something odd while compiling",
        "ValueError: Found incomplete checkpoint",
    ],
)
@pytest.mark.parametrize("before", [
    LOCK, DMA, OPEN,
    "RuntimeError: Could not lock 0x40000 bytes starting at 0x7f00: Cannot allocate memory",
    "OSError: open(/dev/vfio/0): Permission denied",
])  # fmt: skip
def test_what_the_driver_got_over_does_not_hide_the_trainers_own_error(before: str, error: str) -> None:
    failure = trained(before, error)
    assert failure is not None and failure.reason.name == "MaxTextFailed" and not failure.reason.is_final
    assert error in failure.message


def test_what_the_driver_got_over_hides_no_failure_of_the_machine() -> None:
    failure = trained("F1125 slice.cc:9] SLICE_FAILURE_SW_INJECT_ERROR: chip 3", LOCK, "RuntimeError: aborted")
    assert failure is not None and failure.reason.name == "SliceFailed"
    assert "SLICE_FAILURE_SW_INJECT_ERROR: chip 3" in failure.message and "RuntimeError: aborted" in failure.message


@pytest.mark.parametrize("line", [LOCK, DMA, DMA.replace("Cannot allocate memory", "Operation not permitted")])
def test_no_limit_denies_memory_where_there_is_none(line: str) -> None:
    limited = known_failure(line, "It ended", memory_limited=True)
    assert (
        limited is not None and limited.reason.name == "AcceleratorDenied" and "acceleratorProfile" in limited.message
    )
    free = known_failure(line, "It ended", memory_limited=False)
    assert free is not None and free.reason.cost is Cost.DISRUPTION and free.reason.name == "SliceFailed"
    assert "acceleratorProfile" not in free.message and "nothing limits it" in free.message
    device = known_failure(OPEN, "It ended", memory_limited=False)
    assert device is not None and device.reason.name == "AcceleratorDenied"


def test_what_could_not_be_locked_before_a_step_did_not_end_the_training() -> None:
    failure = trained(
        "E1127 mlock.cc:88] Could not lock all pages with flags 0x1", "completed step: 1, loss: 2.0", "OddError: boom"
    )
    assert failure is not None and failure.reason.name == "MaxTextFailed"


def test_who_may_not_open_the_accelerator_reads_what_the_pod_may() -> None:
    failure = known_failure("open(/dev/vfio/0): Permission denied", "It ended")
    assert failure is not None
    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    limit = "without limit" if hard == resource.RLIM_INFINITY else f"at most {hard} bytes"
    assert f"(uid {os.getuid()}; may lock memory {limit})" in failure.message
    assert "GKE 1.28" in failure.message and "stagePods.acceleratorProfile" in failure.message
