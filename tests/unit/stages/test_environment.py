"""What a pod may still take of its memory."""

from pathlib import Path

import pytest

from distillation_stages.runtime.environment import available_memory

GB = 1_000_000_000


def cgroup(folder: Path, limit: str, used: int, files: int = 0) -> Path:
    """As a container sees it."""
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {files}\nactive_file 1\n")
    return folder


def meminfo(folder: Path, gigabytes: int) -> Path:
    """The node's."""
    path = folder / "meminfo"
    path.write_text(f"MemTotal: 99 kB\nMemAvailable: {gigabytes * GB // 1024} kB\n")
    return path


@pytest.mark.parametrize(
    ("limit", "node", "left"),
    [(str(8 * GB), 100, 5), (str(8 * GB), 2, 2), ("max", 100, 100)],
    ids=["the pod's limit", "the node has less", "no limit"],
)
def test_the_least_of_limit_and_node_counts(tmp_path: Path, limit: str, node: int, left: int) -> None:
    found = available_memory(cgroup(tmp_path, limit, 3 * GB), meminfo(tmp_path, node))
    assert found is not None and found // GB in (left, left - 1)


def test_files_that_were_read_are_no_memory_in_use(tmp_path: Path) -> None:
    group = cgroup(tmp_path, str(8 * GB), 7 * GB, files=4 * GB)
    assert available_memory(group, meminfo(tmp_path, 100)) == 5 * GB


def test_where_nothing_is_known_nothing_is_said(tmp_path: Path) -> None:
    assert available_memory(tmp_path / "no-cgroup", tmp_path / "no-meminfo") is None
