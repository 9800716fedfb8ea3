"""What processes share: room on the machine, and limits of the container around it."""

from fractions import Fraction
from pathlib import Path

from distillation_operator.local.capacity import Requests, requests_of
from distillation_operator.local.machine import capacity, chips_here

GIB = Fraction(2**30)


def test_the_limits_of_a_container_are_the_machines(tmp_path: Path) -> None:
    whole = capacity(cgroup=tmp_path)
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "memory.max").write_text(f"{2**20}\n")
    limited = capacity(cgroup=tmp_path)
    assert limited == Requests(Fraction(1), Fraction(2**20), whole.chips)
    assert limited.cores <= whole.cores and limited.memory < whole.memory
    for name in ("cpu.max", "memory.max"):
        (tmp_path / name).write_text("max 100000\n" if name == "cpu.max" else "max\n")
    assert capacity(cgroup=tmp_path) == whole
    assert capacity(3, cgroup=tmp_path).cores == 3


def test_chips_are_counted_by_their_files(tmp_path: Path) -> None:
    assert chips_here(tmp_path) == 0
    (tmp_path / "vfio").mkdir()
    for name in ("vfio", "0", "1", "2", "3"):
        (tmp_path / "vfio" / name).touch()
    assert chips_here(tmp_path) == 4


def test_what_is_missing_is_named_and_who_asks_for_more_than_there_is_gets_all() -> None:
    whole = Requests(Fraction(2), 8 * GIB, 4)
    half = requests_of({"requests": {"cpu": "500m", "memory": "3Gi"}})
    assert half == Requests(Fraction(1, 2), 3 * GIB)
    assert half.missing([half], whole) is None
    assert half.missing([half, half], whole) == (
        "waits for room on this machine: it asks for 3.0 GiB of memory, 2.0 GiB of 8.0 GiB are free"
    )
    large = requests_of({"requests": {"cpu": "180", "memory": "576G", "google.com/tpu": "4"}}).within(whole)
    assert large == whole
    assert large.missing([], whole) is None
    lack = large.missing([half], whole)
    assert lack is not None and "2 cores, 1.5 of 2 are free" in lack and "chips" not in lack
    lack = large.missing([large], whole)
    assert lack is not None and "4 chips, 0 of 4 are free" in lack
