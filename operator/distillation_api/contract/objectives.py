"""What a training program optimises: a closed union, so that a type checker names the places that a new one needs."""

from typing import Annotated, Literal

from pydantic import Field

from distillation_api.contract.common import StageOutput
from distillation_api.model import Model


class SupervisedFineTuning(Model):
    """The data's own tokens are learnt."""

    kind: Literal["SupervisedFineTuning"] = "SupervisedFineTuning"


class LogitMatching(Model):
    """The loss of online logit matching; see the API's model of that name."""

    kind: Literal["LogitMatching"] = "LogitMatching"
    teacher: StageOutput
    """Output directory of the convert stage of the teacher."""
    alpha: float
    alpha_end: float | None = None
    alpha_schedule: Literal["Constant", "Linear", "Cosine"] = "Constant"
    temperature: float
    temperature_end: float | None = None
    temperature_schedule: Literal["Constant", "Linear", "Cosine"] = "Constant"
    beta: float
    beta_end: float | None = None
    beta_schedule: Literal["Constant", "Linear", "Cosine"] = "Constant"
    feature_loss: Literal["Cosine", "L2"] = "Cosine"
    layer_indices: list[int] | None = None


Objective = Annotated[SupervisedFineTuning | LogitMatching, Field(discriminator="kind")]
