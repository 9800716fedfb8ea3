"""What the stages fetch-teacher and fetch-student are asked."""

from typing import Literal

from distillation_api.contract.common import ProgramModel, Source


class FetchProgram(ProgramModel):
    """Bring a model directory in Hugging Face format into the storage, or verify one that is there (``path``).

    Result outputs: ``model``, the model directory.
    """

    kind: Literal["fetch"] = "fetch"
    source: Source
    role: Literal["teacher", "student"]
