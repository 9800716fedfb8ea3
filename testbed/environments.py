"""The Python environments of the images and of tools: one per requirements file, named by that file's hash.

The images of the testbed contain no Python: containers see these folders read-only (see images.py). They are those of
`distillation-operator local --prepare`: what a machine has made for one is there for the other.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from distillation_operator.local import environments
from distillation_operator.local.environments import folder, python
from distillation_operator.local.installer import PreparationError, interpreter
from distillation_operator.local.locks import lock as requirements
from testbed.commands import logged
from testbed.errors import TestbedError

__all__ = ["NAMES", "TOOLS", "build", "folder", "interpreter", "missing", "python", "requirements"]

NAMES = ("operator", "fetcher", "teacher", "trainer", "converter")
TOOLS = ("scanner",)
"""Of no image: programs of others that the tests run, whose dependencies don't go with ours."""


def missing(wanted: tuple[str, ...]) -> list[str]:
    """The environments that `build` would have to make."""
    return environments.missing(wanted)


def build(wanted: tuple[str, ...], log: Path, step: Callable[[str], None]) -> None:
    """Make every wanted environment that isn't in the cache; `step` is told which."""

    def run(argv: Sequence[str], variables: Mapping[str, str], held: int) -> None:
        logged(argv, log, timeout=3600, env=variables, pass_fds=[held])

    try:
        environments.build(wanted, run, step)
    except PreparationError as error:
        raise TestbedError(str(error)) from error
