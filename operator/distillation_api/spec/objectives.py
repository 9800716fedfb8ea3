"""What a training stage optimises."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from distillation_api.cel import Rule
from distillation_api.model import Model


class SupervisedFineTuning(Model):
    """The data's own tokens are learnt; it has no settings."""


Schedule = Literal["Constant", "Linear", "Cosine"]


class LogitMatching(Model):
    """Online logit matching: teacher and student run on the same batch, and the student's logits are pulled to the
    teacher's. Loss = alpha * temperature^2 * KL(teacher || student) + (1 - alpha) * cross-entropy + beta * features.
    """

    alpha: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Weight of the teacher's logits against the data's own tokens."""
    alpha_end: Annotated[float, Field(ge=0, le=1)] | None = None
    """alpha at the last step."""
    alpha_schedule: Schedule = "Constant"
    """How alpha goes from its first to its last value."""
    temperature: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Softens both models' distributions."""
    temperature_end: Annotated[float, Field(gt=0, le=100)] | None = None
    """temperature at the last step."""
    temperature_schedule: Schedule = "Constant"
    """How the temperature goes from its first to its last value."""
    beta: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """Weight of the feature loss, between hidden states of the same layers; 0 is none."""
    beta_end: Annotated[float, Field(ge=0, le=1000)] | None = None
    """beta at the last step."""
    beta_schedule: Schedule = "Constant"
    """How beta goes from its first to its last value."""
    feature_loss: Literal["Cosine", "L2"] = "Cosine"
    """Distance of hidden states."""
    layer_indices: Annotated[list[Annotated[int, Field(ge=0, le=1000)]], Field(min_length=1, max_length=128)] | None = (
        None
    )
    """Layers of the feature loss, the same in both models; all when absent."""

    rules: ClassVar[list[Rule]] = [
        *(
            Rule(
                f"(self.{name}Schedule == 'Constant') == !has(self.{name}End)",
                f"{name}End goes with {name}Schedule of Linear or Cosine, and these need it",
                field=f"{name}End",
            )
            for name in ("alpha", "temperature", "beta")
        ),
        Rule(
            "!has(self.betaEnd) || self.beta > 0.0",
            "beta must be greater than 0 to have a schedule: MaxText can't start the feature loss later",
            field="beta",
        ),
    ]


Objective = SupervisedFineTuning | LogitMatching
"""The settings of a training stage's objective. Not a union in the CRD: a structural schema has none."""
