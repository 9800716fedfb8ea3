"""The cgroup under which the kubelet puts the pods of one testbed: the only thing a namespace doesn't contain.

A folder per testbed keeps two kubelets from managing each other's pods. Works with separate hierarchies (version 1,
which Kubernetes 1.34 still supports) and with the unified one.
"""

from pathlib import Path

from testbed.waiting import until

_ROOT = Path("/sys/fs/cgroup")
# A new cpuset is empty, and a process can't be put into an empty one.
_INHERITED = ("cpuset.cpus", "cpuset.mems")


def create(name: str) -> None:
    """Make the folder in every hierarchy."""
    for hierarchy in _hierarchies():
        folder = hierarchy / name
        folder.mkdir(exist_ok=True)
        for file in _INHERITED:
            if hierarchy.name == "cpuset" and not (folder / file).read_text().strip():
                (folder / file).write_text((hierarchy / file).read_text())


def remove(name: str) -> None:
    """Remove the folder and what the kubelet made in it, once the killed processes have left."""
    until(f"removal of the cgroup {name}", lambda: all([_removed(h / name) for h in _hierarchies()]), timeout=30)


def _hierarchies() -> list[Path]:
    separate = [folder for folder in _ROOT.iterdir() if (folder / "cgroup.procs").exists() and not folder.is_symlink()]
    return [_ROOT] if (_ROOT / "cgroup.controllers").exists() else separate


def _removed(folder: Path) -> bool:
    if not folder.exists():
        return True
    try:
        for child in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
            child.rmdir()
        folder.rmdir()
    except OSError:
        return False
    return True
