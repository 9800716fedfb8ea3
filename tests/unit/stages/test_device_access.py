"""What a program may do with the accelerator's devices: real limits, and real files that a real user can't open."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from distillation_api.contract import (
    STAGE_SPEC_ENV,
    FetchProgram,
    GenerateProgram,
    Sampling,
    Source,
    StageFailure,
    StageSpec,
)
from distillation_operator.manifests.reading import parse_outcome
from distillation_stages.runtime.failure_words import known_failure
from support.scenario import BEFORE_GENERATE, Given
from unit.stages.pod_users import AS_STAGE_USER, STAGE_USER, open_folder

MIB = 2**20


def run(code: str, soft: int, hard: int, before: str = "", **variables: str) -> str:
    """What a program of its own prints that has the stages' user and these limits of locked memory, in bytes.

    ``before``: what it imports as another user.
    """
    done = subprocess.run(
        ["prlimit", f"--memlock={soft}:{hard}", sys.executable, "-c", before + AS_STAGE_USER + code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def dev() -> Iterator[Path]:
    """A folder that the stages' user can enter."""
    with open_folder() as folder:
        yield folder


LIFT = """
lift_locked_memory()
print(*resource.getrlimit(resource.RLIMIT_MEMLOCK), rights())
"""


def test_the_soft_limit_of_locked_memory_is_raised_to_the_hard_one() -> None:
    told = run(LIFT, soft=MIB, hard=4 * MIB)
    assert told == f"{4 * MIB} {4 * MIB} uid {STAGE_USER}; may lock memory at most {4 * MIB} bytes"


def test_every_program_starts_with_the_limit_raised(dev: Path) -> None:
    spec = StageSpec(
        stage="fetch-teacher",
        fingerprint="f1",
        output="fetch",
        program=FetchProgram(source=Source(path="models/teacher"), role="teacher"),
    )
    variables = {
        STAGE_SPEC_ENV: spec.model_dump_json(),
        "STORAGE_MOUNT": str(dev),
        "TERMINATION_LOG": str(dev / "message"),
    }
    dev.chmod(0o777)
    told = run("print(main(), *resource.getrlimit(resource.RLIMIT_MEMLOCK))", MIB, 4 * MIB, **variables)
    assert told.split()[1:] == [str(4 * MIB)] * 2
    assert StageFailure.model_validate_json((dev / "message").read_text()).stage == "fetch-teacher"


def chips(folder: Path, *modes: int, name: str = "vfio/{}") -> Path:
    """A /dev with files of these modes, all of root's, as the device plugin of a node gives them."""
    (folder / "vfio").mkdir()
    (folder / "vfio" / "vfio").touch(0o666)
    for index, mode in enumerate(modes):
        path = folder / name.format(index)
        path.touch()
        path.chmod(mode)
    return folder


def asked(dev: Path) -> str:
    """What a program with the stages' user is told."""
    code = f"""
try:
    require_devices(Path({str(dev)!r}))
except StageError as error:
    print(error.reason.name, error.reason.exit_code, error.message)
"""
    return run(code, soft=MIB, hard=MIB)


@pytest.mark.parametrize("name", ["vfio/{}", "accel{}"])
def test_chips_that_cannot_be_opened_are_told_before_anything_is_imported(dev: Path, name: str) -> None:
    told = asked(chips(dev, 0o600, 0o600, name=name))
    assert told == (
        f"AcceleratorDenied 78 Permission denied for {dev / name.format(0)} (mode 0600, of uid 0 and gid 0), and so "
        "for all 2 chips of this pod. Take node pools of GKE 1.28 or newer, where that needs no privilege, or have the "
        "chart's value stagePods.acceleratorProfile set to LockedMemory "
        f"(uid {STAGE_USER}; may lock memory at most {MIB} bytes)"
    )


@pytest.mark.parametrize("modes", [(0o666,), (0o600, 0o666), ()], ids=["open", "one is open", "no chips"])
def test_where_a_chip_can_be_opened_its_driver_has_the_word(dev: Path, modes: tuple[int, ...]) -> None:
    assert asked(chips(dev, *modes)) == ""


def test_who_is_root_already_reads_of_the_next_profile() -> None:
    failure = known_failure("open(/dev/vfio/0): Operation not permitted", "It ended")
    assert failure is not None
    assert ("acceleratorProfile set to Privileged" in failure.message) is (os.getuid() == 0)


def test_a_refused_limit_changes_nothing() -> None:
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    told = run(LIFT, soft=0, hard=0)
    assert told.startswith("0 0 ") and resource.getrlimit(resource.RLIMIT_MEMLOCK) == before


def test_a_limit_that_is_too_low_for_the_driver_is_told_with_the_limit() -> None:
    before = "from distillation_stages.programs.generate.vllm_engine import engine_failure"
    code = """
lift_locked_memory()
error = engine_failure(RuntimeError("Could not lock 0x40000000 bytes starting at 0x7f00: Cannot allocate memory"))
print(error.reason.name, error.message)
"""
    told = run(code, soft=MIB, hard=8 * MIB, before=before)
    assert told.startswith("AcceleratorDenied vLLM ended with RuntimeError: Could not lock 0x40000000 bytes")
    assert "acceleratorProfile set to LockedMemory" in told
    assert told.endswith(f"(uid {STAGE_USER}; may lock memory at most {8 * MIB} bytes)")


DEV_OF_A_POD = """
mount -t tmpfs none /dev
mknod -m 666 /dev/null c 1 3
mknod -m 666 /dev/urandom c 1 9
mkdir /dev/vfio
mknod -m 666 /dev/vfio/vfio c 10 196
mknod -m 600 /dev/vfio/0 c 511 0
exec "$@"
"""
"""As a container has it on a node whose device files are root's."""


def test_a_teacher_whose_chip_is_roots_ends_for_good_before_it_imports_its_engine(dev: Path) -> None:
    """As its pod runs it: the status has the reason, what is denied and what to do, within seconds."""
    sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=8, seed=0)
    program = GenerateProgram(
        model="fetch", dataset="prepare", shards=1, chunk_rows=1, max_model_len=16, sampling=sampling
    )
    spec = StageSpec(stage="generate", fingerprint="f1", output="generate", program=program)
    dev.chmod(0o777)
    begun = time.monotonic()
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-euc", DEV_OF_A_POD, "sh", sys.executable, "-c",
         AS_STAGE_USER + "import sys; sys.exit(main())"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "JOB_COMPLETION_INDEX": "0",
            STAGE_SPEC_ENV: spec.model_dump_json(by_alias=True),
            "STORAGE_MOUNT": str(dev),
            "TERMINATION_LOG": str(dev / "message"),
        },
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 78, done.stderr
    assert time.monotonic() - begun < 10
    outcome = parse_outcome((dev / "message").read_text())
    assert isinstance(outcome, StageFailure) and outcome.permanent
    given = Given().done(*BEFORE_GENERATE).gave_up("generate", outcome.reason, outcome.message, ago=0)
    told = given.decide().status
    assert told.phase == "Failed"
    [reason] = [one for one in told.conditions if one.type == "Failed"]
    assert (reason.reason, reason.status) == ("AcceleratorDenied", "True")
    assert "Permission denied for /dev/vfio/0 (mode 0600, of uid 0 and gid 0)" in reason.message
    assert "stagePods.acceleratorProfile set to LockedMemory" in reason.message
