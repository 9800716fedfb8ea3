"""The bytecode of an environment: ``bytecode.py ENVIRONMENT OTHER...``. Files it shares with others are compiled once.

Environments are made of hard links to one cache, so a file that is the same one in another environment has been
compiled there. Whatever is left is compiled by all cores.
"""

import compileall
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import cache_from_source
from pathlib import Path

_TESTS = "tests"
_NEVER_IMPORTED = frozenset(
    ("google/cloud/aiplatform", "google/cloud/aiplatform_v1", "google/cloud/aiplatform_v1beta1", "vertexai",
     "agentplatform", "tensorflow_datasets", "numba", "pytype", "pyglove", "anthropic")
)  # fmt: skip
"""Packages that others require and no program imports: a third of all code. Imported, they would work, slowly."""


def main(environment: Path, others: list[Path]) -> None:
    """Give every source file of the environment its bytecode."""
    left = [source for source in sources(environment) if not link(source, environment, others)]
    with ProcessPoolExecutor() as pool:
        # Some packages have templates and tests that aren't Python of this version: those stay as they are.
        sum(pool.map(partial(compileall.compile_file, quiet=2), left, chunksize=64))
    print(f"bytecode of {environment.name}: {len(left)} files compiled")


def sources(environment: Path) -> Iterator[Path]:
    """The files that Python compiles when programs import them; those of tests and of what is never imported aside."""
    for folder, below, names in os.walk(environment / "lib"):
        _, _, package = folder.partition("/site-packages/")
        below[:] = [name for name in below if name != _TESTS and f"{package}/{name}".lstrip("/") not in _NEVER_IMPORTED]
        for name in names:
            if name.endswith(".py"):
                yield Path(folder, name)


def link(source: Path, environment: Path, others: list[Path]) -> bool:
    """Whether one of the others has the same file compiled; its bytecode is the source's from now on."""
    for other in others:
        theirs = other / source.relative_to(environment)
        compiled = Path(cache_from_source(str(theirs)))
        # One inode is one time of modification, by which Python knows that bytecode isn't stale.
        if compiled.exists() and theirs.samefile(source):
            ours = Path(cache_from_source(str(source)))
            ours.parent.mkdir(exist_ok=True)
            ours.hardlink_to(compiled)
            return True
    return False


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(other) for other in sys.argv[2:]])
