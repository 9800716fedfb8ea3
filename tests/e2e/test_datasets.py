"""Datasets as the library ``datasets`` finds them, on a Hub and in a folder that was downloaded from it."""

import gzip
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillation_api.contract import HuggingFaceRepo, PrepareProgram, Source, StageSpec
from e2e.hub import COMMIT, FAILING, GATED, hub
from e2e.stage_programs import environment, interpreter

pytestmark = pytest.mark.timeout(300)

FILES = Path(__file__).parents[1] / "unit" / "stages" / "cases" / "files"

RUN = """
import contextlib, io, json, sys
from pathlib import Path
from distillation_api.contract import StageSpec
from distillation_stages.data.folder import Folder, folder_dataset
from distillation_stages.data.tables import parts_of, read_rows
from distillation_stages.services.buckets import DirectoryTree
from distillation_stages.programs.prepare import run
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage

storage, told = Storage(Path(sys.argv[1])), {}
for name, spec in json.loads(Path(sys.argv[2]).read_text()).items():
    log = io.StringIO()
    try:
        with contextlib.redirect_stderr(log):
            result = run(StageSpec.model_validate(spec), storage)
    except StageError as error:
        told[name] = {"reason": error.reason.name, "final": error.reason.is_final, "message": error.message}
    else:
        rows = list(read_rows(parts_of(storage.at(result.outputs["train"]))))
        told[name] = {
            "rows": [[row["row"], row["prompt"][-1]["content"], row["reference"]] for row in rows],
            "counts": result.counts,
            "versions": result.versions,
            "log": log.getvalue(),
        }
# A directory stands for a bucket: what is copied from it is the same.
bucket = Folder("gs://b", DirectoryTree(storage.at("users/several-configs")), storage.at("copy"), is_remote=True)
told["bucket"] = {
    "rows": [row["messages"][0]["content"] for row in folder_dataset(bucket, None, "maths").read(None)],
    "copied": sorted(path.name for path in storage.at("copy").rglob("*") if path.is_file() and path.stat().st_size),
}
print(json.dumps(told))
"""

LIBRARY = """
import json, os, sys
import datasets
layouts = json.loads(sys.argv[1])
told = []
for number, layout in enumerate(layouts):
    folder = os.path.join(sys.argv[2], str(number))
    for name in sum(layout.values(), []):
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        open(os.path.join(folder, name), "w").write("{}")
    files = datasets.load_dataset_builder(folder).config.data_files
    told.append({str(split): sorted(os.path.relpath(name, folder) for name in names) for split, names in files.items()})
datasets.Dataset.from_list([{"prompt": "saved"}]).save_to_disk(os.path.join(sys.argv[3], "dataset"))
# What was computed of it is left beside it.
saved = datasets.load_from_disk(os.path.join(sys.argv[3], "dataset"))
saved.map(lambda row: {"prompt": "computed"})
saved.filter(lambda row: True)
assert len([name for name in os.listdir(os.path.join(sys.argv[3], "dataset")) if name.startswith("cache-")]) == 2
both = datasets.DatasetDict({name: datasets.Dataset.from_list([{"prompt": name}]) for name in ("sft", "held")})
both.save_to_disk(os.path.join(sys.argv[3], "splits"))
print(json.dumps(told))
"""


def lines(*questions: str, **others: object) -> str:
    rows = ({"messages": [{"role": "user", "content": question}], **others} for question in questions)
    return "".join(json.dumps(row) + "\n" for row in rows)


CONFIGS = (FILES / "several-configs.README.md").read_text()

REPOSITORIES: dict[str, dict[str, str]] = {
    "several-configs": {
        "README.md": CONFIGS,
        "all/train.jsonl": lines("a", "b"),
        "maths/train.jsonl": lines("c"),
    },
    "loading-script": {"loading-script.py": "import datasets", "data.txt.bak": ""},
    "no-data-files": {"README.md": "A repository without a data file."},
    "other-columns": {
        "train-0.jsonl": lines("a"),
        "train-1.jsonl": lines("b", score=0.5) + "{broken\n" + lines("2024-01-01", score="none"),
        "test.jsonl": lines("t"),
        "more.xlsx": "x",
    },
    "missing-files": {
        "README.md": "---\nconfigs:\n- config_name: x\n  data_files: gone/*.jsonl\n---\n",
        "a.jsonl": "{}",
    },
    "broken-header": {"README.md": "---\nconfigs: [\n---\n", "a.jsonl": "{}"},
    "nameless-config": {"README.md": "---\nconfigs:\n- data_files: a.jsonl\n---\n", "a.jsonl": "{}"},
    "table": {"train.csv": "prompt,response\nWhat is it?,007\n,None\nAnd this?,None\n"},
    "separated": {
        "README.md": "---\nconfigs:\n- config_name: default\n  sep: ;\n  data_files: a.csv\n---\n",
        "a.csv": "prompt;response\nWhat is it?;an owl\n",
    },
    "shards": {
        "README.md": "---\nconfigs:\n- config_name: sample\n  data_files: data/train-00000-*\n"
        "- config_name: all\n  data_files: data/*\n- config_name: other\n  data_files: more/*\n---\n",
        "data/train-00000-of-00002.jsonl": lines("a"),
        "data/train-00001-of-00002.jsonl": lines("b"),
        "more/train-00001-of-00002.jsonl": lines("c"),
    },
    "pointer": {
        "README.md": "---\nconfigs:\n- config_name: default\n  data_files: a.txt\n---\n",
        "a.txt": "version https://git-lfs.github.com/spec/v1\noid sha256:0a1b\nsize 12345\n",
    },
    "capitals": {"Train.jsonl": lines("a"), "Test.jsonl": lines("t"), "more.jsonl": lines("m")},
    "texts": {"train.txt": "one question\nanother question\n"},
    "broken-archive": {"train.tar": "no archive"},
    "failing": {"train.jsonl": lines("a"), f"train/{FAILING}": lines("b")},
}


def spec(source: Source, number: int, **members: Any) -> dict[str, object]:
    program = PrepareProgram.model_validate({"source": source, "holdout": 0, **members})
    made = StageSpec(stage="prepare-dataset", fingerprint=f"f{number}", output=f"out/{number}", program=program)
    return made.model_dump(mode="json", by_alias=True)


def on_hub(repository: str, **members: str) -> Source:
    return Source(hugging_face=HuggingFaceRepo(repo=repository, **{"split": "train", **members}))


ASKED: dict[str, tuple[str, dict[str, str], dict[str, object]]] = {
    "config": ("several-configs", {"config": "all"}, {}),
    "no config": ("several-configs", {}, {}),
    "no such config": ("several-configs", {"config": "biology"}, {}),
    "loading script": ("loading-script", {}, {}),
    "no data files": ("no-data-files", {}, {}),
    "columns that differ": ("other-columns", {"split": "train"}, {}),
    "no such split": ("other-columns", {"split": "dev"}, {}),
    "files that README.md names are missing": ("missing-files", {}, {}),
    "broken header": ("broken-header", {}, {}),
    "config without a name": ("nameless-config", {}, {}),
    "table": ("table", {"split": "train"}, {"prompt_column": "prompt", "response_column": "response"}),
    "tables of other columns": ("tables", {}, {}),
    "packed": ("packed", {}, {}),
    "mixed": ("mixed", {}, {}),
    "separator": ("separated", {}, {"prompt_column": "prompt", "response_column": "response"}),
}
"""What is asked of a Hub, and of a folder that was downloaded from it."""

ONLY_IN_FOLDER: dict[str, tuple[str, dict[str, str], dict[str, object]]] = {
    "some shards of a config": ("shards", {"config": "sample"}, {}),
    "all shards of a config": ("shards", {"config": "all"}, {}),
    "a shard is missing": ("shards", {"config": "other"}, {}),
    "a pointer of Git LFS": ("pointer", {}, {}),
    "splits in capitals": ("capitals", {}, {}),
    "train in capitals": ("capitals", {"split": "train"}, {}),
}

ONLY_ON_HUB: dict[str, tuple[str, dict[str, str], dict[str, object]]] = {
    "splits in capitals": ("capitals", {}, {}),
    "texts": ("texts", {}, {"prompt_column": "text"}),
    "broken archive": ("broken-archive", {}, {}),
    "a column of texts that is missing": ("texts", {}, {"prompt_column": "prompt"}),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What comes of each question; one process, as its imports take most of the time."""
    folder = tmp_path_factory.mktemp("datasets")
    for name, files in REPOSITORIES.items():
        for file, text in files.items():
            (folder / "hub" / "users" / name / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / "hub" / "users" / name / file).write_text(text)
    tables = folder / "hub" / "users" / "tables"
    tables.mkdir()
    columns_beside: tuple[dict[str, object], ...] = (
        {"icon": {"bytes": b"no image"}},
        {"score": 0.5, "system": "be brief"},
    )
    for number, others in enumerate(columns_beside):
        messages = [{"role": "user", "content": f"question {number}"}]
        row: dict[str, object] = {"messages": messages, **others}
        pq.write_table(pa.Table.from_pylist([row]), tables / f"train-{number}.parquet")
    shutil.copytree(tables, tables.with_name("mixed"))
    for packed in (tables.with_name("mixed"), folder / "hub" / "users" / "packed"):
        packed.mkdir(exist_ok=True)
        (packed / "train.jsonl.gz").write_bytes(gzip.compress(lines("question 2").encode()))
    shutil.copytree(folder / "hub" / "users", folder / "storage" / "users")
    library = told_by(LIBRARY, (FILES / "layouts.json").read_text(), str(folder / "lay"), str(folder / "storage/saved"))
    questions: dict[str, dict[str, object]] = {}
    for asked, (name, members, columns) in {**ASKED, **ONLY_ON_HUB}.items():
        questions[f"hub: {asked}"] = spec(on_hub(f"users/{name}", **members), len(questions), **columns)
    for asked, (name, members, columns) in {**ASKED, **ONLY_IN_FOLDER}.items():
        source = Source(path=f"users/{name}", **members)
        questions[f"folder: {asked}"] = spec(source, len(questions), **columns)
    for asked, source in {
        "gated": on_hub(GATED),
        "no such repository": on_hub("users/nothing"),
        "no such revision": on_hub("users/table", revision="v9"),
        "the Hub fails": on_hub("users/failing"),
    }.items():
        questions[asked] = spec(source, len(questions))
    for place, split in (("saved/dataset", None), ("saved/splits", "sft"), ("saved/splits", None)):
        source = Source(path=place, split=split)
        questions[f"{place} {split}"] = spec(source, len(questions), prompt_column="prompt")
    (folder / "questions.json").write_text(json.dumps(questions))
    with hub(folder / "hub") as address:
        answers = told_by(RUN, str(folder / "storage"), str(folder / "questions.json"), HF_ENDPOINT=address)
    return {**answers, "library": library}


def told_by(script: str, *arguments: str, **variables: str) -> Any:
    command = [str(interpreter("fetcher")), "-c", script, *arguments]
    env = environment(HF_HUB_OFFLINE="0" if variables else "1", HF_HUB_DISABLE_TELEMETRY="1", **variables)
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=250)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


PLACES = pytest.mark.parametrize("place", ["hub", "folder"])
FIELD = {"hub": "dataset.source.huggingFace", "folder": "dataset.source"}


@PLACES
@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ("config", [[0, "a", None], [1, "b", None]]),
        ("columns that differ", [[0, "a", None], [1, "b", None], [3, "2024-01-01", None]]),
        ("tables of other columns", [[0, "question 0", None], [1, "question 1", None]]),
        ("packed", [[0, "question 2", None]]),
        ("table", [[0, "What is it?", "007"], [2, "And this?", "None"]]),
        ("separator", [[0, "What is it?", "an owl"]]),
    ],
)
def test_the_rows_are_the_same_on_the_hub_and_downloaded(
    told: dict[str, Any], place: str, asked: str, rows: list[object]
) -> None:
    """A column that is there in some files only, or has another type, doesn't matter; a broken line is one row.

    U05, U06, U12.
    """
    assert told[f"{place}: {asked}"].get("rows") == rows, told[f"{place}: {asked}"]


def test_the_commit_and_what_was_passed_over_are_told(told: dict[str, Any]) -> None:
    found = told["hub: columns that differ"]
    assert found["versions"] == {"revision": COMMIT}
    for place in ("hub", "folder"):
        counts = told[f"{place}: columns that differ"]["counts"]
        assert (counts["read"], counts["rejected.BrokenJson"], counts["skippedFiles"]) == (4, 1, 1)


@PLACES
@pytest.mark.parametrize(
    ("asked", "reason", "parts"),
    [
        ("no config", "BadConfig", ["several configs", "{field}.config", "all, maths"]),
        ("no such config", "BadConfig", ["'biology'", "{field}.config", "all, maths"]),
        ("no data files", "NoDataFiles", ["no-data-files"]),
        ("no such split", "BadSplit", ["'dev'", "train", "test", "{field}.split"]),
        ("files that README.md names are missing", "NoDataFiles", ["missing-files"]),
        ("broken header", "UnreadableDataset", ["README.md", "broken-header"]),
        ("config without a name", "UnreadableDataset", ["config_name"]),
    ],
)
def test_what_can_never_be_read_is_a_final_verdict(
    told: dict[str, Any], place: str, asked: str, reason: str, parts: list[str]
) -> None:
    """U05, U06."""
    found = told[f"{place}: {asked}"]
    assert (found.get("reason"), found.get("final")) == (reason, True), found
    for part in parts:
        assert part.format(field=FIELD[place]) in found["message"]


def test_of_several_formats_the_hub_has_the_most_frequent_and_a_folder_all(told: dict[str, Any]) -> None:
    """U12. The library takes a repository for one format; in either place nothing is passed over in silence."""
    assert told["hub: mixed"]["counts"]["read"] == 2
    assert told["hub: mixed"]["counts"]["skippedFiles"] == 1
    assert told["folder: mixed"]["counts"]["read"] == 3
    assert "skippedFiles" not in told["folder: mixed"]["counts"]


@PLACES
def test_text_beside_the_wanted_columns_of_a_table_is_still_seen(told: dict[str, Any], place: str) -> None:
    assert told[f"{place}: tables of other columns"]["counts"]["unread.system"] == 1


def test_a_loading_script_is_refused_as_such_on_the_hub(told: dict[str, Any]) -> None:
    """U06."""
    found = told["hub: loading script"]
    assert (found["reason"], found["final"]) == ("LoadingScript", True)
    assert "refs/convert/parquet" in found["message"]
    assert told["folder: loading script"]["reason"] == "NoDataFiles"


def test_what_only_the_library_reads_is_streamed_by_it(told: dict[str, Any]) -> None:
    assert [row[1] for row in told["hub: texts"]["rows"]] == ["one question", "another question"]
    assert told["hub: a column of texts that is missing"]["reason"] == "MissingColumn"
    assert "its columns: text" in told["hub: a column of texts that is missing"]["message"]
    found = told["hub: broken archive"]
    assert (found["reason"], found["final"]) == ("UnreadableDataset", True), found


@pytest.mark.parametrize(
    ("asked", "reason", "final"),
    [
        ("gated", "DatasetAccessDenied", True),
        ("no such repository", "DatasetNotFound", True),
        ("no such revision", "DatasetNotFound", True),
        ("the Hub fails", "HubUnavailable", False),
    ],
)
def test_what_the_hub_refuses_is_final_and_what_it_fails_to_do_is_tried_again(
    told: dict[str, Any], asked: str, reason: str, final: bool
) -> None:
    """D6."""
    assert (told[asked].get("reason"), told[asked].get("final")) == (reason, final), told[asked]


def test_what_the_hub_takes_for_train_though_its_name_says_test_is_told(told: dict[str, Any]) -> None:
    """The library knows small letters only."""
    of_hub = told["hub: splits in capitals"]
    assert [row[1] for row in of_hub["rows"]] == ["t", "a", "m"]
    assert "held out by their names: Test.jsonl; to leave them out, download" in of_hub["log"]
    assert told["folder: splits in capitals"]["reason"] == "SeveralSplits"
    assert [row[1] for row in told["folder: train in capitals"]["rows"]] == ["a"]
    assert not any("held out" in told[f"hub: {asked}"].get("log", "") for asked in ASKED)


def test_a_config_may_be_some_of_the_shards_of_a_folder_but_lacks_none(told: dict[str, Any]) -> None:
    assert [row[1] for row in told["folder: some shards of a config"]["rows"]] == ["a"]
    assert [row[1] for row in told["folder: all shards of a config"]["rows"]] == ["a", "b"]
    missing = told["folder: a shard is missing"]
    assert missing["reason"] == "IncompleteDataset"
    assert "lacks 1 of the 2 shards of more/train: 00000" in missing["message"]


def test_a_pointer_that_readme_names_is_no_text(told: dict[str, Any]) -> None:
    answer = told["folder: a pointer of Git LFS"]
    assert answer["reason"] == "IncompleteDataset" and "a.txt is a Git LFS pointer" in answer["message"]


def test_a_config_of_a_bucket_is_read_and_nothing_else_copied(told: dict[str, Any]) -> None:
    assert told["bucket"] == {"rows": ["c"], "copied": ["README.md", "train.jsonl"]}


def test_what_the_library_saved_is_read(told: dict[str, Any]) -> None:
    assert [row[1] for row in told["saved/dataset None"]["rows"]] == ["saved"]
    assert [row[1] for row in told["saved/splits sft"]["rows"]] == ["sft"]
    assert told["saved/splits None"]["reason"] == "SeveralSplits"


def test_the_layouts_of_the_unit_tests_are_as_the_library_finds_them(told: dict[str, Any]) -> None:
    layouts = json.loads((FILES / "layouts.json").read_text())
    expected = [{split: sorted(files) for split, files in layout.items()} for layout in layouts]
    assert told["library"] == expected
