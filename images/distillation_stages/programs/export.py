"""Convert the trained checkpoint back to Hugging Face format, and verify that transformers reads the same model."""

import json
import shutil
import time
from pathlib import Path

from distillation_api import reasons
from distillation_api.contract import SCRATCH_MOUNT, ExportProgram, StageResult, StageSpec
from distillation_stages.maxtext.command import versions
from distillation_stages.maxtext.cpu import prepare_cpu
from distillation_stages.maxtext.logits import compare, maxtext_logits, samples, transformers_logits
from distillation_stages.maxtext.to_hugging_face import convert_to_hugging_face, load_torch
from distillation_stages.models.model_card import CARD_NAME, model_card
from distillation_stages.models.model_config import HuggingFaceConfig, end_tokens, read_config
from distillation_stages.models.model_directory import model_of
from distillation_stages.models.rendering import Renderer
from distillation_stages.models.weights import parameters_of
from distillation_stages.runtime.compile_cache import compile_cache
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.limits import require_disk
from distillation_stages.runtime.regular_files import copy_content
from distillation_stages.runtime.reporting import say
from distillation_stages.runtime.storage import Storage, sha256_of

BYTES_PER_PARAMETER = {"bfloat16": 2, "float32": 4}
MODEL_DIRECTORY = "model"
GENERATION_CONFIG = "generation_config.json"
FILE_MODE = 0o644
"""MaxText writes weights that only their owner can read; a server that runs as another user must read them too."""

_WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pt", ".pth", ".gguf", ".h5")


def run(spec: StageSpec, storage: Storage) -> StageResult:
    """Write the model into a workspace, load it back, compare logits, publish."""
    program = spec.program
    assert isinstance(program, ExportProgram)
    started = time.monotonic()
    trained = storage.require_marker(program.checkpoint)
    checkpoint = storage.at(trained.outputs["checkpoint"])
    student = model_of(storage, program.student)
    settings = trained.settings
    if not settings:
        raise StageError(
            reasons.NO_SETTINGS, f"the marker of {program.checkpoint} has no MaxText settings; train it again"
        )
    config = read_config(student)
    parameters = parameters_of(student)
    require_disk(storage.mount, parameters * BYTES_PER_PARAMETER[program.dtype], "the exported model")
    prepare_cpu(1)
    cache = compile_cache(storage, Path(SCRATCH_MOUNT) / "jax", "jax", "cpu")
    workspace = storage.workspace(spec.output)
    try:
        model = workspace / MODEL_DIRECTORY
        sample = samples(student)
        load_torch()
        convert_to_hugging_face(checkpoint, student, config, settings, model, program.dtype, cache)
        complete_directory(student, model, program.dtype, storage.mount)
        if program.chat_template is not None or program.chat_template_arguments:
            trained_with = Renderer.load(student, program.chat_template, program.chat_template_arguments)
            write_chat_template(model, trained_with.tokenizer.get_chat_template())
        write_generation_config(model, config, Renderer.load(model).end_of_turn())
        if program.lineage is not None:
            (model / CARD_NAME).write_text(model_card(program.lineage, storage))
        say(f"model written after {time.monotonic() - started:.1f} s")
        # Both sides from weights rounded alike: what is compared is the conversion, not bfloat16 with float32.
        reference = maxtext_logits(checkpoint, settings, sample, cache, weight_dtype=program.dtype)
        comparison = compare(reference, transformers_logits(model, sample), sample.lengths)
        comparison.require(
            reasons.EXPORT_DISAGREES,
            f"transformers, from the exported {program.dtype} files, and MaxText, from the checkpoint, disagree",
            program.max_kl,
            program.min_top1_agreement,
        )
        files = sorted(path for path in model.rglob("*") if path.is_file())
        result = StageResult(
            stage=spec.stage,
            fingerprint=spec.fingerprint,
            outputs={"model": storage.relative(model)},
            counts={"parameters": parameters_of(model), "bytes": sum(path.stat().st_size for path in files)},
            metrics=comparison.metrics(),
            settings=settings,
            parts={path.relative_to(storage.at(spec.output)).as_posix(): sha256_of(path) for path in files},
            versions=versions(),
            seconds=round(time.monotonic() - started, 1),
        )
        return storage.conclude(spec.output, result, workspace)
    except BaseException:
        shutil.rmtree(workspace, ignore_errors=True)
        raise


def write_generation_config(model: Path, config: HuggingFaceConfig, end: int) -> None:
    """Make servers stop where the chat template ends an answer, whatever the student's author had them do.

    A base model's own configuration names the end of a document only: its student would talk on for ever.
    """
    path = model / GENERATION_CONFIG
    if path.exists():
        settings = json.loads(path.read_text())
    else:
        settings = {name: config[name] for name in ("bos_token_id", "eos_token_id") if config.get(name) is not None}
    ends = end_tokens(settings.get("eos_token_id"))
    if end not in ends:
        settings["eos_token_id"] = [*ends, end] if ends else end
        path.write_text(json.dumps(settings, indent=2) + "\n")
        path.chmod(FILE_MODE)


def write_chat_template(model: Path, chat_template: str) -> None:
    """Give the exported tokenizer the template that the student was trained with, in the place of any other."""
    path = model / "chat_template.jinja"
    path.write_text(chat_template)
    path.chmod(FILE_MODE)
    settings = model / "tokenizer_config.json"
    # Servers of older libraries read the member only.
    known = json.loads(settings.read_text()) if settings.exists() else {}
    settings.write_text(json.dumps({**known, "chat_template": chat_template}, indent=2, ensure_ascii=False) + "\n")
    settings.chmod(FILE_MODE)
    # Named templates: a server might choose one of these.
    shutil.rmtree(model / "additional_chat_templates", ignore_errors=True)


def complete_directory(student: Path, model: Path, dtype: str, root: Path) -> None:
    """Make the exported weights a model directory: everything but weights exactly as the student's author shipped it.
    Raises StageError for a link that leads out of the folder ``root``.

    MaxText writes a configuration and a tokenizer too, as its version of transformers would; those are replaced.
    """
    for path in model.iterdir():
        if not path.name.endswith(_WEIGHTS):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in student.iterdir():
        if path.is_file() and not path.name.startswith(".") and not path.name.endswith(_WEIGHTS):
            copy_content(path, model / path.name, root)
    config = dict(read_config(student))
    # transformers 5 writes dtype, earlier versions read torch_dtype only.
    config["torch_dtype"] = dtype
    if "dtype" in config:
        config["dtype"] = dtype
    (model / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    for path in model.iterdir():
        path.chmod(FILE_MODE)
