"""A dataset on the Hugging Face Hub, streamed at one commit."""

import io
from collections.abc import Buffer, Callable, Iterator
from dataclasses import replace
from typing import IO, Any, cast

from distillation_api.contract import HuggingFaceRepo
from distillation_stages.data.dataset import Dataset, SourceRow
from distillation_stages.data.files import is_data_like, is_set_aside, listed
from distillation_stages.data.library import builder_of, files_of, split_dataset
from distillation_stages.data.licences import licence_in
from distillation_stages.data.splits import DEFAULT_SPLIT, held_out_of
from distillation_stages.runtime.reporting import say
from distillation_stages.services import hub

BUFFER = 1 << 20
"""Bytes that lines are cut from."""

FIELD = "dataset.source.huggingFace"


def hub_dataset(source: HuggingFaceRepo) -> Dataset:
    """The split of the repository's config. Raises StageError when there is no such thing, or it can't be reached."""
    from huggingface_hub import HfApi

    name, split = repr(source.repo), source.split or DEFAULT_SPLIT
    with hub.hub_errors("dataset", source):
        info = HfApi(token=hub.token()).dataset_info(source.repo, revision=source.revision)
        revision = info.sha or source.revision
        builder = builder_of(source.repo, source.config, name, f"{FIELD}.config", revision=revision, token=hub.token())
        places = files_of(builder, split, name, f"{FIELD}.split")
    root = f"hf://datasets/{source.repo}@{revision}/"
    files = {place.removeprefix(root): _opener(place, source) for place in places}
    held_out = held_out_of(files) if split == DEFAULT_SPLIT and not _lists_configs(info) else []
    if held_out:
        # Nothing that the manifest could say takes them out: the library's splits are the Hub's.
        say(
            f"warning: split {split} of dataset {name} has files that are held out by their names: {listed(held_out)}; "
            "to leave them out, download the repository and give its folder by path or gcs"
        )
    dataset = split_dataset(builder, split, f"{source.repo} ({split})", files)
    return replace(
        dataset,
        read=lambda columns: _guarded(dataset.read(columns), source),
        passed_over=[] if _lists_configs(info) else _passed_over(info, builder, root),
        versions={"revision": revision, **licence_in(info.card_data)},
    )


def _lists_configs(info: Any) -> bool:
    return bool(info.card_data and info.card_data.get("configs"))


def _passed_over(info: Any, builder: Any, root: str) -> list[str]:
    """Files of the repository that no split of it is made of."""
    used = {str(place).removeprefix(root) for files in builder.config.data_files.values() for place in files}
    names = [sibling.rfilename for sibling in info.siblings or []]
    return [name for name in names if (is_data_like(name) or is_set_aside(name)) and name not in used]


def _guarded(rows: Iterator[SourceRow], source: HuggingFaceRepo) -> Iterator[SourceRow]:
    with hub.hub_errors("dataset", source):
        yield from rows


def _opener(place: str, source: HuggingFaceRepo) -> Callable[[], IO[bytes]]:
    def opened() -> IO[bytes]:
        return cast(IO[bytes], io.BufferedReader(_HubFile(place, source), BUFFER))

    return opened


class _HubFile(io.RawIOBase):
    """A file on the Hub, read by ranges. The library tries each several times; what fails then is the Hub's failure,
    and never taken for a broken file.
    """

    def __init__(self, place: str, source: HuggingFaceRepo) -> None:
        from datasets import DownloadConfig
        from datasets.utils.file_utils import xopen

        self._source = source
        with hub.hub_errors("dataset", source):
            self._file = xopen(place, "rb", download_config=DownloadConfig(token=hub.token()))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        with hub.hub_errors("dataset", self._source):
            data = self._file.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
