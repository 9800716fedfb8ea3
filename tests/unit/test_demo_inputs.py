"""The inputs of the demo in a storage: whole, and left alone where they are there already."""

from pathlib import Path

import pytest

from demo.inputs.__main__ import MODELS, write_inputs


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with models of a few bytes."""
    folder = tmp_path / "cache"
    for name in MODELS:
        (folder / name / "below").mkdir(parents=True)
        (folder / name / "config.json").write_text("{}")
        (folder / name / "below" / "weights").write_bytes(b"\1\2\3")
    monkeypatch.setattr("demo.inputs.__main__.teacher_python", lambda: Path("python"))
    monkeypatch.setattr("demo.inputs.__main__.ensure_models", lambda python: folder)
    return folder


def inodes(storage: Path) -> dict[str, int]:
    return {str(path.relative_to(storage)): path.stat().st_ino for path in storage.rglob("*")}


@pytest.mark.usefixtures("cached")
def test_what_is_there_already_is_not_touched(tmp_path: Path) -> None:
    storage = tmp_path / "a storage"
    write_inputs(storage)
    first = inodes(storage)
    assert {f"models/{name}/below/weights" for name in MODELS.values()} < first.keys()
    write_inputs(storage)
    assert inodes(storage) == first


@pytest.mark.parametrize("change", ["content", "missing", "added", "link", "unreadable"])
def test_what_differs_is_replaced_alone(change: str, cached: Path, tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    write_inputs(storage)
    first = inodes(storage)
    teacher, student = (storage / "models" / name for name in MODELS.values())
    weights = teacher / "below" / "weights"
    match change:
        case "content":
            weights.write_bytes(b"\1\2\4")
        case "missing":
            weights.unlink()
        case "added":
            (teacher / "added").touch()
        case "link":
            weights.unlink()
            weights.symlink_to(cached / "teacher" / "below" / "weights")
        case "unreadable":
            weights.chmod(0o600)
    write_inputs(storage)
    assert weights.read_bytes() == b"\1\2\3" and not weights.is_symlink() and weights.stat().st_mode & 0o777 == 0o644
    assert {path.name for path in teacher.iterdir()} == {"below", "config.json"}
    after = inodes(storage)
    unchanged = {name for name in first if student.name in name or "datasets" in name}
    assert {name: after[name] for name in unchanged} == {name: first[name] for name in unchanged}


@pytest.mark.usefixtures("cached")
def test_conversations_that_differ_are_replaced(tmp_path: Path) -> None:
    write_inputs(tmp_path / "storage")
    conversations = tmp_path / "storage" / "datasets" / "conversations.jsonl"
    whole = conversations.read_bytes()
    conversations.write_bytes(whole[:100])
    write_inputs(tmp_path / "storage")
    assert conversations.read_bytes() == whole
    assert [path.name for path in conversations.parent.iterdir()] == ["conversations.jsonl"]
