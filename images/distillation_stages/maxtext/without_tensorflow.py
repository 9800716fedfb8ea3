"""MaxText without TensorFlow, a third of the modules that a trainer imports: MaxText wants it for readers of data of
its own, which ours takes the place of, and for the name of one error.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType

NAME = "tensorflow"


class FailedPreconditionError(Exception):
    """TensorFlow's name for a read that may be tried again; nothing raises this one."""


@contextmanager
def without_tensorflow() -> Iterator[None]:
    """Let what the block imports find a TensorFlow with that error and nothing else. Who imports it later gets the
    real one.
    """
    if NAME in sys.modules:
        yield
        return
    stand_in, errors = ModuleType(NAME), ModuleType(f"{NAME}.errors")
    # Libraries ask by it whether TensorFlow is installed.
    stand_in.__spec__ = ModuleSpec(NAME, None)
    errors.FailedPreconditionError = FailedPreconditionError  # type: ignore[attr-defined]
    stand_in.errors = errors  # type: ignore[attr-defined]
    sys.modules[NAME] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(NAME) is stand_in:
            del sys.modules[NAME]
