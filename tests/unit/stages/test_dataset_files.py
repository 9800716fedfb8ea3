"""The same rows from every format and layout of files, and no file that is passed over without a word."""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import subprocess
import uuid
from collections.abc import Buffer, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cluster.wrong_manifests import changed, put
from distillation_api.contract import PrepareProgram, Source, StageResult
from distillation_operator.commands.validation import validate
from distillation_stages.data import json_rows
from distillation_stages.data.files import COMPRESSED, SUFFIXES, DataFile, is_data_like
from distillation_stages.data.folder import Folder, folder_dataset
from distillation_stages.data.rows import rows_of
from distillation_stages.data.splits import splits_of
from distillation_stages.programs.prepare import run
from distillation_stages.runtime.failure import RowRejected, StageError
from distillation_stages.runtime.storage import Storage
from distillation_stages.services.buckets import DirectoryTree
from unit.stages.stage_inputs import assistant, rows_in, spec_of, user, write_lines

CASES = Path(__file__).parent / "cases"
FILES = CASES / "files"


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "storage")


def prepare(
    storage: Storage, path: str, split: str | None = None, config: str | None = None, **members: object
) -> StageResult:
    source = Source(path=path, split=split, config=config)
    program = PrepareProgram.model_validate({"source": source, "holdout": 0, **members})
    return run(spec_of(program, uuid.uuid4().hex), storage)


def refusal(
    storage: Storage, path: str, split: str | None = None, config: str | None = None, **members: object
) -> tuple[str, str]:
    with pytest.raises(StageError) as caught:
        prepare(storage, path, split, config, **members)
    return caught.value.reason.name, caught.value.message


def questions(storage: Storage, result: StageResult) -> list[str]:
    return [row["prompt"][-1]["content"] for row in rows_in(storage, result.outputs["train"])]


def written(storage: Storage, path: str, data: bytes | str) -> str:
    target = storage.mount / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def chat(question: str) -> dict[str, object]:
    return {"messages": [user(question), assistant("Yes.")]}


def folder_of(storage: Storage, names: Iterable[str], folder: str = "set") -> str:
    """A folder in which each file of JSON lines asks for its own name."""
    for name in names:
        write_lines(storage.mount / folder / name, [chat(name)])
    return folder


# Formats.

TEXTS = [
    {"prompt": "What's \u00fc?", "response": "a letter"},
    {"prompt": 'a "quoted", \n text\u2028', "response": "007"},
    {"prompt": "1.50", "response": "None"},
]


def as_csv(rows: Sequence[Mapping[str, object]], delimiter: str = ",") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_lines(rows: Sequence[Mapping[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_parquet(rows: Sequence[Mapping[str, object]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def as_arrow(rows: Sequence[Mapping[str, object]], make: Callable[..., Any]) -> bytes:
    table, sink = pa.Table.from_pylist(rows), io.BytesIO()
    with make(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return sink.getvalue()


def as_zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue().to_pybytes())


PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": as_zstd,
}

PLAIN: dict[str, bytes] = {
    "lines.jsonl": as_lines(TEXTS),
    "lines.ndjson": as_lines(TEXTS),
    "lines.json": as_lines(TEXTS),
    "array.json": json.dumps(TEXTS).encode(),
    "pretty-array.json": json.dumps(TEXTS, indent=2).encode(),
    "pretty-values.json": "\n".join(json.dumps(row, indent=2) for row in TEXTS).encode(),
    "marked.json": b"\xef\xbb\xbf" + json.dumps(TEXTS, ensure_ascii=False).encode(),
    "rows.csv": as_csv(TEXTS),
    "marked.csv": b"\xef\xbb\xbf" + as_csv(TEXTS),
    "rows.tsv": as_csv(TEXTS, "\t"),
    "rows.parquet": as_parquet(TEXTS),
    "stream.arrow": as_arrow(TEXTS, pa.ipc.new_stream),
    "file.arrow": as_arrow(TEXTS, pa.ipc.new_file),
    "UPPER.JSONL": as_lines(TEXTS),
}
CONTENTS = {
    **PLAIN,
    **{
        f"{name}{suffix}": packed(PLAIN[name])
        for suffix, packed in PACKED.items()
        for name in PLAIN
        if "ar" not in name
    },
    "two-parts.jsonl.gz": gzip.compress(as_lines(TEXTS[:1])) + gzip.compress(as_lines(TEXTS[1:])),
    "two-parts.jsonl.zst": as_zstd(as_lines(TEXTS[:1])) + as_zstd(as_lines(TEXTS[1:])),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_the_same_rows_are_read_from_every_format(storage: Storage, name: str) -> None:
    """No text becomes a number, a date or nothing: 007 and None are answers."""
    path = written(storage, f"data/{name}", CONTENTS[name])
    for place in (path, "data"):
        result = prepare(storage, place, prompt_column="prompt", response_column="response")
        rows = rows_in(storage, result.outputs["train"])
        assert [(row["row"], row["prompt"][0]["content"], row["reference"]) for row in rows] == [
            (number, row["prompt"], row["response"]) for number, row in enumerate(TEXTS)
        ]


def test_each_format_and_each_packing_is_tried() -> None:
    assert set(SUFFIXES) == {Path(name).suffix for name in PLAIN if name.islower()}
    assert set(COMPRESSED) == set(PACKED)


@pytest.mark.parametrize("name", ["array-of-rows.json", "rows.csv"])
def test_an_array_and_a_table_of_users_are_read(storage: Storage, name: str) -> None:
    """U12."""
    written(storage, name, (FILES / name).read_bytes())
    members = {} if name.endswith("json") else {"prompt_column": "prompt", "response_column": "response"}
    result = prepare(storage, name, **members)
    assert questions(storage, result) == ["Name a star."]


def test_a_folder_of_plain_and_compressed_lines_is_read_whole(storage: Storage) -> None:
    """U12: three shards of three rows, of which two are compressed: all nine, in the order of the names."""
    script = FILES / "folder-of-plain-and-compressed-lines.sh"
    subprocess.run(["sh", str(script), str(storage.mount / "set")], check=True)
    result = prepare(storage, "set")
    assert questions(storage, result) == [
        f"Question {row} of shard {shard}?" for shard in range(3) for row in (1, 2, 3)
    ]
    assert "skippedFiles" not in result.counts


# What is broken.


@pytest.mark.parametrize(
    ("name", "text", "counts"),
    [
        (
            "a.jsonl.gz",
            '{"prompt": "q"}\n{"pro\n\n[1]\n{"prompt": "r", "x": NaN}\n',
            {"BrokenJson": 1, "NotAnObject": 1},
        ),
        ("a.json", '{"prompt": "q"}\n{"pro\n{"prompt": "r"}\n', {"BrokenJson": 1}),
        ("b.json", '{"pro\n{"prompt": "q"}\n{"prompt": "r"}\n', {"BrokenJson": 1}),
        ("c.json", '[{"prompt": "q"}, 1, {"prompt": "r", "x": NaN}]', {"NotAnObject": 1}),
        ("a.csv", 'prompt,x\nq,1\n\nbroken,2,3\nbroken\nr,"4\n5"\n', {"BrokenCsv": 2}),
    ],
)
def test_a_broken_row_costs_itself_alone(storage: Storage, name: str, text: str, counts: dict[str, int]) -> None:
    data = gzip.compress(text.encode()) if name.endswith(".gz") else text
    result = prepare(storage, written(storage, name, data), prompt_column="prompt", limit=2)
    assert questions(storage, result) == ["q", "r"]
    assert {key: number for key, number in result.counts.items() if key.startswith("rejected")} == {
        f"rejected.{reason}": number for reason, number in counts.items()
    }


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.jsonl"])
def test_bytes_that_are_no_text_cost_their_row_alone(storage: Storage, name: str) -> None:
    rows = [{"prompt": "q"}, {"prompt": "XX"}, {"prompt": "r"}]
    data = {"a.json": json.dumps(rows).encode(), "a.csv": as_csv(rows), "a.jsonl": as_lines(rows)}[name]
    result = prepare(storage, written(storage, name, data.replace(b"XX", b"\xff\xfe")), prompt_column="prompt")
    assert questions(storage, result) == ["q", "r"]


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("cut.jsonl.gz", gzip.compress(as_lines(TEXTS))[:-9], "end-of-stream"),
        ("cut.jsonl.zst", as_zstd(as_lines(TEXTS))[:-4], "Truncated"),
        ("plain.jsonl.gz", as_lines(TEXTS), "Not a gzipped file"),
        ("plain.jsonl.bz2", as_lines(TEXTS), "Invalid data stream"),
        ("plain.jsonl.xz", as_lines(TEXTS), "not supported"),
        ("plain.jsonl.zst", as_lines(TEXTS), "Unknown frame"),
        ("text.arrow", b"hello", ""),
        ("cut.arrow", as_arrow(TEXTS, pa.ipc.new_file)[:-9], ""),
        ("cut.parquet", as_parquet(TEXTS)[:-9], ""),
        ("cut.json", json.dumps(TEXTS)[:-9], "row 2"),
        ("open.json", json.dumps(TEXTS)[:-1], "doesn't end"),
        ("more.json", json.dumps(TEXTS) * 2, "follows"),
        ("commas.json", '[{"prompt": "q"} {"prompt": "r"}]', "row 0"),
        ("quote.csv", 'prompt,response\nq,a\nr,"b\ns,c\n', "quote is open"),
    ],
)
def test_a_broken_file_is_refused_by_its_name(storage: Storage, name: str, data: bytes | str, told: str) -> None:
    reason, message = refusal(storage, written(storage, name, data), prompt_column="prompt")
    assert reason == "UnreadableDataset"
    assert name in message and told in message


def test_an_array_is_read_piece_by_piece(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken early, nothing is read beyond; a text without an end isn't looked for through all that follows."""
    monkeypatch.setattr(json_rows, "CHUNK", 1000)
    stream = io.BytesIO(b'[{"a": 1} !' + b" " * 100_000)
    with pytest.raises(json_rows.BrokenDocument):
        list(json_rows.document_rows(lambda: _unclosed(stream)))
    assert stream.tell() <= 2000
    monkeypatch.setattr(json_rows, "LONGEST_ROW", 5000)
    stream = io.BytesIO(b'[{"a": "' + b"x" * 100_000)
    with pytest.raises(json_rows.BrokenDocument):
        list(json_rows.document_rows(lambda: _unclosed(stream)))
    assert stream.tell() <= 20_000


def _unclosed(stream: io.BytesIO) -> io.BufferedReader:
    stream.seek(0)
    return io.BufferedReader(_Piece(stream), 1)


class _Piece(io.RawIOBase):
    """A stream that stays open when its reader is closed, and tells how far it was read."""

    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._stream.readinto(buffer)


texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(rows=st.lists(json_values, max_size=6), indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans())
def test_an_array_is_read_wherever_its_pieces_end(rows: list[object], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only).encode()
    expected = [row if isinstance(row, dict) else None for row in rows]
    for chunk in (1, 2, 7, 1000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(json_rows, "CHUNK", chunk)
            found = list(json_rows.document_rows(lambda: io.BytesIO(text)))
        assert [None if isinstance(row, RowRejected) else row for row in found] == expected


class Counted(io.FileIO):
    """A file that counts the bytes which are read of it."""

    count = 0

    def readinto(self, buffer: Buffer) -> int | None:
        number = super().readinto(buffer)
        self.count += number or 0
        return number

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size) or b""
        self.count += len(data)
        return data


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.json", "a.jsonl", "a.csv"])
def test_the_first_rows_come_before_the_rest_is_read(tmp_path: Path, name: str) -> None:
    """A dataset may be larger than the memory."""
    rows = [{"prompt": "x" * 10_000}] * 100
    table = pa.Table.from_pylist(rows)
    if name.endswith("parquet"):
        with pq.ParquetWriter(tmp_path / name, table.schema, compression="none", use_dictionary=False) as parquet:
            for _ in range(40):
                parquet.write_table(table)
    elif name.endswith("arrow"):
        with pa.ipc.new_stream(str(tmp_path / name), table.schema) as arrow:
            for _ in range(40):
                arrow.write_table(table)
    else:
        make = {"a.json": lambda rows: json.dumps(rows).encode(), "a.jsonl": as_lines, "a.csv": as_csv}[name]
        (tmp_path / name).write_bytes(make(rows * 40))
    opened: list[Counted] = []

    def opener() -> io.BufferedReader:
        opened.append(Counted(tmp_path / name))
        return io.BufferedReader(opened[-1])

    found = rows_of([DataFile(name, opener)], ["prompt"])
    assert next(found) == rows[0]
    assert sum(file.count for file in opened) < (tmp_path / name).stat().st_size / 10
    assert sum(1 for _ in found) == 3999


# Columns.


def test_columns_that_nobody_reads_may_differ_and_are_not_loaded(storage: Storage) -> None:
    """U06: one file has images, the other a score; only messages are read, and text that looks like a part of them."""
    image = pa.array([{"bytes": b"\x00" * 10}] * 2)
    messages = pa.array([[{"role": "user", "content": f"q{number}"}] for number in range(2)])
    folder = storage.mount / "set"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"icon": image, "messages": messages, "System": ["be brief", ""]}), folder / "a.parquet")
    other = pa.array([[{"content": "r", "role": "user"}]])
    pq.write_table(pa.table({"messages": other, "score": [0.5], "Id": ["x"]}), folder / "b.parquet")
    result = prepare(storage, "set")
    assert questions(storage, result) == ["q0", "q1", "r"]
    assert result.counts["unread.System"] == 1


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.csv", "a.jsonl"])
def test_a_missing_column_is_told_with_all_columns_and_the_nearest_format(storage: Storage, name: str) -> None:
    rows: Sequence[Mapping[str, object]] = [{"question": "q", "answer": "a", "image": "b"}]
    data = {
        "a.parquet": as_parquet(rows),
        "a.csv": as_csv(rows),
        "a.jsonl": as_lines(rows),
        "a.arrow": as_arrow(rows, pa.ipc.new_stream),
    }[name]
    reason, message = refusal(storage, written(storage, name, data))
    assert reason == "MissingColumn"
    assert "no column 'messages'; its columns: answer, image, question. The nearest" in message
    assert "dataset.promptColumn: question, dataset.responseColumn: answer" in message


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl"])
def test_rejected_rows_of_tables_are_compared_with_known_formats_by_all_their_columns(
    storage: Storage, name: str
) -> None:
    rows: Sequence[Mapping[str, object]] = [
        {"messages": "text", "conversations": [{"from": "human", "value": "q"}]}
    ] * 3
    data = as_parquet(rows) if name.endswith("parquet") else as_lines(rows)
    reason, message = refusal(storage, written(storage, name, data))
    assert reason == "MostRowsRejected"
    assert "dataset.messagesColumn: conversations" in message


def test_a_missing_column_of_images_is_named_too(storage: Storage) -> None:
    data = as_parquet([{"image": {"bytes": b"x"}, "text": "t"}])
    assert "its columns: image, text" in refusal(storage, written(storage, "a.parquet", data))[1]


# Files that are passed over.


def test_files_that_are_not_read_are_counted_and_named(storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    """U12."""
    folder = folder_of(storage, ["a.jsonl", "b.jsonl"])
    for name in ("c.jsonl.lz4", "d.txt", "stats.json", "part-00000", "rows.csv"):
        written(storage, f"{folder}/{name}", "x")
    for name in ("README.md", "LICENSE", "LICENSE.txt", ".gitattributes", "_SUCCESS", "dataset_infos.json", "make.py"):
        written(storage, f"{folder}/{name}", "x")
    result = prepare(storage, folder)
    assert questions(storage, result) == ["a.jsonl", "b.jsonl"]
    assert result.counts["skippedFiles"] == 5
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if "aren't read" in line]
    assert "5 files of dataset set aren't read: c.jsonl.lz4, d.txt, part-00000, rows.csv, stats.json" in warning


@pytest.mark.parametrize("name", ["/etc/x.jsonl", "../x.jsonl", "a/../../x.jsonl", ".git/x.jsonl", "_delta_log/0.json"])
def test_a_name_that_leads_elsewhere_or_is_hidden_is_no_data(name: str) -> None:
    assert not is_data_like(name)


def test_tables_without_lines_are_read_and_two_kinds_of_them_refused(storage: Storage) -> None:
    written(storage, "set/a.csv", "prompt\nq\n")
    assert questions(storage, prepare(storage, "set", prompt_column="prompt")) == ["q"]
    written(storage, "set/b.json", '[{"prompt": "r"}]')
    reason, message = refusal(storage, "set", prompt_column="prompt")
    assert reason == "SeveralFormats"
    assert "a.csv" in message and "b.json" in message and "give one file" in message


def test_a_folder_without_a_file_that_is_read_says_what_it_holds(storage: Storage) -> None:
    written(storage, "set/a.xlsx", "x")
    written(storage, "set/README.md", "x")
    reason, message = refusal(storage, "set")
    assert reason == "NoDataFiles"
    assert all(part in message for part in ("a.xlsx", ".parquet", ".csv", ".json"))


@pytest.mark.parametrize("name", ["_rows.jsonl", ".rows.jsonl", "config.json", "test.jsonl"])
def test_a_file_that_is_named_itself_is_read_whatever_its_name(storage: Storage, name: str) -> None:
    written(storage, f"set/{name}", json.dumps(chat("q")))
    assert questions(storage, prepare(storage, f"set/{name}")) == ["q"]


# Splits.


def test_a_downloaded_dataset_with_two_splits_is_refused_until_one_is_chosen(storage: Storage) -> None:
    """U07: a repository as the Hub's client downloads it; read as one, its test split would be trained on."""
    source = FILES / "downloaded-dataset-with-splits"
    for path in source.rglob("*.jsonl"):
        written(storage, f"set/{path.relative_to(source)}", path.read_bytes())
    reason, message = refusal(storage, "set")
    assert reason == "SeveralSplits"
    assert "test (1 file), train (1 file); set dataset.source.split" in message
    for split in ("train", "test"):
        found = questions(storage, prepare(storage, "set", split=split))
        assert found == [f"A {split} question, number {number}?" for number in range(3)]
    assert len(questions(storage, prepare(storage, "set", split="all"))) == 6


LAYOUTS = json.loads((FILES / "layouts.json").read_text())
"""Names of files by split, as the library finds them (``tests/e2e/test_datasets.py`` compares)."""


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: ", ".join(layout))
def test_the_splits_of_a_folder_are_those_that_the_hub_would_find(layout: dict[str, list[str]]) -> None:
    found: dict[str, list[str]] = {}
    names = sorted({name for files in layout.values() for name in files})
    for name, splits in splits_of(names).items():
        for split in splits or {"train"}:
            found.setdefault(split, []).append(name)
    assert found == {split: sorted(files) for split, files in layout.items()}


@pytest.mark.parametrize(
    ("names", "split", "chosen", "skipped"),
    [
        (["a.jsonl", "b.jsonl"], None, ["a.jsonl", "b.jsonl"], 0),
        (["a.jsonl", "b.jsonl"], "train", ["a.jsonl", "b.jsonl"], 0),
        (["train.jsonl", "more.jsonl"], None, ["more.jsonl", "train.jsonl"], 0),
        (["train.jsonl", "more.jsonl"], "train", ["train.jsonl"], 1),
        (["train.jsonl", "dev.jsonl", "more.jsonl"], "validation", ["dev.jsonl"], 1),
        (["train/a.jsonl", "test/a.jsonl"], "train", ["train/a.jsonl"], 0),
        (["test-1.jsonl", "test-2.jsonl"], None, ["test-1.jsonl", "test-2.jsonl"], 0),
        (["part-00000-of-00002.jsonl", "part-00001-of-00002.jsonl"], "train", None, 0),
        (
            ["data/train_sft-00000-of-00001.jsonl", "data/train_gen-00000-of-00001.jsonl"],
            "train_sft",
            ["data/train_sft-00000-of-00001.jsonl"],
            0,
        ),
        (["train_eval.jsonl"], None, ["train_eval.jsonl"], 0),
        (["biology.jsonl", "test-taking.jsonl"], "all", ["biology.jsonl", "test-taking.jsonl"], 0),
    ],
)
def test_the_files_of_a_split_are_read(
    storage: Storage, names: list[str], split: str | None, chosen: list[str] | None, skipped: int
) -> None:
    result = prepare(storage, folder_of(storage, names), split=split)
    assert questions(storage, result) == (names if chosen is None else chosen)
    assert result.counts.get("skippedFiles", 0) == skipped


@pytest.mark.parametrize(
    ("names", "split", "reason", "told"),
    [
        (["train.jsonl", "test.jsonl"], None, "SeveralSplits", "test (1 file), train (1 file)"),
        (["train/a.jsonl", "train/b.jsonl", "valid/a.jsonl"], None, "SeveralSplits", "train (2 files), validation"),
        (["test.jsonl", "more.jsonl"], None, "SeveralSplits", "(none) (1 file), test (1 file)"),
        (["train.jsonl", "test.jsonl"], "dev", "BadSplit", "no split 'dev'; its splits: test (1 file), train"),
        (["a.jsonl"], "test", "BadSplit", "no split 'test'; its file names tell of none"),
    ],
)
def test_a_split_that_is_not_clear_is_refused_with_those_there_are(
    storage: Storage, names: list[str], split: str | None, reason: str, told: str
) -> None:
    found, message = refusal(storage, folder_of(storage, names), split=split)
    assert found == reason
    assert told in message and "dataset.source.split" in message


def test_a_saved_dataset_is_read_by_the_splits_that_it_names(storage: Storage) -> None:
    """What DatasetDict.save_to_disk writes: its own JSON files beside Arrow files are no rows."""
    for split in ("sft", "preferences"):
        rows: Sequence[Mapping[str, object]] = [chat(split)]
        written(storage, f"set/{split}/data-00000-of-00001.arrow", as_arrow(rows, pa.ipc.new_stream))
        written(storage, f"set/{split}/state.json", "{}")
        written(storage, f"set/{split}/dataset_info.json", "{}")
    written(storage, "set/dataset_dict.json", '{"splits": ["sft", "preferences"]}')
    assert refusal(storage, "set")[0] == "SeveralSplits"
    assert questions(storage, prepare(storage, "set", split="sft")) == ["sft"]
    assert prepare(storage, "set/sft").counts == {
        "read": 1,
        "kept": 1,
        "train": 1,
        "answers": 1,
        "holdout": 0,
        "duplicates": 0,
    }


def test_a_file_is_of_the_split_that_is_asked_for(storage: Storage) -> None:
    folder_of(storage, ["train.jsonl", "rows.jsonl"])
    assert questions(storage, prepare(storage, "set/train.jsonl", split="train")) == ["train.jsonl"]
    assert questions(storage, prepare(storage, "set/rows.jsonl", split="train")) == ["rows.jsonl"]
    assert refusal(storage, "set/train.jsonl", split="test")[0] == "BadSplit"
    assert refusal(storage, "set/train.jsonl", config="maths")[0] == "BadConfig"


def test_a_link_is_read_by_its_own_name(storage: Storage) -> None:
    """As the cache of the Hub's client has them: the name ends with the format, what it leads to is a digest."""
    target = storage.mount / written(storage, "blobs/0123abcd", json.dumps(chat("q")))
    (storage.mount / "snapshot").mkdir()
    (storage.mount / "snapshot" / "rows.jsonl").symlink_to(target)
    for path in ("snapshot", "snapshot/rows.jsonl"):
        assert questions(storage, prepare(storage, path)) == ["q"]


def test_only_the_files_of_the_split_are_copied_from_a_bucket(storage: Storage, tmp_path: Path) -> None:
    """U07. A directory stands for the bucket: what is copied from it is the same."""
    for name in ("train/a.jsonl", "test/a.jsonl", "notes.csv"):
        written(storage, f"bucket/{name}", json.dumps(chat(name)))
    bucket = Folder("gs://bucket/set", DirectoryTree(storage.mount / "bucket"), tmp_path / "copy", is_remote=True)
    dataset = folder_dataset(bucket, "train", None)
    assert list(dataset.read(None)) == [chat("train/a.jsonl")]
    assert dataset.passed_over == ["notes.csv"]
    assert [path.name for path in (tmp_path / "copy").rglob("*.*")] == ["a.jsonl"]


def test_a_config_is_refused_where_no_readme_lists_any(storage: Storage) -> None:
    """U05."""
    reason, message = refusal(storage, folder_of(storage, ["a.jsonl"]), config="maths")
    assert reason == "BadConfig"
    assert "no config 'maths'" in message and "dataset.source.config" in message


# The page.

PAGE = (Path(__file__).parents[3] / "docs" / "data.md").read_text()


def test_each_format_and_packing_is_documented() -> None:
    documented = set(re.findall(r"`(\.\w+)`", PAGE))
    assert {*SUFFIXES, *COMPRESSED} <= documented


LAYOUT_LINES = re.findall(
    r"^\| [^|]+ \| ((?:`\w+: [^|`]+`(?:, )?)+) \|$", PAGE.split("## Known formats")[0], re.MULTILINE
)


@pytest.mark.parametrize("lines", LAYOUT_LINES)
def test_the_documented_lines_are_a_source(lines: str) -> None:
    source = yaml.safe_load("\n".join(re.findall(r"`([^`]+)`", lines)))
    assert validate(changed(put("spec.dataset.source", source))) == []


def test_each_documented_layout_has_its_lines() -> None:
    assert len(LAYOUT_LINES) == 8
