"""Families besides Llama, in sizes that MaxText has no entry for: to MaxText and back, with the logits compared."""

import json
import subprocess
from pathlib import Path

import pytest

from distillation_api.contract import ConvertProgram, ExportProgram, StageSpec
from distillation_stages.runtime.storage import Storage
from e2e.stage_programs import environment, interpreter, run_stage
from e2e.training_storage import made_model
from unit.stages.stage_inputs import write_safetensors

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param("qwen2", "qwen2.5-1.5b", marks=pytest.mark.long),
        ("qwen3", "qwen3-1.7b"),
        ("llama", "llama3.1-8b"),
    ],
)
def test_a_family_converts_there_and_back_in_any_size(kind: str, name: str, tmp_path: Path) -> None:
    """M16, U34: qwen3-1.7b is also one that MaxText converts, but can't convert back by itself. The Llama is made like
    3.2 (U01), whose RoPE is scaled by other numbers than MaxText's own, with the rotary buffers that Llama 2's files
    hold (U02).
    """
    storage, python = Storage(tmp_path / "storage"), interpreter("converter")
    made_model(storage, "student", "small_family.py", kind)
    programs = {
        "convert": ConvertProgram(model="fetch-student", max_text_model=name),
        "export": ExportProgram(checkpoint="convert", student="fetch-student"),
    }
    for stage, program in programs.items():
        spec = StageSpec(stage=stage, fingerprint="c", output=stage, program=program)
        result = run_stage(python, spec, storage.mount, tmp_path / stage)
        assert result.metrics["kl"] < 1e-4
        assert result.metrics["top1Agreement"] > 0.99


NO_WAY_BACK = """
import sys
from pathlib import Path
import torch._dynamo
from distillation_stages.maxtext.start import patch_imports
patch_imports()
from maxtext.checkpoint_conversion.utils import hf_model_configs
from distillation_stages.runtime.failure import StageError
from distillation_stages.maxtext.families import fill_tables, require_export_support
name = "olmo3-7b-pt"
config = hf_model_configs.HF_MODEL_CONFIGS[name].to_dict()
print(fill_tables(name, config, Path(sys.argv[1]))["model_name"])
try:
    require_export_support(name, Path(sys.argv[1]))
except StageError as error:
    print(error.reason.name, error.message)
"""


def test_a_student_that_maxtext_cannot_convert_back_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors")
    command = [str(interpreter("converter")), "-c", NO_WAY_BACK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=300, check=True)
    known, refused = done.stdout.splitlines()[-2:]
    assert known == "olmo3-7b-pt"
    assert refused.startswith("ModelNotSupported MaxText can't convert a trained 'olmo3-7b-pt' back")


IGNORED = """
import json
import sys
from pathlib import Path
from distillation_stages.models.weights import ignored_by_transformers
for model, names in json.loads(sys.argv[1]).items():
    print("IGNORED", *sorted(ignored_by_transformers(Path(model), names)))
"""

PASSED_OVER = {
    "llama": ["model.layers.0.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"],
    "deepseek_v3": ["model.layers.61.eh_proj.weight"],
}
REFUSED = ["model.layers.0.self_attn.q_proj.lora_A.weight", "model.layers.0.self_attn.rotary_emb.weight", "extra"]


def test_what_transformers_ignores_is_no_weight_and_all_else_is(tmp_path: Path) -> None:
    """U02."""
    asked = {str(tmp_path / kind): [*names, *REFUSED] for kind, names in PASSED_OVER.items()}
    for model in map(Path, asked):
        model.mkdir()
        (model / "config.json").write_text(json.dumps({"model_type": model.name, "num_hidden_layers": 1}))
    command = [str(interpreter("converter")), "-c", IGNORED, json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=300, check=True)
    told = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("IGNORED")]
    assert told == list(PASSED_OVER.values())
