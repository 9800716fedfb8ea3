"""MaxText as users may name and tune it: its models, and the settings that a training stage may set."""

from distillation_api.maxtext.models import MAX_TEXT_MODELS, MaxTextModel

__all__ = ["MAX_TEXT_MODELS", "MaxTextModel"]
