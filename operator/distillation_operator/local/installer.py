"""Installing packages by their hashes with uv: the one that is found, else one of the package's own lock.

pip would do, in five times the time: environments share several GB, which uv links and pip copies.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from distillation_operator.local.cache import cache, locked
from distillation_operator.local.errors import PreparationError
from distillation_operator.local.locks import digest, lock

__all__ = ["PreparationError", "Run", "found_uv", "interpreter", "logged_to", "registry", "uv"]

Run = Callable[[Sequence[str], Mapping[str, str], int], None]
"""Runs a command with these variables added to its environment, and with an open descriptor. Raises when it fails."""

_LINES = 12
# Settings of the registry by which variable pip has them, and uv.
_OF_PIP = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_CERT": "SSL_CERT_FILE"}


def logged_to(log: Path) -> Run:
    """Runs commands with their output appended to ``log``; a failure is a PreparationError with the output's end."""

    def run(argv: Sequence[str], variables: Mapping[str, str], held: int) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as sink:
            sink.write(f"$ {' '.join(argv)}\n".encode())
            sink.flush()
            begins = sink.tell()
            try:
                # Not of the folder that the user happens to be in: uv reads a pyproject.toml there.
                done = subprocess.run(
                    argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, cwd=log.parent,
                    env=os.environ | variables, pass_fds=[held], check=False,
                )  # fmt: skip
            except OSError as error:
                raise PreparationError(f"can't run {argv[0]}: {error.strerror}") from error
        if done.returncode:
            with log.open("rb") as source:
                source.seek(begins)
                output = source.read().decode(errors="replace").splitlines()
            end = "\n".join(f"  {line}" for line in output[-_LINES:])
            raise PreparationError(f"{Path(argv[0]).name} ended with exit code {done.returncode} (log: {log})\n{end}")

    return run


def interpreter() -> Path:
    """The interpreter of the base installation, which all environments link to."""
    return (Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}").resolve()


def found_uv() -> Path | None:
    """The uv next to this interpreter, else the PATH's."""
    beside = Path(sys.executable).with_name("uv")
    on_path = shutil.which("uv")
    return beside if beside.exists() else Path(on_path) if on_path else None


def registry() -> dict[str, str]:
    """Variables that make uv use the registry and certificates that the environment names to pip."""
    return {
        ours: os.environ[theirs] for theirs, ours in _OF_PIP.items() if theirs in os.environ and ours not in os.environ
    }


def uv(run: Run, say: Callable[[str], None]) -> Path:
    """The found uv, else one installed by pip into the cache. Raises PreparationError when there is neither."""
    found = found_uv()
    if found is not None:
        return found
    folder = cache() / "venvs" / f"installer-{digest('installer')}"
    complete = folder / ".complete"
    with locked(folder.with_name(f".{folder.name}.lock")) as held:
        if not complete.exists():
            say("uv isn't on the PATH: installing it into the cache (24 MiB)")
            shutil.rmtree(folder, ignore_errors=True)
            _with_pip(folder, run, held)
            complete.touch()
    return folder / "bin" / "uv"


def _with_pip(folder: Path, run: Run, held: int) -> None:
    try:
        run([str(interpreter()), "-m", "venv", str(folder)], {}, held)
    except PreparationError as error:
        raise PreparationError(
            f"{interpreter()} can't make environments (on Debian and Ubuntu: apt-get install python3.12-venv); "
            f"or put uv on the PATH\n{error}"
        ) from error
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--require-hashes", "--no-deps", "--requirement", str(lock("installer"))], {}, held)
