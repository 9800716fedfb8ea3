"""What makes a directory a model in Hugging Face format that every later stage can load."""

import json
from pathlib import Path

from distillation_api import reasons
from distillation_stages.runtime.content import Digests, changed, listed, require_size, require_unchanged
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.lfs_pointer import ADVICE, missing_bytes
from distillation_stages.runtime.regular_files import inside
from distillation_stages.runtime.shards import missing_shards
from distillation_stages.runtime.storage import Storage

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "tiktoken.model")
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
LOADED_JSON = (
    *(CONFIG, "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "chat_template.json"),
)
"""What stages and servers load of a model, beside its weights, and what has to be JSON for that."""

PICKLED = (".bin", ".pt", ".pth", ".ckpt")


def wanted_files(names: list[str]) -> list[str]:
    """Those of a model repository's files that stages need: weights in safetensors, configuration, tokenizer.

    Only the top folder counts (others hold other formats), no code, and no second copy of the weights.
    """
    suffixes = (".safetensors", ".json", ".model", ".txt", ".jinja", ".tiktoken")
    top = [name for name in names if "/" not in name and name.endswith(suffixes)]
    return sorted(name for name in top if not name.startswith("consolidated"))


def is_weights(name: str) -> bool:
    """Whether a model's file of that name holds weights: all others are small."""
    return name.endswith(".safetensors")


def check_names(names: list[str], where: str) -> None:
    """Checks by name that a directory or repository can be a model. Raises StageError."""
    present = set(names)
    weights = sorted(
        name for name in present if name not in ADAPTER_WEIGHTS and name.endswith((".safetensors", *PICKLED))
    )
    if ADAPTER_CONFIG in present and not (CONFIG in present and weights):
        raise StageError(
            reasons.ADAPTER_WITHOUT_MODEL,
            f"{where} holds an adapter ({ADAPTER_CONFIG}) without the model's weights: merge it into its base model "
            "(merge_and_unload, then save_pretrained) and give the result, or give the base model",
        )
    if CONFIG not in present:
        raise StageError(
            reasons.NOT_A_MODEL_DIRECTORY, f"{where} has no {CONFIG}: give a model directory in Hugging Face format"
        )
    if not any(is_weights(name) for name in weights):
        found = f"only {', '.join(weights[:3])}" if weights else "no weights at all"
        raise StageError(
            reasons.NO_SAFETENSORS,
            f"{where} has {found}: weights must be *.safetensors (load and save_pretrained them once)",
        )
    shards = [name for name in wanted_files(names) if is_weights(name)]
    missing = missing_shards(shards, shards, counts_from_one=True)
    if missing and INDEX not in present:
        raise StageError(
            reasons.INCOMPLETE_MODEL, f"{where} lacks {missing}; copy the model again, with all its files and {INDEX}"
        )
    if not present.intersection(TOKENIZER_FILES):
        raise StageError(
            reasons.NO_TOKENIZER,
            f"{where} has no tokenizer: one of {', '.join(TOKENIZER_FILES)} must lie beside {CONFIG}",
        )


def check_model(directory: Path, within: Path) -> list[Path]:
    """Checks that the directory holds a whole model; returns the files that belong to it. Raises StageError.

    ``within``: the folder that links in it may lead to.
    """
    if not directory.is_dir():
        raise StageError(reasons.MODEL_NOT_FOUND, f"{directory} is no directory in the storage")
    found = [path for path in directory.iterdir() if path.is_file()]
    for path in found:
        inside(within, path)
    names = [path.name for path in found]
    check_names(names, str(directory))
    check_small_files(directory)
    for name in filter(is_weights, names):
        _check_pointer(directory / name)
    if INDEX in names:
        _check_index(directory)
    for name in names:
        if name.endswith(".safetensors"):
            _check_safetensors(directory / name)
    return [directory / name for name in wanted_files(names)]


def check_small_files(directory: Path) -> None:
    """Checks that a model's files but the weights have their content, and are JSON where that is loaded. Raises
    StageError.
    """
    for name in wanted_files([path.name for path in directory.iterdir() if path.is_file()]):
        if is_weights(name):
            continue
        _check_pointer(directory / name)
        if name in LOADED_JSON:
            _check_json(directory / name)


def model_of(storage: Storage, directory: str, whole: bool = False) -> Path:
    """The model that a stage has fetched or exported, as it was then.

    ``whole``: the weights are hashed too. Raises StageError for a file that has changed, and for one that would be
    loaded with the model and that the stage's marker doesn't name.
    """
    marker = storage.require_marker(directory)
    model = storage.at(marker.outputs["model"])
    require_unchanged(directory, files_of(storage, directory), whole)
    return model


def files_of(storage: Storage, directory: str) -> Digests:
    """The files of that model, by the stage's marker; none where it names none (of a run by hand)."""
    marker = storage.require_marker(directory)
    model = storage.at(marker.outputs["model"])
    if not marker.parts:
        return {}
    files = listed(storage, directory, marker)
    require_size(directory, marker, files)
    names = {model / name for name in wanted_files([path.name for path in model.iterdir() if path.is_file()])}
    for path in sorted(names):
        if path not in files:
            raise changed(directory, path, "its marker doesn't name it, so it came later")
    return files


def _check_pointer(path: Path) -> None:
    missing = missing_bytes(path)
    if missing is not None:
        raise StageError(
            reasons.INCOMPLETE_MODEL, f"{path} is a Git LFS pointer, and its {missing} bytes are missing: {ADVICE}"
        )


def _check_json(path: Path) -> dict[str, object]:
    try:
        # As transformers and later stages read it: UTF-8 without a mark in front.
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise StageError(reasons.BROKEN_MODEL_FILE, f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise StageError(reasons.BROKEN_MODEL_FILE, f"{path} holds no JSON object")
    return content


def _check_index(directory: Path) -> None:
    weight_map = _check_json(directory / INDEX).get("weight_map")
    if not isinstance(weight_map, dict):
        raise StageError(reasons.BROKEN_MODEL_FILE, f"{directory / INDEX} has no weight_map")
    missing = sorted({str(name) for name in weight_map.values() if not (directory / str(name)).is_file()})
    if missing:
        raise StageError(
            reasons.INCOMPLETE_MODEL,
            f"{directory} lacks {len(missing)} of the weight files that {INDEX} names: {', '.join(missing[:3])}",
        )


def _check_safetensors(path: Path) -> None:
    """The header says where the last tensor ends, so a file that was cut off shows without reading the weights."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        header = file.read(header_size) if header_size < size else b""
    try:
        tensors = json.loads(header)
        end = max((entry["data_offsets"][1] for name, entry in tensors.items() if name != "__metadata__"), default=0)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise StageError(reasons.BROKEN_MODEL_FILE, f"{path} ({size} bytes) has no whole safetensors header") from error
    if size != 8 + header_size + end:
        raise StageError(reasons.INCOMPLETE_MODEL, f"{path} has {size} bytes, its header says {8 + header_size + end}")
