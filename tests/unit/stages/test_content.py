"""A stage reads what the markers of the stages before it name, as it was written, and nothing else."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from distillation_api.contract import (
    CheckTokenizersProgram,
    ConvertProgram,
    EvaluateProgram,
    ExportProgram,
    FetchProgram,
    GenerateProgram,
    PackProgram,
    PlannedGeneration,
    PreflightProgram,
    PrepareProgram,
    Program,
    PublishProgram,
    Sampling,
    Source,
    StageResult,
    StageSpec,
    TrainData,
)
from distillation_stages.__main__ import PROGRAMS
from distillation_stages.data.tables import COMPLETIONS, unchanged_parts, write_table
from distillation_stages.data.training_rows import parts_to_learn
from distillation_stages.models.model_directory import model_of
from distillation_stages.programs import fetch, prepare
from distillation_stages.programs.train.inputs import read_inputs, require_checkpoints
from distillation_stages.runtime import content
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage, sha256_of
from unit.stages.stage_inputs import prompt_of, write_lines, write_model, write_safetensors
from unit.stages.training_inputs import logit_matching, train_program

MODEL = "models/one"
WEIGHTS = f"{MODEL}/model.safetensors"
SHARD = "generate/shard-0"


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """What the real programs fetch and prepare have left, and markers as of those that need an accelerator."""
    storage = Storage(tmp_path)
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    write_model(tmp_path / MODEL)
    for name in ("teacher", "student", "export"):
        program = FetchProgram(source=Source(path=MODEL), role="teacher")
        fetch.run(StageSpec(stage="fetch", fingerprint="f", output=name, program=program), storage)
    write_lines(tmp_path / "rows.jsonl", ({"q": f"question {row}", "a": "yes"} for row in range(20)))
    prepared = PrepareProgram(source=Source(path="rows.jsonl"), prompt_column="q", response_column="a", holdout=4)
    prepare.run(StageSpec(stage="prepare", fingerprint="p", output="prepare", program=prepared), storage)
    finish_with_parts(storage, SHARD, "completions", chunk(storage, 0))
    finish_with_parts(storage, "train", "checkpoint", chunk(storage, 0))
    return storage


def chunk(storage: Storage, number: int) -> Path:
    row = {
        "row": number, "sample": 0, "split": "train", "prompt": prompt_of("why?"), "reference": None,
        "completion": "so", "finishReason": "stop", "promptTokens": 1, "completionTokens": 1,
    }  # fmt: skip
    path = storage.at(f"{SHARD}/chunk-{number:05d}.parquet")
    write_table(path, COMPLETIONS, [row])
    return path


def finish_with_parts(storage: Storage, directory: str, output: str, *parts: Path, **counts: int) -> None:
    names = {f"{path.parent.name}/{path.name}": sha256_of(path) for path in parts}
    outputs = {output: storage.relative(parts[0].parent)}
    result = StageResult(stage="s", fingerprint="f", outputs=outputs, parts=names, counts=counts, settings={"a": 1})
    storage.write_marker(directory, result)


def flip(path: Path) -> None:
    """Another content of the same size."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def refused(storage: Storage, what: Callable[[], object], *named: str) -> None:
    with pytest.raises(StageError) as error:
        what()
    assert error.value.reason.name == "ContentChanged" and error.value.reason.is_final, error.value.message
    for text in (*named, "remove the folder", "new DistillationJob"):
        assert text in error.value.message


# Models.


@pytest.mark.parametrize("whole", [True, False])
def test_a_model_that_is_as_it_was_fetched_is_read(storage: Storage, whole: bool) -> None:
    assert model_of(storage, "teacher", whole) == storage.at(MODEL)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_changed_file_of_a_model_is_refused_by_its_name(storage: Storage, name: str) -> None:
    """F5.3: digests were written and never read; a weight file that had changed was used."""
    flip(storage.at(f"{MODEL}/{name}"))
    refused(storage, lambda: model_of(storage, "teacher", whole=True), name, "teacher")


def test_large_weights_are_hashed_on_cpu_and_their_sizes_added_up_beside_an_accelerator(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading 140 GB again while a TPU waits costs more than it proves: preflight has read them."""
    monkeypatch.setattr(content, "SMALL", 50)
    assert storage.at(WEIGHTS).stat().st_size > content.SMALL
    flip(storage.at(WEIGHTS))
    model_of(storage, "teacher")
    refused(storage, lambda: model_of(storage, "teacher", whole=True), "model.safetensors")
    write_safetensors(storage.at(WEIGHTS), tensor_bytes=9)
    refused(storage, lambda: model_of(storage, "teacher"), "bytes", "teacher")


@pytest.mark.parametrize("name", ["model-2.safetensors", "chat_template.jinja"])
def test_a_file_that_came_into_a_model_later_is_refused(storage: Storage, name: str) -> None:
    """vLLM reads each safetensors file that it finds, and transformers each template."""
    storage.at(f"{MODEL}/{name}").write_text("{}")
    refused(storage, lambda: model_of(storage, "teacher"), name, "came later")


def test_what_no_stage_reads_may_come_into_a_model(storage: Storage) -> None:
    storage.at(f"{MODEL}/README.md").write_text("my notes")
    assert model_of(storage, "teacher", whole=True) == storage.at(MODEL)


def test_a_file_that_is_gone_is_refused(storage: Storage) -> None:
    storage.at(f"{MODEL}/tokenizer.json").unlink()
    refused(storage, lambda: model_of(storage, "teacher"), "tokenizer.json", "gone")


def test_a_model_whose_files_are_links_is_read_as_long_as_they_lead_to_the_same(storage: Storage) -> None:
    """As the cache of the Hub's client has them: two files of one content are one."""
    blob = storage.at("blobs/0123")
    blob.parent.mkdir()
    blob.write_text("{}")
    for name in ("config.json", "tokenizer.json", "special_tokens_map.json"):
        storage.at(f"{MODEL}/{name}").unlink(missing_ok=True)
        (storage.at(MODEL) / name).symlink_to(blob)
    program = FetchProgram(source=Source(path=MODEL), role="teacher")
    fetch.run(StageSpec(stage="fetch", fingerprint="f", output="linked", program=program), storage)
    assert model_of(storage, "linked", whole=True) == storage.at(MODEL)
    flip(blob)
    refused(storage, lambda: model_of(storage, "linked"), "config.json")


# Tables.


@pytest.mark.parametrize("place", ["part", "folder"])
def test_no_part_of_a_table_is_left_out_for_being_a_link(storage: Storage, place: str) -> None:
    path = unchanged_parts(storage, "prepare", "train")[0]
    path = path if place == "part" else path.parent
    path.rename(storage.at("moved"))
    path.symlink_to(storage.at("moved"))
    refused(storage, lambda: unchanged_parts(storage, "prepare", "train"), "prepare")


def test_of_a_table_only_the_parts_that_its_marker_names_are_read(storage: Storage) -> None:
    """F5.3: training read each Parquet file that lay in the folder of a finished shard."""
    chunk(storage, 1)
    data = TrainData(kind="TeacherCompletions", completions="generate", shards=1)
    assert [path.name for path in parts_to_learn(data, storage)] == ["chunk-00000.parquet"]


def test_a_shard_without_rows_has_no_parts_whatever_lies_there(storage: Storage) -> None:
    storage.write_marker(
        SHARD, StageResult(stage="g", fingerprint="f", outputs={"completions": SHARD}, counts={"read": 0, "kept": 0})
    )
    assert unchanged_parts(storage, SHARD, "completions") == []


@pytest.mark.parametrize("split", ["train", "holdout"])
def test_a_changed_part_of_prepared_rows_is_refused(storage: Storage, split: str) -> None:
    parts = unchanged_parts(storage, "prepare", split)
    flip(parts[0])
    refused(storage, lambda: unchanged_parts(storage, "prepare", split), parts[0].name, "prepare")


def test_a_marker_of_a_run_by_hand_that_names_no_parts_has_those_that_are_there(storage: Storage) -> None:
    storage.write_marker(SHARD, StageResult(stage="g", fingerprint="f", outputs={"completions": SHARD}))
    assert [path.name for path in unchanged_parts(storage, SHARD, "completions")] == ["chunk-00000.parquet"]


# Each program.

READERS: dict[str, tuple[Program, list[str]]] = {
    "check-tokenizers": (CheckTokenizersProgram(teacher="teacher", student="student"), [f"{MODEL}/tokenizer.json"]),
    "preflight": (
        PreflightProgram(
            teacher="teacher",
            student="student",
            dataset="prepare",
            generation=PlannedGeneration(max_model_len=8, max_tokens=4, max_lost_share=0.5),
            training=[],
        ),
        [WEIGHTS, f"{MODEL}/config.json"],
    ),
    "convert": (ConvertProgram(model="student"), [WEIGHTS]),
    "generate": (
        GenerateProgram(
            model="teacher",
            dataset="prepare",
            shards=1,
            chunk_rows=8,
            max_model_len=8,
            sampling=Sampling(temperature=1, top_p=1, max_tokens=4, seed=0),
        ),
        [f"{MODEL}/config.json", "prepare/work-*/train/*.parquet", "prepare/work-*/holdout/*.parquet"],
    ),
    "pack": (
        PackProgram(
            student="student",
            data=TrainData(kind="OriginalDataset", dataset="prepare"),
            max_target_length=8,
            packing=False,
            sequences_per_step=1,
        ),
        [f"{MODEL}/tokenizer.json"],
    ),
    "export": (ExportProgram(checkpoint="train", student="student"), [f"{MODEL}/tokenizer.json"]),
    "evaluate": (
        EvaluateProgram(before="student", after="export", completions="generate", shards=1),
        [WEIGHTS, f"{SHARD}/chunk-00000.parquet"],
    ),
    "publish": (PublishProgram(model="export", to_path="published"), [WEIGHTS]),
}


@pytest.mark.parametrize(
    ("name", "changed"), [(name, changed) for name, (_, files) in READERS.items() for changed in files]
)
def test_each_program_refuses_an_input_that_has_changed(name: str, changed: str, storage: Storage) -> None:
    program, _ = READERS[name]
    [path, *_] = sorted(storage.mount.glob(changed))
    flip(path)
    spec = StageSpec(stage=name, fingerprint="e", output="out", program=program)
    before = dict(os.environ)
    try:
        refused(storage, lambda: importlib.import_module(PROGRAMS[program.kind]).run(spec, storage), path.name)
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert not (storage.mount / "published").exists()


@pytest.fixture
def sequences(storage: Storage) -> Path:
    """The sequences of one step, as pack leaves them."""
    part = storage.at("packed/sequences/part-00000.parquet")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"sequences")
    finish_with_parts(storage, "packed", "sequences", part, steps=1)
    return part


def test_the_first_host_of_a_training_sees_that_the_sequences_are_those_that_were_packed(
    storage: Storage, sequences: Path
) -> None:
    program = train_program(data="packed", sequences_per_step=1)
    assert read_inputs(program, storage, leads=True).sequences == sequences.parent
    flip(sequences)
    refused(storage, lambda: read_inputs(program, storage, leads=True), sequences.name, "packed")
    read_inputs(program, storage, leads=False)


@pytest.mark.parametrize("role", ["student", "teacher"])
@pytest.mark.parametrize("lost", [True, False])
def test_a_training_starts_from_the_checkpoints_that_were_converted(storage: Storage, role: str, lost: bool) -> None:
    for name in ("convert", "convert-teacher"):
        manifest = storage.at(f"{name}/work/0/items/manifest.ocdbt")
        manifest.parent.mkdir(parents=True)
        manifest.write_bytes(b"where the arrays lie")
        outputs = {"checkpoint": f"{name}/work/0/items"}
        parts = content.digests_below(manifest.parent, storage.at(name))
        storage.write_marker(name, StageResult(stage="s", fingerprint="f", outputs=outputs, parts=parts))
    program = train_program(objective=logit_matching())
    require_checkpoints(program, storage)
    changed = storage.at(f"{'convert' if role == 'student' else 'convert-teacher'}/work/0/items/manifest.ocdbt")
    changed.unlink() if lost else flip(changed)
    refused(storage, lambda: require_checkpoints(program, storage), "manifest.ocdbt")


def test_a_large_file_of_a_checkpoint_that_is_cut_is_not_trained_from(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It isn't hashed while accelerators wait."""
    monkeypatch.setattr(content, "SMALL", 1000)
    items = storage.at("convert/work/0/items")
    arrays = items / "d" / "arrays"
    arrays.parent.mkdir(parents=True)
    arrays.write_bytes(b"\0" * 5000)
    (items / "manifest.ocdbt").write_bytes(b"where the arrays lie")
    parts = content.digests_below(items, storage.at("convert"))
    outputs = {"checkpoint": storage.relative(items)}
    marker = StageResult(stage="s", fingerprint="f", outputs=outputs, parts=parts, counts={"bytes": 5020})
    storage.write_marker("convert", marker)
    program = train_program()
    require_checkpoints(program, storage)
    os.truncate(arrays, 4096)
    refused(storage, lambda: require_checkpoints(program, storage), "4116 bytes, not 5020")


def test_sequences_that_the_marker_does_not_name_are_not_trained_on(storage: Storage, sequences: Path) -> None:
    sequences.with_name("part-00001.parquet").write_bytes(b"more")
    program = train_program(data="packed", sequences_per_step=5000)
    refused(storage, lambda: read_inputs(program, storage, leads=True), "part-00001.parquet")
