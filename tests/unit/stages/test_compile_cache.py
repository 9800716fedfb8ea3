"""Where compiled programs are kept, and that nobody else's are run unless the installation says so."""

from pathlib import Path

import pytest

from distillation_api.contract import COMPILE_CACHE_ENV
from distillation_stages.runtime.compile_cache import compile_cache
from distillation_stages.runtime.storage import Storage


def test_compiled_programs_stay_in_the_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F5.1: JAX checks nothing of what it loads, so whoever wrote the bucket's cache ran code in everybody's pods."""
    monkeypatch.delenv(COMPILE_CACHE_ENV, raising=False)
    assert compile_cache(Storage(tmp_path / "storage"), tmp_path / "scratch", "jax", "tpu") == tmp_path / "scratch"
    assert not (tmp_path / "storage").exists()


def test_where_the_installation_shares_them_they_lie_in_the_folder_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COMPILE_CACHE_ENV, "team/cache")
    folder = compile_cache(Storage(tmp_path), tmp_path / "scratch", "jax", "tpu")
    assert folder == tmp_path / "team" / "cache" / "jax" / "tpu"
    assert folder.is_dir()


def test_each_kind_of_cpu_has_a_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMPILE_CACHE_ENV, "cache")
    assert compile_cache(Storage(tmp_path), tmp_path / "scratch", "jax", "cpu").name.startswith("cpu-")


def test_a_storage_that_cannot_be_written_leaves_the_pods_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMPILE_CACHE_ENV, "cache")
    (tmp_path / "cache").write_text("not a directory")
    assert compile_cache(Storage(tmp_path), tmp_path / "scratch", "jax", "tpu") == tmp_path / "scratch"
