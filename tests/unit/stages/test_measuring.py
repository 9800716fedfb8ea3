"""What a program finds of its own processes and its pod."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from distillation_api.contract import Measurements
from distillation_stages.runtime.measuring import device_files, locked_memory, measured, shared_memory

STARTS_A_HUNGRY_ONE = """
import subprocess, sys
from distillation_stages.runtime.measuring import peak_memory

before = peak_memory()
hungry = "held = bytearray(200 << 20); print(len(held), flush=True); input()"
process = subprocess.Popen([sys.executable, "-c", hungry], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
process.stdout.readline()
running = peak_memory()
process.communicate(b"\\n")
print(before, running, peak_memory())
"""


def test_the_memory_of_what_was_started_counts_while_it_runs_and_after() -> None:
    """In a process of its own: this one has started others."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", STARTS_A_HUNGRY_ONE]
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    before, running, ended = map(int, said.stdout.split())
    assert before + (150 << 20) < running < before + (300 << 20)
    assert before + (150 << 20) < ended < before + (300 << 20)


@pytest.mark.parametrize(
    ("files", "chips"),
    [
        pytest.param(["vfio/0", "vfio/1", "vfio/2", "vfio/3", "vfio/vfio"], 4, id="v5e and later"),
        pytest.param(["accel0", "accel1"], 2, id="v4"),
        pytest.param(["null", "vfio/vfio"], 0, id="none"),
    ],
)
def test_chips_are_counted_by_their_files(tmp_path: Path, files: list[str], chips: int) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert device_files(tmp_path) == chips


def test_the_pod_is_told_as_it_is() -> None:
    hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    assert locked_memory() == (-1 if hard == resource.RLIM_INFINITY else hard)
    assert shared_memory(Path("/no/such/folder")) is None
    found = measured(3, 0.5, devices=2)
    assert (found.units, found.unit_seconds, found.devices, found.uid) == (3, 0.5, 2, os.getuid())


def test_what_is_measured_is_read_again() -> None:
    found = Measurements(units=3, unit_seconds=0.25, locked_memory=-1, host_memory=2.0**31)
    told = {name: f"{value:.12g}" for name, value in found.metrics().items()}
    assert Measurements.read({**told, "loss": "1"}) == found
