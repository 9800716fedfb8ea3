"""A link in a claim leads to another file of it, or is refused: /proc/self/environ of a fetch pod has the token."""

from collections.abc import Callable
from pathlib import Path

import pytest

from distillation_api.contract import FetchProgram, PrepareProgram, PublishProgram, Source
from distillation_stages.programs import fetch, prepare, publish
from distillation_stages.programs.export import complete_directory
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage
from distillation_stages.services.buckets import DirectoryTree
from unit.stages.stage_inputs import finish, rows_in, spec_of, write_lines, write_model

SECRET = "hf_SECRET"
MODEL = "models/one"
ROWS = [{"q": f"question {number}", "a": SECRET} for number in range(4)]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """A storage with a model, and beside it files of the container."""
    write_lines(tmp_path / "container/rows.jsonl", ROWS)
    (tmp_path / "container/environ").write_text(SECRET)
    write_model(tmp_path / "storage" / MODEL)
    return Storage(tmp_path / "storage")


def link(storage: Storage, name: str, to: str) -> None:
    path = storage.mount / name
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(storage.mount.parent / to)


def fetched(storage: Storage) -> None:
    fetch.run(spec_of(FetchProgram(source=Source(path=MODEL), role="teacher")), storage)


def prepared(storage: Storage, path: str) -> None:
    program = PrepareProgram(source=Source(path=path), prompt_column="q", response_column="a", holdout=1)
    prepare.run(spec_of(program), storage)


def published(storage: Storage) -> None:
    finish(storage, "export", model=MODEL)
    publish.run(spec_of(PublishProgram(model="export", to_path="published")), storage)


def completed(storage: Storage) -> None:
    (storage.mount / "made").mkdir()
    complete_directory(storage.at(MODEL), storage.at("made"), "bfloat16", storage.mount)


READS: dict[str, tuple[str, str, Callable[[Storage], None]]] = {
    "fetch of a model": (f"{MODEL}/tokenizer.json", "container/environ", fetched),
    "fetch of a model with a file that nobody asks for": (f"{MODEL}/LICENSE", "container/environ", fetched),
    "prepare of a file": ("set/rows.jsonl", "container/rows.jsonl", lambda s: prepared(s, "set/rows.jsonl")),
    "prepare of a folder": ("set/rows.jsonl", "container/rows.jsonl", lambda s: prepared(s, "set")),
    "prepare of a folder with a README": ("set/README.md", "container/environ", lambda s: prepared(s, "set")),
    "export of the student's own files": (f"{MODEL}/tokenizer.json", "container/environ", completed),
    "publish": (f"{MODEL}/tokenizer.json", "container/environ", published),
    "publish of a file in a folder": (f"{MODEL}/more/extra.json", "container/environ", published),
    "publish over a manifest": ("published/_DONE.json", "container/environ", published),
}


@pytest.mark.parametrize(("name", "to", "read"), READS.values(), ids=READS)
def test_a_link_out_of_the_storage_is_not_followed(
    name: str, to: str, read: Callable[[Storage], None], storage: Storage
) -> None:
    """F5.6: export and publish copied what a link of a file led to."""
    link(storage, name, to)
    with pytest.raises(StageError) as refused:
        read(storage)
    assert refused.value.reason.is_final and SECRET not in refused.value.message
    copies = [path for path in storage.mount.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not any(SECRET.encode() in path.read_bytes() for path in copies)


def test_nothing_is_published_through_a_folder_that_leads_out(storage: Storage) -> None:
    (storage.at(MODEL) / "more").mkdir()
    (storage.at(MODEL) / "more/extra.json").write_text("{}")
    link(storage, "published/more", "container")
    with pytest.raises(StageError) as refused:
        published(storage)
    assert refused.value.reason.name == "PathOutsideStorage"
    assert sorted(path.name for path in (storage.mount.parent / "container").iterdir()) == ["environ", "rows.jsonl"]


def test_a_link_to_another_file_of_the_storage_is_followed(storage: Storage) -> None:
    """As the cache of the Hub's client has them."""
    write_lines(storage.mount / "blobs/0123", ROWS)
    link(storage, "set/rows.jsonl", "storage/blobs/0123")
    prepared(storage, "set")
    assert len(rows_in(storage, next((storage.mount / "out").glob("work-*/train")).as_posix())) == 3
    link(storage, f"{MODEL}/config.json", "storage/blobs/config")
    (storage.mount / "blobs/config").write_text("{}")
    fetched(storage)


def test_a_file_is_written_in_the_place_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "elsewhere").write_text("another's")
    (tmp_path / "tree/name").symlink_to(tmp_path / "elsewhere")
    DirectoryTree(tmp_path / "tree").write("name", b"ours")
    assert (tmp_path / "elsewhere").read_text() == "another's"
    assert (tmp_path / "tree/name").read_text() == "ours"
