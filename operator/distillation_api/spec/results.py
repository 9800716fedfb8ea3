"""How models are converted, the student scored, exported and published."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from distillation_api.cel import Rule, exactly_one_of
from distillation_api.model import Model
from distillation_api.spec.placement import Resources
from distillation_api.spec.sources import Gcs
from distillation_api.spec.stage_folders import outside_stage_folders
from distillation_api.spec.types import StoragePath


class Requirement(Model):
    """A gate: what the distilled student must reach."""

    min_cross_entropy_drop: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Relative drop of the held-out cross-entropy: 0.05 asks for 5 % less than before."""


class Evaluation(Model):
    """How the student is scored before and after, on the teacher's answers to the held-out rows."""

    require: Requirement | None = None
    """The gate; below it the job is Failed and nothing is published."""
    resources: Resources | None = None
    """CPU and memory of the evaluation's pod; the conversion's when absent. The teacher's weights must fit, or its KL
    divergence isn't measured."""


_PLACES = ("path", "gcs.uri")


class ExportTarget(Model):
    """Where the distilled student is published. Exactly one member."""

    gcs: Gcs | None = None
    """A folder in Google Cloud Storage."""
    path: StoragePath | None = None
    """A folder inside the storage, relative to its root."""

    rules: ClassVar[list[Rule]] = [
        exactly_one_of("gcs", "path"),
        *(outside_stage_folders(member, "give a folder of your own, such as models/NAME") for member in _PLACES),
    ]


class Export(Model):
    """How the student is exported, in Hugging Face format."""

    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Type of the exported weights."""
    to: ExportTarget | None = None
    """Published there after the gate; the export stays in the storage in any case."""


class Conversion(Model):
    """How models are converted between Hugging Face and MaxText, and what is asked of the conversion."""

    max_kl: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Greatest mean KL divergence in nats per token between transformers' and MaxText's logits on the same tokens."""
    resources: Resources | None = None
    """CPU and memory of the pods that fetch, prepare, convert and export. Converting and exporting need 2 GB and ten
    bytes for each parameter of the student, and of the teacher where its logits are matched."""
