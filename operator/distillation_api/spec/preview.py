"""A preview: the whole graph on a handful of rows, before the real work."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from distillation_api.cel import Rule
from distillation_api.model import Model


class Preview(Model):
    """All stages on a few rows first, on the same machines; status.preview tells what they found."""

    rows: Annotated[int, Field(ge=4, le=1024)] = 16
    """Rows for training; of the holdout half as many."""
    steps: Annotated[int, Field(ge=2, le=100)] = 5
    """Steps of each training stage."""
    then: Literal["Stop", "Continue"] = "Stop"
    """Stop: no pod runs after it until this is Continue."""

    rules: ClassVar[list[Rule]] = [
        Rule(
            "self.rows == oldSelf.rows && self.steps == oldSelf.steps",
            "rows and steps can't be changed: remove preview, or create a new DistillationJob",
            transition=True,
        )
    ]
