"""What the stages fetch-teacher and fetch-student are asked."""

from typing import ClassVar, Literal

from distillation_api.contract.common import ProgramModel, Source


class FetchProgram(ProgramModel):
    """Bring a model directory in Hugging Face format into the storage, or verify one that is there (``path``).

    Result outputs: ``model``, the model directory. Result ``settings``: ``model_name``, MaxText's name for what
    config.json says, where it has one, whatever the manifest names.
    """

    report_only: ClassVar[set[str]] = {"for_max_text", "max_text_model"}

    kind: Literal["fetch"] = "fetch"
    source: Source
    role: Literal["teacher", "student"]
    for_max_text: bool = False
    """Whether MaxText runs the model, and so has to know its architecture: the student, and the teacher of logit
    matching."""
    max_text_model: str | None = None
    """MaxText's name as the manifest has it, which must not contradict config.json."""
