"""Each stage program killed at random moments ends, after restarts, with what an unkilled run ends with.

``KILLS`` is how often each program is killed (``make test-kills``: 20), the quick ones five times at least.
"""

import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from distillation_api.contract import (
    EXIT_DONE,
    ConvertProgram,
    ExportProgram,
    FetchProgram,
    GenerateProgram,
    PackProgram,
    PrepareProgram,
    Program,
    PublishProgram,
    Sampling,
    Source,
    StageResult,
    StageSpec,
    TrainData,
)
from distillation_stages.data.tables import PREPARED, parts_of, read_rows, write_table
from distillation_stages.runtime.storage import Storage, sha256_of
from e2e.bucket import BUCKET, bucket
from e2e.killed_process import Process
from e2e.training_storage import MODEL, copy_of, counting_rows, packed, prepared, train_program
from unit.stages.stage_inputs import rows_in, write_lines

SLOW_KILLS = int(os.environ.get("KILLS", "1"))
QUICK_KILLS = max(SLOW_KILLS, 5)
LONGEST = 1200.0
"""Seconds that no program of this file takes, however often it goes on."""

OUTPUT = "killed"

pytestmark = pytest.mark.timeout(7200)


@dataclass
class Case:
    """A program, what its outcome is, and how often it is killed."""

    python: str
    program: Program
    outcome: Callable[[Storage, StageResult], Any]
    kills: int = SLOW_KILLS
    marker: str = OUTPUT


def digests(directory: Path) -> dict[str, str]:
    """SHA-256 of each file in the directory."""
    return {path.relative_to(directory).as_posix(): sha256_of(path) for path in directory.rglob("*") if path.is_file()}


def fetched(storage: Storage, result: StageResult) -> Any:
    return result.counts, digests(storage.at(result.outputs["model"]))


def rows_prepared(storage: Storage, result: StageResult) -> Any:
    return result.counts, [rows_in(storage, result.outputs[name]) for name in ("train", "holdout")]


def generated(storage: Storage, result: StageResult) -> Any:
    """Each answer is there once, and the counts close. V18: of the texts nothing is promised."""
    rows = list(read_rows(parts_of(storage.at(f"{OUTPUT}/shard-0"))))
    keys = [(row["row"], row["sample"]) for row in rows]
    assert len(set(keys)) == len(keys) == result.counts["kept"]
    return sorted(keys), result.counts


def converted(storage: Storage, result: StageResult) -> Any:
    assert storage.at(result.outputs["checkpoint"]).is_dir()
    # Not the bytes: Orbax packs the same weights into files of one size or another.
    return result.settings, result.counts["parameters"], result.metrics


def exported(storage: Storage, result: StageResult) -> Any:
    return result.counts, digests(storage.at(result.outputs["model"]))


def sequences(storage: Storage, result: StageResult) -> Any:
    return result.counts, digests(storage.at(result.outputs["sequences"]))


def trained(storage: Storage, result: StageResult) -> Any:
    """The last step's checkpoint. No step is told twice; a kill between a save and its line costs that line."""
    history = [json.loads(line) for line in storage.at(result.outputs["history"]).read_text().splitlines()]
    steps = [entry["step"] for entry in history]
    assert steps == sorted(set(steps))
    assert storage.at(result.outputs["checkpoint"]).is_dir()
    return result.counts["steps"], steps[-1], Path(result.outputs["checkpoint"]).parts[-2:]


SAMPLING = Sampling(temperature=0.0, top_p=1.0, max_tokens=48, seed=5, keep_truncated=True, samples_per_prompt=1)

CASES = {
    "fetch": Case(
        "fetcher",
        FetchProgram(source=Source(gcs_uri=f"gs://{BUCKET}/student"), role="student"),
        fetched,
        QUICK_KILLS,
    ),
    "prepare": Case(
        "fetcher",
        PrepareProgram(source=Source(path="rows.jsonl"), messages_column="messages", holdout=50, seed=3),
        rows_prepared,
        QUICK_KILLS,
    ),
    "publish": Case(
        "fetcher",
        PublishProgram(model="fetch-student", to_path="published"),
        lambda storage, result: digests(storage.at("published")),
        QUICK_KILLS,
    ),
    "generate": Case(
        "teacher",
        GenerateProgram(
            model="fetch-student", dataset="dataset", shards=1, chunk_rows=8, max_model_len=256,
            sampling=SAMPLING, dtype="float32",
        ),
        generated,
        marker=f"{OUTPUT}/shard-0",
    ),
    "pack": Case(
        "converter",
        PackProgram(
            student="fetch-student", data=TrainData(kind="OriginalDataset", dataset="prepared"), max_target_length=64,
            packing=True, sequences_per_step=4, epochs=2,
        ),
        sequences,
    ),
    "convert": Case("converter", ConvertProgram(model="fetch-student", max_text_model=MODEL), converted),
    "export": Case("converter", ExportProgram(checkpoint="convert-student", student="fetch-student"), exported),
    "train": Case(
        "trainer",
        train_program(steps=16, checkpoint_period=3),
        trained,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def source(converted_models: Storage, tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """A storage with what each of the programs reads."""
    storage = copy_of(converted_models, tmp_path_factory.mktemp("kills") / "storage")
    lines: list[object] = [
        {"messages": [{"role": "user", "content": f"Say {number}."}, {"role": "assistant", "content": str(number)}]}
        for number in range(20_000)
    ]
    write_lines(storage.at("rows.jsonl"), [*lines, "{", *lines[:10]])
    prepared(storage, counting_rows(96), "dataset")
    prepared(storage, counting_rows(2_000), "prepared")
    packed(storage, storage.mount.with_name("packed"), data=TrainData(kind="OriginalDataset", dataset="dataset"))
    write_table(storage.at("dataset/holdout/part-00000.parquet"), PREPARED, counting_rows(100)[96:])
    outputs = {"train": "dataset/train", "holdout": "dataset/holdout"}
    storage.write_marker("dataset", StageResult(stage="prepare", fingerprint="p", outputs=outputs))
    return storage


@pytest.fixture(scope="module")
def variables(source: Storage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment that names the bucket, which holds the student."""
    with bucket(tmp_path_factory.mktemp("bucket"), student=source.at("fetch-student/model")) as address:
        yield {"STORAGE_EMULATOR_HOST": address}


@pytest.fixture
def fresh(source: Storage, tmp_path: Path) -> Iterator[Callable[[], Storage]]:
    """Makes storages that hold the source's files."""

    def make() -> Storage:
        return copy_of(source, tmp_path / f"storage-{len(list(tmp_path.iterdir()))}")

    yield make
    for path in tmp_path.iterdir():
        shutil.rmtree(path, ignore_errors=True)


SEEN_BY_OTHERS = {"convert", "train", "generate"}
"""Killed on each run of the tests, on a worse storage (test_torn_saves.py) or in a pod (test_demo.py)."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in SEEN_BY_OTHERS else name for name in CASES]
)
def test_a_killed_program_ends_with_what_an_unkilled_one_ends_with(
    name: str, fresh: Callable[[], Storage], variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    case, moments = CASES[name], random.Random(name)
    folder = tmp_path_factory.mktemp(name)

    def start(storage: Storage) -> Process:
        spec = StageSpec(stage=OUTPUT, fingerprint="k", output=OUTPUT, program=case.program)
        return Process(spec, case.python, storage, folder / storage.mount.name, variables)

    def finish(storage: Storage) -> Any:
        process = start(storage)
        assert process.wait(LONGEST) == EXIT_DONE, process.output()
        return outcome(storage)

    def outcome(storage: Storage) -> Any:
        result = storage.read_marker(case.marker)
        assert result is not None
        assert len(list(storage.at(OUTPUT).glob("work-*"))) <= 1, "a killed try's work is left"
        return case.outcome(storage, result)

    started = time.monotonic()
    expected = finish(fresh())
    seconds = time.monotonic() - started
    storage, killed = fresh(), 0
    while killed < case.kills:
        process = start(storage)
        try:
            code = process.wait(moments.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
        else:
            assert code == EXIT_DONE, process.output()
            assert outcome(storage) == expected
            storage = fresh()
    assert finish(storage) == expected


@pytest.mark.long
def test_of_two_conversions_of_one_student_at_once_one_is_used(fresh: Callable[[], Storage], tmp_path: Path) -> None:
    storage, case = fresh(), CASES["convert"]
    spec = StageSpec(stage=OUTPUT, fingerprint="k", output=OUTPUT, program=case.program)
    both = [Process(spec, case.python, storage, tmp_path / f"job-{number}", {}) for number in range(2)]
    for process in both:
        assert process.wait(LONGEST) == EXIT_DONE, process.output()
    told = [StageResult.model_validate_json((process.folder / "termination").read_text()) for process in both]
    assert sorted(result.reused for result in told) == [False, True]
    marker = storage.read_marker(OUTPUT)
    assert marker is not None
    checkpoint = storage.at(marker.outputs["checkpoint"])
    assert {result.outputs["checkpoint"] for result in told} == {marker.outputs["checkpoint"]}
    assert [path for path in storage.at(OUTPUT).iterdir() if path.is_dir()] == [checkpoint.parents[1]]
    # Export reads the checkpoint whole and compares its logits with those of transformers.
    storage.write_marker("convert-student", marker)
    process = Process(
        StageSpec(stage="export", fingerprint="e", output="exported", program=CASES["export"].program),
        "converter", storage, tmp_path / "export", {},
    )  # fmt: skip
    assert process.wait(LONGEST) == EXIT_DONE, process.output()
