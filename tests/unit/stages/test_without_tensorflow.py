"""TensorFlow is left out of what MaxText imports, and of nothing else."""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

from distillation_stages.maxtext.without_tensorflow import without_tensorflow

MULTIHOST = """
try:
    import tensorflow as tf
    retried = (tf.errors.FailedPreconditionError,)
except ImportError:
    retried = ()
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TensorFlow, and a module that imports it as MaxText's do."""
    for name in ("tensorflow", "multihost"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "tensorflow.py").write_text("real = True\n")
    (tmp_path / "multihost.py").write_text(MULTIHOST)
    importlib.invalidate_caches()


def test_what_the_block_imports_gets_the_error_and_who_comes_later_the_real_one() -> None:
    with without_tensorflow():
        multihost = importlib.import_module("multihost")
        assert importlib.util.find_spec("tensorflow") is not None
    [retried] = multihost.retried
    assert issubclass(retried, Exception)
    assert importlib.import_module("tensorflow").real


def test_one_that_was_imported_before_stays() -> None:
    before = importlib.import_module("tensorflow")
    with without_tensorflow():
        assert sys.modules["tensorflow"] is before
    assert sys.modules["tensorflow"] is before


def test_it_is_gone_after_an_import_that_failed() -> None:
    with pytest.raises(ModuleNotFoundError), without_tensorflow():
        importlib.import_module("no_such_module_at_all")
    assert importlib.import_module("tensorflow").real
