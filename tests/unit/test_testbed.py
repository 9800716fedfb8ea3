"""What the testbed, the demo and the quickstart refuse before they build anything, with its remedy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed import machine
from testbed.cluster import check_machine
from testbed.errors import TestbedError

CHECKOUT = Path(__file__).resolve().parents[2]


def test_a_cache_that_pods_could_not_see_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILLATION_CACHE", "/tmp/cache")
    with pytest.raises(TestbedError, match=r"DISTILLATION_CACHE is /tmp/cache; choose a folder outside /tmp"):
        check_machine()


def go_that_says(folder: Path, text: str) -> None:
    program = folder / "go"
    program.write_text(f"#!/bin/sh\necho '{text}'\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("go version go1.26.8 linux/amd64", None),
        ("go version go1.25.0 linux/amd64", None),
        ("go version go1.9.2 linux/amd64", "is 1.9.2: Kubernetes is compiled by Go 1.25.0 or newer"),
        ("", "is no Go that works"),
    ],
)
def test_a_go_that_is_too_old_is_refused(
    text: str, wrong: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_that_says(tmp_path, text)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = machine.go()
    assert found is None if wrong is None else found is not None and wrong in found


def test_without_go_the_place_to_get_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "https://go.dev/dl" in (machine.go() or "")
    assert "apt-get" in (machine.packages() or "")


def test_a_disk_without_room_is_told_with_what_is_needed(tmp_path: Path) -> None:
    place = tmp_path / "not" / "there" / "yet"
    assert machine.disk(place, 1, "make room")() is None
    told = machine.disk(place, 10**18, "make room")()
    assert told is not None and told.startswith(f"{place} has ") and told.endswith("GiB are needed: make room")


def test_memory_is_the_containers_where_that_is_less(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9000 kB\nMemAvailable:    8000 kB\n")
    assert machine.available_memory(meminfo, tmp_path) == 8000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("501\n")
    (tmp_path / "memory.stat").write_text("anon 1\nfile 500\nfile_mapped 7\n")
    assert machine.available_memory(meminfo, tmp_path) == 8000 * 1024
    (tmp_path / "memory.max").write_text("1000\n")
    assert machine.available_memory(meminfo, tmp_path) == 999
    assert machine.available_memory(tmp_path / "none", tmp_path) is None
    assert "are needed" in (machine.memory(2**60)() or "")
    assert machine.memory(1)() is None


def test_all_that_is_missing_is_told_at_once_before_any_package_is_there(tmp_path: Path) -> None:
    """By the base interpreter, in an empty cache, as a user without root and without Go."""
    script = (
        "import os, sys\n"
        "os.geteuid = lambda: 1000\n"
        "from testbed import machine\n"
        "from demo import bootstrap\n"
        "machine.shutil.disk_usage = lambda path: type('Disk', (), {'free': 1})\n"
        "sys.argv = ['bootstrap', sys.argv[1]]\n"
        "sys.exit(bootstrap.main())\n"
    )
    environment = {
        "HOME": str(tmp_path), "PATH": str(tmp_path), "DISTILLATION_CACHE": str(CHECKOUT / "build" / "no-cache"),
        "PYTHONPATH": os.pathsep.join(str(CHECKOUT / folder) for folder in ("operator", "")),
    }  # fmt: skip
    python = [sys.executable, "-S", "-c", script]
    demo = subprocess.run([*python, "demo"], env=environment, capture_output=True, text=True, check=False)
    assert demo.returncode == 1
    lines = demo.stderr.splitlines()
    assert all(line.startswith("demo: ") for line in lines)
    for part in ("needs root", "make quickstart", "apt-get", "https://go.dev/dl", "GiB are needed: make room"):
        assert part in demo.stderr
    quickstart = subprocess.run([*python, "quickstart"], env=environment, capture_output=True, text=True, check=False)
    assert quickstart.returncode == 1
    assert "GiB are needed: make room" in quickstart.stderr
    assert "root" not in quickstart.stderr and "go.dev" not in quickstart.stderr
    assert not (CHECKOUT / "build" / "no-cache").exists()
