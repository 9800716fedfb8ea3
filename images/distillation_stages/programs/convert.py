"""Convert the student from Hugging Face format to a MaxText checkpoint, and verify that both say the same."""

import shutil
import time
from pathlib import Path

from distillation_api import reasons
from distillation_api.contract import SCRATCH_MOUNT, ConvertProgram, StageResult, StageSpec
from distillation_stages.maxtext.command import versions
from distillation_stages.maxtext.cpu import prepare_cpu
from distillation_stages.maxtext.families import fill_tables, require_export_support
from distillation_stages.maxtext.logits import compare, maxtext_logits, samples, transformers_logits
from distillation_stages.maxtext.naming import NAME, model_name
from distillation_stages.maxtext.to_maxtext import convert_to_maxtext
from distillation_stages.models.model_config import HuggingFaceConfig, read_config
from distillation_stages.models.model_directory import model_of
from distillation_stages.models.quantisation import require_unquantised
from distillation_stages.models.weights import parameters_of
from distillation_stages.runtime.compile_cache import compile_cache
from distillation_stages.runtime.content import digests_below
from distillation_stages.runtime.environment import available_memory
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.limits import require_disk
from distillation_stages.runtime.reporting import say
from distillation_stages.runtime.storage import Storage

BYTES_PER_PARAMETER = 4
"""Float32 always, see _in_float32."""

MEMORY_PER_PARAMETER = 10
"""Bytes: the float32 weights as MaxText has read them, as they are written, and half of that again. Of models of 50 and
135 million parameters the peaks lay 11 bytes per parameter apart, the mapped file of weights included.
"""
MEMORY_OF_LIBRARIES = 2_000_000_000

SHARDS_FROM_BYTES = 4 << 30
SHARDS = 16
"""A large checkpoint is written in shards, so that the hosts of a slice don't each read it all."""


def run(spec: StageSpec, storage: Storage) -> StageResult:
    """Write the checkpoint into a workspace, compare logits, publish."""
    program = spec.program
    assert isinstance(program, ConvertProgram)
    started = time.monotonic()
    fetched = storage.require_marker(program.model)
    model = model_of(storage, program.model, whole=True)
    require_unquantised(model)
    config = read_config(model)
    name = name_of(program, fetched, config)
    parameters = parameters_of(model)
    size = parameters * BYTES_PER_PARAMETER
    require_memory(parameters, available_memory())
    require_disk(storage.mount, size, f"the MaxText checkpoint of {model.name}")
    devices = SHARDS if size >= SHARDS_FROM_BYTES else 1
    prepare_cpu(devices)

    # torch before MaxText: torch's compiler library crashes when TensorFlow, which MaxText imports, is loaded already.
    sample = samples(model)
    reference = transformers_logits(model, sample)
    settings = fill_tables(name, config, model)
    if program.trained:
        require_export_support(name, model)
    say(f"reference logits after {time.monotonic() - started:.1f} s")
    cache = compile_cache(storage, Path(SCRATCH_MOUNT) / "jax", "jax", "cpu")
    workspace = storage.workspace(spec.output)
    try:
        convert_to_maxtext(model, settings, workspace, devices, cache)
        checkpoint = workspace / "0" / "items"
        say(f"checkpoint written after {time.monotonic() - started:.1f} s")
        comparison = compare(reference, maxtext_logits(checkpoint, settings, sample, cache, devices), sample.lengths)
        comparison.require(
            reasons.CONVERSION_DISAGREES,
            f"The converted {name} and transformers disagree",
            program.max_kl,
            program.min_top1_agreement,
        )
        written = sum(path.stat().st_size for path in checkpoint.rglob("*") if path.is_file())
        result = StageResult(
            stage=spec.stage,
            fingerprint=spec.fingerprint,
            outputs={"checkpoint": storage.relative(checkpoint)},
            counts={"parameters": size // BYTES_PER_PARAMETER, "bytes": written},
            metrics=comparison.metrics(),
            settings=settings,
            parts=digests_below(checkpoint, storage.at(spec.output)),
            versions=versions(),
            seconds=round(time.monotonic() - started, 1),
        )
        return storage.conclude(spec.output, result, workspace)
    except BaseException:
        shutil.rmtree(workspace, ignore_errors=True)
        raise


def name_of(program: ConvertProgram, fetched: StageResult, config: HuggingFaceConfig) -> str:
    """MaxText's name of the model: the manifest's, or what the fetch stage has found.

    Asked again of config.json: a model that was fetched before, for another job or by an older operator, bears no name,
    and was not compared with the one that is given now.
    """
    found = fetched.settings.get(NAME)
    given = program.max_text_model or (str(found) if found is not None else None)
    return model_name(config, given, program.trained, "maxTextModel")


def require_memory(parameters: int, free: int | None) -> None:
    """Raise StageError when this many parameters don't fit into the bytes that the pod may still take."""
    need = MEMORY_OF_LIBRARIES + parameters * MEMORY_PER_PARAMETER
    if free is not None and free < need:
        raise StageError(
            reasons.MEMORY_TOO_SMALL,
            f"converting {parameters / 1e9:.2f} billion parameters needs {need / 2**30:.0f} GiB of memory, free are "
            f"{free / 2**30:.0f} GiB; raise conversion.resources.memory",
        )
