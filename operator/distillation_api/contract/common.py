"""What the programs' configurations are made of."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from distillation_api.model import Model


class HuggingFaceRepo(Model):
    """A model or dataset repository on the Hugging Face Hub."""

    repo: str
    revision: str = "main"
    split: str | None = None
    """Datasets only."""
    config: str | None = None
    """Datasets only: the subset."""


class Source(Model):
    """Where an input lies; exactly one of ``hugging_face``, ``gcs_uri`` and ``path`` is set."""

    hugging_face: HuggingFaceRepo | None = None
    gcs_uri: str | None = None
    path: str | None = None
    split: str | None = None
    """Of a dataset's folder at ``gcs_uri`` or ``path``."""
    config: str | None = None
    """As ``split``; README.md in the folder says what belongs to it."""


@dataclass(frozen=True)
class ReadsOutput:
    """Marks a member that names the output directory of another stage: an edge of the graph."""


StageOutput = Annotated[str, ReadsOutput()]
"""Output directory of the stage that is read."""


class ProgramModel(Model):
    """The configuration of a stage program. Members of type ``StageOutput`` say which stages it reads."""

    report_only: ClassVar[set[str]] = set()
    """Members that a program only repeats in its report, or refuses its input by: they determine no output, so no
    fingerprint holds them."""

    outputs_version: ClassVar[int] = 1
    """Raised when the program comes to write something else for the same input, so that old outputs are not taken for
    new."""


class ReportedStage(Model):
    """A stage as the report tells of it."""

    name: str
    outputs: list[str]
    """Directories whose markers tell of it: one, or one per shard."""
    chips: int
    """Chips of all its pods."""


class Lineage(Model):
    """Where the student comes from, for its model card."""

    teacher: Source
    student: Source
    dataset: Source
    stages: list[ReportedStage]
