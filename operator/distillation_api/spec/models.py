"""Teacher and student."""

from distillation_api.maxtext import MaxTextModel
from distillation_api.model import Model
from distillation_api.spec.sources import ModelSource


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
