"""What a run of the demo has compiled is there for the next one."""

from pathlib import Path

import pytest

from demo.compiled import keep_compiled, put_compiled


def programs(storage: Path) -> dict[str, str]:
    folder = storage / "distillation" / "cache"
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_next_storage_has_what_the_last_one_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILLATION_CACHE", str(tmp_path / "cache"))
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    assert not put_compiled(first)
    keep_compiled(first)
    assert not put_compiled(first)
    (first / "distillation" / "cache" / "jax" / "cpu-a").mkdir(parents=True)
    (first / "distillation" / "cache" / "jax" / "cpu-a" / "step").write_text("compiled")
    keep_compiled(first)
    assert put_compiled(second)
    assert programs(second) == {"jax/cpu-a/step": "compiled"}
    # Pods run as another user, and add to it.
    folder = second / "distillation" / "cache" / "jax" / "cpu-a"
    assert folder.stat().st_mode & 0o777 == 0o777
    (folder / "step").unlink()
    (folder / "other").write_text("newer")
    keep_compiled(second)
    assert put_compiled(third)
    assert programs(third) == {"jax/cpu-a/other": "newer"}


def test_what_a_storage_has_already_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILLATION_CACHE", str(tmp_path / "cache"))
    storage = tmp_path / "storage"
    (storage / "distillation" / "cache" / "jax").mkdir(parents=True)
    keep_compiled(storage)
    (storage / "distillation" / "cache" / "jax" / "step").write_text("its own")
    assert not put_compiled(storage)
    assert programs(storage) == {"jax/step": "its own"}
