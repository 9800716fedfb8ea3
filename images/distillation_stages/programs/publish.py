"""Publish: the exported model to where its users look for it, a bucket or a folder of the storage.

The target is not ours alone, so a claim is written before the first file and the manifest after the last. Files under a
claim or a manifest of this fingerprint are ours to complete; anything else that lies there is somebody's model.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from distillation_api import reasons
from distillation_api.contract import MARKER_NAME, PublishProgram, StageResult, StageSpec
from distillation_stages.models.model_card import CARD_NAME, model_card
from distillation_stages.models.model_directory import check_model, files_of, model_of
from distillation_stages.runtime.content import changed
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.reporting import Reporter
from distillation_stages.runtime.storage import Storage, publish_bytes, sha256_of
from distillation_stages.services.buckets import DirectoryTree, GcsTree, Tree

CLAIM_NAME = "_PUBLISHING.json"

LONGEST_NAMED = 32
"""Of what another's manifest says, in a message."""


def run(spec: StageSpec, storage: Storage) -> StageResult:
    """Copy the model; see PublishProgram."""
    assert isinstance(spec.program, PublishProgram)
    program = spec.program
    model = model_of(storage, program.model, whole=True)
    check_model(model, storage.mount)
    if program.to_gcs_uri is not None:
        target: Tree = GcsTree(program.to_gcs_uri)
        location = program.to_gcs_uri
    elif program.to_path is not None:
        target = DirectoryTree(storage.at(program.to_path), storage.mount)
        location = program.to_path
    else:
        raise StageError(reasons.NO_TARGET, "export.to is empty: give gcs or path")
    # What came into the folder later isn't the student's.
    found = files_of(storage, program.model) or sorted(path for path in model.rglob("*") if path.is_file())
    for path in found:
        if not path.is_relative_to(model) or not path.resolve().is_relative_to(model):
            raise changed(program.model, path, f"it lies outside {model}")
    files = {path.relative_to(model).as_posix(): path for path in found}
    if program.lineage is not None:
        evaluated = storage.require_marker(program.evaluated) if program.evaluated else None
        files[CARD_NAME] = storage.at(spec.output) / CARD_NAME
        publish_bytes(files[CARD_NAME], model_card(program.lineage, storage, evaluated).encode())
    result = copy_files(spec, files, location, target)
    storage.write_marker(spec.output, result)
    return result


def copy_files(spec: StageSpec, files: Mapping[str, Path], location: str, target: Tree) -> StageResult:
    """Bring the files to the target under their names, its manifest last; files that are there already are left."""
    result = StageResult(stage=spec.stage, fingerprint=spec.fingerprint, outputs={"model": location})
    claim(spec, target, result)
    target.remove_unfinished()
    sizes = {name: path.stat().st_size for name, path in files.items()}
    reporter, done, total = Reporter(spec.stage, "bytes"), 0, sum(sizes.values())
    reporter.progress(done, total)
    present, parts = target.sizes(), {}
    for name, path in files.items():
        parts[name] = sha256_of(path)
        if present.get(name) != sizes[name] or not target.holds(name, path):
            target.put(name, path)
        done += sizes[name]
        reporter.progress(done, total)
    result = result.model_copy(update={"parts": parts, "counts": {"files": len(files), "bytes": total}})
    target.write(MARKER_NAME, result.model_dump_json(by_alias=True).encode())
    target.remove(CLAIM_NAME)
    return result


def claim(spec: StageSpec, target: Tree, result: StageResult) -> None:
    """Make the target ours. Raises StageError when something else lies there."""
    for name in (MARKER_NAME, CLAIM_NAME):
        owner = _fingerprint_in(target.read(name))
        if owner == spec.fingerprint:
            return
        if owner is not None:
            raise StageError(
                reasons.TARGET_NOT_EMPTY,
                f"{target.uri} holds another model (fingerprint {owner} in {name}, ours is {spec.fingerprint}); choose "
                "another place or remove it",
            )
    others = sorted(target.sizes())
    if others:
        raise StageError(
            reasons.TARGET_NOT_EMPTY,
            f"{target.uri} holds {len(others)} files that no publish stage wrote ({', '.join(others[:3])}); choose an "
            "empty place or remove them",
        )
    target.write(CLAIM_NAME, result.model_dump_json(by_alias=True).encode())


def _fingerprint_in(manifest: bytes | None) -> str | None:
    """Whose it is; None when there is none. A file of that name that isn't ours counts as another's."""
    if manifest is None:
        return None
    try:
        return StageResult.model_validate_json(manifest).fingerprint[:LONGEST_NAMED]
    except ValidationError:
        return "unknown"
