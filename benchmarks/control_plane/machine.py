"""Where a run was made, and of what: figures of other machines, or of other versions, can't be compared with it."""

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.control_plane.api import Api
from testbed.layout import CHECKOUT, SOURCES

PACKAGES = ("kopf", "kubernetes", "aiohttp", "pydantic", "prometheus-client")


def machine() -> dict[str, Any]:
    """Processor, memory and kernel."""
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "processors": len(os.sched_getaffinity(0)),
        "model": model[1] if model else platform.machine(),
        "memoryGiB": round(int(memory[1]) / 2**20, 1) if memory else None,
        "kernel": platform.release(),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


async def versions(api: Api) -> dict[str, str]:
    """Of Python, its packages, Kubernetes and JobSet."""
    jobset = re.search(r"^\tsigs\.k8s\.io/jobset (\S+)", (SOURCES / "kube" / "go.mod").read_text(), re.MULTILINE)
    return {
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in PACKAGES},
        "kubernetes": (await api.get("/version"))["gitVersion"],
        **({"jobset": jobset[1]} if jobset else {}),
    }


def commit(revision: str = "HEAD") -> str:
    """The commit's id. Raises SystemExit when there is no such revision."""
    done = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if done.returncode:
        raise SystemExit(f"--against {revision}: this repository has no such commit")
    return done.stdout.strip()


def changed() -> bool:
    """Whether files of the checkout differ from its commit."""
    return bool(_git("status", "--porcelain", "--untracked-files=no").stdout.strip())


@contextmanager
def worktree(of: str, folder: Path) -> Iterator[Path]:
    """The files of a commit, in a folder that is removed afterwards."""
    done = _git("worktree", "add", "--detach", "--force", str(folder), of)
    if done.returncode:
        raise SystemExit(f"the files of {of} can't be had: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        _git("worktree", "remove", "--force", str(folder))


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False)
