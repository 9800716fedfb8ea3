"""What one pod is asked: its stage, where to write, and one of the programs."""

from typing import Annotated, Literal

from pydantic import Field

from distillation_api.contract.check_tokenizers import CheckTokenizersProgram
from distillation_api.contract.convert import ConvertProgram
from distillation_api.contract.directories import Work
from distillation_api.contract.evaluate import EvaluateProgram
from distillation_api.contract.export import ExportProgram
from distillation_api.contract.fetch import FetchProgram
from distillation_api.contract.generate import GenerateProgram
from distillation_api.contract.pack import PackProgram
from distillation_api.contract.preflight import PreflightProgram
from distillation_api.contract.prepare import PrepareProgram
from distillation_api.contract.publish import PublishProgram
from distillation_api.contract.train import TrainProgram
from distillation_api.model import Model

Program = Annotated[
    FetchProgram
    | PrepareProgram
    | ConvertProgram
    | CheckTokenizersProgram
    | PreflightProgram
    | GenerateProgram
    | PackProgram
    | TrainProgram
    | ExportProgram
    | EvaluateProgram
    | PublishProgram,
    Field(discriminator="kind"),
]


class StageSpec(Model):
    """What one stage program is asked to do."""

    version: Literal["v1"] = "v1"
    stage: str
    """Name of the stage in its pipeline, e.g. ``train-teacher-data``."""
    fingerprint: str
    """Hash of all that determines the outputs."""
    output: str
    """Output directory; named by the fingerprint."""
    program: Program

    @property
    def work(self) -> Work:
        """What its marker has to be of."""
        return Work(self.stage, self.fingerprint)
