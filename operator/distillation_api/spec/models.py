"""Teacher and student."""

from distillation_api.maxtext import MaxTextModel
from distillation_api.model import Model
from distillation_api.spec.sources import ModelSource
from distillation_api.spec.types import ChatTemplate


class Teacher(Model):
    """The model whose knowledge is distilled."""

    source: ModelSource
    """Where the teacher lies."""
    max_text_model: MaxTextModel | None = None
    """MaxText's own name of the teacher's architecture; needed by training stages with objective LogitMatching."""


class Student(Model):
    """The model that learns."""

    source: ModelSource
    """Where the student lies."""
    max_text_model: MaxTextModel
    """MaxText's own name of the student's architecture, e.g. llama2-7b or llama3.1-8b. Sizes come from config.json."""
    chat_template: ChatTemplate | None = None
    """Jinja chat template instead of the student's own; the exported student has it. A base model has none."""
