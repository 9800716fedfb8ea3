"""The guide's student, llama2-7b, for which MaxText's converters have no entry: converted, trained and exported.

Small and random, but with Llama 2's shape: lm_head of its own, as many key as query heads, RoPE of base 10,000.
"""

import json
import math
import subprocess
from pathlib import Path
from typing import Literal

import pytest

from distillation_api.contract import (
    ConvertProgram,
    ExportProgram,
    Lineage,
    ReportedStage,
    Source,
    StageResult,
    StageSpec,
    SupervisedFineTuning,
    TrainProgram,
)
from distillation_stages.data.tables import PREPARED, write_table
from distillation_stages.runtime.storage import Storage
from e2e.served_model import serving
from e2e.stage_programs import environment, interpreter, run_stage
from e2e.training_storage import packed

STEPS = 4
LINEAGE = Lineage(
    teacher=Source(path="teacher"),
    student=Source(path="student"),
    dataset=Source(path="rows.jsonl"),
    stages=[ReportedStage(name="train", outputs=["train"], chips=0)],
)
MAX_KL = 1e-6
"""The embeddings are not tied, so MaxText rounds nothing; with bfloat16 queries it would be 5e-5."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the storage and the programs' logs."""
    return tmp_path_factory.mktemp("llama2-shape")


@pytest.fixture(scope="module")
def storage(folder: Path) -> Storage:
    """A storage after the fetch and prepare stages."""
    storage = Storage(folder / "storage")
    model = storage.mount / "fetch" / "model"
    model.mkdir(parents=True)
    script = Path(__file__).with_name("small_llama.py")
    subprocess.run([str(interpreter("converter")), str(script), str(model)], check=True, env=environment(), timeout=300)
    storage.write_marker("fetch", StageResult(stage="fetch", fingerprint="f", outputs={"model": "fetch/model"}))
    rows = [
        {
            "row": row,
            "prompt": [{"role": "user", "content": f"Count to {row}."}],
            "reference": ", ".join(map(str, range(1, row + 1))),
        }
        for row in range(1, 13)
    ]
    write_table(storage.mount / "prepare" / "train" / "part-00000.parquet", PREPARED, rows)
    storage.write_marker("prepare", StageResult(stage="prepare", fingerprint="p", outputs={"train": "prepare/train"}))
    return storage


@pytest.fixture(scope="module")
def converted(folder: Path, storage: Storage) -> StageResult:
    """The convert stage's result."""
    program = ConvertProgram(model="fetch", max_text_model="llama2-7b", max_kl=MAX_KL)
    spec = StageSpec(stage="convert", fingerprint="c", output="convert", program=program)
    return run_stage(interpreter("converter"), spec, storage.mount, folder / "convert")


@pytest.fixture(scope="module")
def trained(folder: Path, storage: Storage, converted: StageResult) -> StageResult:
    """The train stage's result."""
    packed(storage, folder / "pack", "pack", student="fetch", epochs=None, steps=STEPS)
    program = TrainProgram(
        start="convert",
        tokenizer="fetch",
        data="pack",
        sequences_per_step=2,
        per_device_batch_size=2,
        max_target_length=64,
        learning_rate=1e-3,
        warmup_steps_fraction=0.1,
        checkpoint_period=STEPS,
        packing=False,
        dtype="float32",
        weight_dtype="float32",
        parallelism={"fsdp": 1},
        objective=SupervisedFineTuning(),
        hardware="cpu",
    )
    spec = StageSpec(stage="train", fingerprint="t", output="train", program=program)
    return run_stage(interpreter("trainer"), spec, storage.mount, folder / "train")


@pytest.mark.timeout(600)
def test_it_converts_to_the_same_logits(storage: Storage, converted: StageResult) -> None:
    assert converted.metrics["kl"] < MAX_KL
    assert converted.metrics["top1Agreement"] > 0.99
    assert converted.settings["model_name"] == "llama2-7b"
    assert converted.settings["head_dim"] == 32
    assert storage.at(converted.outputs["checkpoint"]).is_dir()


@pytest.mark.timeout(900)
def test_it_learns(converted: StageResult, trained: StageResult) -> None:
    assert trained.counts["steps"] == STEPS
    # A random model does no better than guessing among all tokens.
    assert trained.metrics["firstLoss"] > math.log(32_000) - 0.5
    assert trained.metrics["loss"] < trained.metrics["firstLoss"]
    assert trained.settings == converted.settings


def export(folder: Path, storage: Storage, dtype: Literal["bfloat16", "float32"]) -> StageResult:
    """The export stage's result; made once for each dtype."""
    program = ExportProgram(checkpoint="train", student="fetch", dtype=dtype, lineage=LINEAGE)
    spec = StageSpec(stage="export", fingerprint="e", output=f"export-{dtype}", program=program)
    return run_stage(interpreter("converter"), spec, storage.mount, folder / f"export-{dtype}")


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("dtype", "max_kl"), [("bfloat16", 1e-3), ("float32", MAX_KL)])
def test_it_exports_to_the_same_logits(
    folder: Path,
    storage: Storage,
    converted: StageResult,
    trained: StageResult,
    dtype: Literal["bfloat16", "float32"],
    max_kl: float,
) -> None:
    """M10, M16: what SFT made, back in Hugging Face's format, against transformers."""
    exported = export(folder, storage, dtype)
    assert exported.metrics["kl"] < max_kl
    assert exported.counts["parameters"] == converted.counts["parameters"]
    model = storage.at(exported.outputs["model"])
    assert json.loads((model / "config.json").read_text())["torch_dtype"] == dtype
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (model / name).read_bytes() == storage.at(f"fetch/model/{name}").read_bytes()
    assert "| train | " in (model / "README.md").read_text()


@pytest.mark.timeout(900)
def test_vllm_serves_the_export_as_a_chat(folder: Path, storage: Storage, trained: StageResult) -> None:
    model = storage.at(export(folder, storage, "bfloat16").outputs["model"])
    with serving(model, folder / "vllm.log") as ask:
        question = [{"role": "user", "content": "Count to 3."}]
        answer = ask("/v1/chat/completions", {"messages": question, "max_tokens": 8, "temperature": 0})
        tokens = ask("/tokenize", {"messages": question, "add_special_tokens": False})["tokens"]
    assert 1 <= answer["usage"]["completion_tokens"] <= 8
    assert answer["choices"][0]["message"]["role"] == "assistant"
    # Rendered by the student's own template: its one beginning-of-sequence token, and nothing twice.
    assert answer["usage"]["prompt_tokens"] == len(tokens)
    assert tokens.count(1) == 1 and tokens[0] == 1
