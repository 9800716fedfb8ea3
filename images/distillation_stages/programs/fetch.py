"""Fetch: a model directory from the Hub, a bucket or the storage itself, verified before anything depends on it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from distillation_api import reasons
from distillation_api.contract import FetchProgram, HuggingFaceRepo, StageResult, StageSpec
from distillation_stages.data.licences import licence_in, licence_of_directory
from distillation_stages.maxtext.naming import NAME, found_name, model_name
from distillation_stages.models.model_config import read_config
from distillation_stages.models.model_directory import (
    check_model,
    check_names,
    check_small_files,
    is_weights,
    wanted_files,
)
from distillation_stages.models.quantisation import require_unquantised
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.neighbours import not_found
from distillation_stages.runtime.reporting import Reporter, say
from distillation_stages.runtime.storage import Storage, below, sha256_of
from distillation_stages.services import hub
from distillation_stages.services.buckets import DirectoryTree, GcsTree, Tree

DOWNLOAD = "download"
"""Folder of the output directory that a restarted download continues in."""

SECONDS_BETWEEN_LOOKS = 2.0

Check = Callable[[Path], None]
"""Of a directory that has all of a model's files but the weights. Raises StageError for a model that can't be used."""


def run(spec: StageSpec, storage: Storage) -> StageResult:
    """Bring or verify the model; see FetchProgram."""
    assert isinstance(spec.program, FetchProgram)
    source, started = spec.program.source, time.monotonic()
    output, reporter = storage.at(spec.output), Reporter(spec.stage, "bytes")
    downloaded, versions = 0, dict[str, str]()
    check = partial(check_files, spec.program)
    if source.path is not None:
        model = storage.at(source.path)
        if not model.is_dir():
            field = f"spec.{spec.program.role}.source.path"
            raise StageError(reasons.MODEL_NOT_FOUND, not_found(storage, source.path, field, "directory"))
        versions = licence_of_directory(model)
    elif source.hugging_face is not None:
        model, downloaded, versions = _from_hub(source.hugging_face, output / DOWNLOAD, reporter, check)
    elif source.gcs_uri is not None:
        model = output / DOWNLOAD
        downloaded = download_tree(GcsTree(source.gcs_uri), model, reporter, check)
    else:
        raise StageError(reasons.NO_SOURCE, "the model's source is empty: give huggingFace, gcs or path")
    files = check_model(model, storage.mount)
    check(model)
    result = StageResult(
        stage=spec.stage,
        fingerprint=spec.fingerprint,
        outputs={"model": storage.relative(model)},
        counts={"files": len(files), "bytes": sum(path.stat().st_size for path in files)},
        parts=_digests(files, output, reporter, downloaded),
        settings=_settings(model),
        versions=versions,
        seconds=round(time.monotonic() - started, 1),
    )
    storage.write_marker(spec.output, result)
    return result


def again(spec: StageSpec, storage: Storage, result: StageResult) -> StageResult:
    """The result of a fetch that another job, or an older operator, had done: this one may ask more of the model."""
    assert isinstance(spec.program, FetchProgram)
    model = storage.at(result.outputs["model"])
    check_files(spec.program, model)
    return result.model_copy(update={"settings": _settings(model)})


def check_files(program: FetchProgram, directory: Path) -> None:
    """Raise StageError for a model that can't be used in its role, by all of its files but the weights."""
    check_small_files(directory)
    # A teacher that only answers may be quantised, and of any architecture: vLLM serves it.
    if program.role == "student" or program.for_max_text:
        require_unquantised(directory)
    if program.for_max_text:
        trained, field = program.role == "student", f"spec.{program.role}.maxTextModel"
        name = model_name(read_config(directory), program.max_text_model, trained, field)
        how = "as the manifest says" if program.max_text_model else "found from config.json"
        say(f"MaxText's name of the {program.role}: {name}, {how}")


def _settings(model: Path) -> dict[str, str | int | float | bool]:
    """What later stages tell MaxText: of config.json alone, since jobs that give another name share this result."""
    name = found_name(read_config(model))
    return {NAME: name} if name is not None else {}


def download_tree(tree: Tree, directory: Path, reporter: Reporter, check: Check) -> int:
    """Copy a model's files, one by one, skipping those that are whole already; returns their bytes.

    The weights come last, after the check. Bytes count once when they have arrived and once more when they are hashed,
    so progress never runs backwards.
    """
    sizes = tree.sizes()
    if not sizes:
        raise StageError(reasons.MODEL_NOT_FOUND, f"{tree.uri} holds no files; give the prefix of a model directory")
    check_names(list(sizes), tree.uri)
    names = wanted_files(list(sizes))
    done, total = 0, sum(sizes[name] for name in names)
    DirectoryTree(directory).remove_unfinished()
    reporter.progress(done, 2 * total)
    checked = False
    for name in sorted(names, key=is_weights):
        if is_weights(name) and not checked:
            check(directory)
            checked = True
        path = below(directory, name)
        if not (path.is_file() and path.stat().st_size == sizes[name] and tree.holds(name, path)):
            tree.get(name, path)
        done += sizes[name]
        reporter.progress(done, 2 * total)
    return total


def _from_hub(
    source: HuggingFaceRepo, directory: Path, reporter: Reporter, check: Check
) -> tuple[Path, int, dict[str, str]]:
    """The model's folder, its bytes, and its commit and licence. The weights come last, after the check."""
    from huggingface_hub import HfApi, snapshot_download

    with hub.hub_errors("model", source):
        info = HfApi(token=hub.token()).model_info(source.repo, revision=source.revision, files_metadata=True)
    files = {file.rfilename: file for file in info.siblings or []}
    check_names(list(files), f"Hub repository {source.repo!r}")
    wanted = {name: files[name] for name in wanted_files(list(files))}
    revision = info.sha or source.revision
    # A branch may move between two attempts: a folder per commit never mixes files of two.
    model = directory / revision[:12]
    total = sum(file.size or 0 for file in wanted.values())

    def download(names: list[str]) -> None:
        with hub.hub_errors("model", source):
            snapshot_download(source.repo, revision=revision, local_dir=model, allow_patterns=names, token=hub.token())
        for name in names:
            file = wanted[name]
            _check_download(model / name, file.size, file.lfs.sha256 if file.lfs else None)

    with _watched(model, total, reporter):
        download([name for name in wanted if not is_weights(name)])
        check(model)
        download([name for name in wanted if is_weights(name)])
    return model, total, {"revision": revision, **licence_in(info.card_data)}


def _check_download(path: Path, size: int | None, sha256: str | None) -> None:
    """A file that isn't what the Hub says is removed, so that the next attempt fetches it again. Raises StageError."""
    whole = path.is_file() and (size is None or path.stat().st_size == size)
    if whole and (sha256 is None or sha256_of(path) == sha256):
        return
    path.unlink(missing_ok=True)
    raise StageError(reasons.DOWNLOAD_CORRUPT, f"{path.name} arrived damaged or not at all; it is downloaded again")


@contextmanager
def _watched(directory: Path, total: int, reporter: Reporter) -> Iterator[None]:
    """Reports the bytes that lie in the directory, since the Hub's client doesn't call back."""
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(SECONDS_BETWEEN_LOOKS):
            reporter.progress(min(_bytes_in(directory), total), 2 * total)

    reporter.progress(min(_bytes_in(directory), total), 2 * total)
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _bytes_in(directory: Path) -> int:
    size = 0
    for path in directory.rglob("*"):
        try:
            size += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # renamed while we looked
            continue
    return size


def _digests(files: list[Path], output: Path, reporter: Reporter, before: int) -> dict[str, str]:
    """SHA-256 by path relative to the output directory (with ``..`` for a model that lies elsewhere).

    ``before``: bytes that progress has counted already.
    """
    digests: dict[str, str] = {}
    done, total = before, before + sum(path.stat().st_size for path in files)
    for path in files:
        digests[path.relative_to(output, walk_up=True).as_posix()] = sha256_of(path)
        done += path.stat().st_size
        reporter.progress(done, total)
    return digests
