"""The commit that a release is made of."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from release.errors import ReleaseError


@dataclass(frozen=True)
class Source:
    """A commit, and how the checkout differs from it."""

    commit: str
    """Its hash, 40 hexadecimal digits."""
    epoch: int
    """When it was committed, in seconds since 1970: the time of all that is made of it."""
    changes: tuple[str, ...]
    """What isn't committed, a line each as ``git status --porcelain`` has it."""


def read(checkout: Path) -> Source:
    """The commit that is checked out; raises ReleaseError where there is none."""
    commit, epoch = _git(checkout, "log", "-1", "--format=%H %ct").split()
    # Said outright: whoever makes a release may have set that git doesn't show what it doesn't know.
    status = _git(checkout, "status", "--porcelain", "--untracked-files=all")
    return Source(commit, int(epoch), tuple(status.splitlines()))


def require_clean(source: Source) -> None:
    """Raise ReleaseError, naming the files, when anything isn't committed."""
    if not source.changes:
        return
    shown = ", ".join(change[3:] for change in source.changes[:5])
    more = f" and {len(source.changes) - 5} more" if len(source.changes) > 5 else ""
    raise ReleaseError(
        f"the checkout has changes that are in no commit ({shown}{more}): commit them, or put them aside by "
        "`git stash --include-untracked`; a release is what a commit has"
    )


def listed(checkout: Path, *folders: str) -> list[str]:
    """The files that git has or would add, of the whole checkout or of some of its folders, sorted, relative to it; a
    file that was removed, and that not yet committed, is among them. Raises ReleaseError where there is no checkout.
    """
    found = _git(checkout, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders).split("\0")
    return sorted(set(filter(None, found)))


def export(checkout: Path, epoch: int, target: Path) -> None:
    """Copy what git has or would add into an empty folder, with modes and times that depend on nothing else."""
    for name in listed(checkout):
        path, copied = checkout / name, target / name
        if not path.is_symlink() and not path.is_file():
            continue  # removed, and that not yet committed
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copied, follow_symlinks=False)
        if not copied.is_symlink():
            copied.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        os.utime(copied, (epoch, epoch), follow_symlinks=False)


def _git(checkout: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=checkout,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
        )
    except FileNotFoundError:
        raise ReleaseError("git is needed: a release is made of a commit") from None
    if done.returncode:
        raise ReleaseError(f"git {arguments[0]} failed, and a release is made of a commit: {done.stderr.strip()}")
    return done.stdout
