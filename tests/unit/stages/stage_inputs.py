"""What stage programs find in their storage, in as few words as a test needs."""

import json
from collections.abc import Iterable
from pathlib import Path

from distillation_api.contract import (
    EvaluateProgram,
    FetchProgram,
    GenerateProgram,
    PrepareProgram,
    PublishProgram,
    StageResult,
    StageSpec,
)
from distillation_stages.data.conversations import Turn
from distillation_stages.data.tables import Row, parts_of, read_rows
from distillation_stages.runtime.storage import Storage
from distillation_stages.services.buckets import DirectoryTree

OUTPUT = "out"

Program = FetchProgram | PrepareProgram | GenerateProgram | EvaluateProgram | PublishProgram


def spec_of(program: Program, fingerprint: str = "f1") -> StageSpec:
    return StageSpec(stage="stage-under-test", fingerprint=fingerprint, output=OUTPUT, program=program)


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def assistant(content: object) -> dict[str, object]:
    return {"role": "assistant", "content": content}


def system(content: object) -> dict[str, object]:
    return {"role": "system", "content": content}


def write_lines(path: Path, rows: Iterable[object]) -> None:
    """A JSONL file; a text is a line as it stands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines))


def rows_in(storage: Storage, directory: str) -> list[Row]:
    """All rows of a table in the storage."""
    return list(read_rows(parts_of(storage.at(directory))))


def finish(storage: Storage, directory: str, **outputs: str) -> None:
    """Let a stage have ended with these outputs."""
    storage.at(directory).mkdir(parents=True, exist_ok=True)
    storage.write_marker(directory, StageResult(stage="before", fingerprint="f0", outputs=outputs))


def write_model(directory: Path, tensor_bytes: int = 8) -> None:
    """A whole model directory whose weights are one tensor of zeros."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text("{}")
    (directory / "tokenizer.json").write_text("{}")
    write_safetensors(directory / "model.safetensors", tensor_bytes)


def write_safetensors(path: Path, tensor_bytes: int = 8) -> None:
    header = {path.stem: {"dtype": "U8", "shape": [tensor_bytes], "data_offsets": [0, tensor_bytes]}}
    encoded = json.dumps(header).encode()
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + bytes(tensor_bytes))


class CountingTree(DirectoryTree):
    """A directory that stands for a bucket and remembers what was copied from it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.copied: list[str] = []

    def get(self, name: str, path: Path) -> None:
        self.copied.append(name)
        super().get(name, path)


def prompt_of(text: str) -> list[Turn]:
    return [{"role": "user", "content": text}]
