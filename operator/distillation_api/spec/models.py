"""Teacher and student."""

from distillation_api.maxtext import MaxTextModel
from distillation_api.model import Model
from distillation_api.spec.sources import ModelSource
from distillation_api.spec.template_arguments import TemplateArguments
from distillation_api.spec.types import ChatTemplate


class Teacher(Model):
    """The model whose knowledge is distilled."""

    source: ModelSource
    """Where the teacher lies."""
    max_text_model: MaxTextModel | None = None
    """MaxText's own name of it, for objective LogitMatching; absent: found from config.json."""


class Student(Model):
    """The model that learns."""

    source: ModelSource
    """Where the student lies."""
    max_text_model: MaxTextModel | None = None
    """MaxText's own name of it, e.g. llama3.1-8b; absent: found from config.json, where the sizes come from."""
    chat_template: ChatTemplate | None = None
    """Jinja chat template instead of the student's own; the exported student has it. A base model has none."""
    chat_template_arguments: TemplateArguments | None = None
    """Variables for the student's chat template, as in generation; they are defaults of the exported student's."""
