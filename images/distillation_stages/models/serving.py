"""Whether vLLM serves a model at all."""

from distillation_api import reasons
from distillation_stages.models.model_config import HuggingFaceConfig, architectures
from distillation_stages.models.served_architectures import SERVED
from distillation_stages.runtime.failure import StageError


def check_served(config: HuggingFaceConfig) -> None:
    """Raises StageError for a teacher that vLLM has no implementation of, or that is no model for conversations."""
    names = architectures(config)
    if not names:
        raise StageError(
            reasons.TEACHER_NOT_SERVED,
            "config.json of the teacher names no architectures, by which vLLM finds a model's implementation; give the "
            "config.json that was published with it",
        )
    if any(name in SERVED for name in names):
        return
    named = ", ".join(names)
    if config.get("is_encoder_decoder"):
        raise StageError(
            reasons.TEACHER_NOT_SERVED,
            f"the teacher is a model of an encoder and a decoder ({named}), which vLLM doesn't serve; take a causal "
            "language model",
        )
    if not any(_is_known_to_transformers(name) for name in names):
        raise StageError(
            reasons.TEACHER_NOT_SERVED,
            f"vLLM has no implementation of the teacher's architecture {named} for text generation, and neither has "
            "transformers; code that comes with a model isn't run. Take a teacher that vLLM serves",
        )


def _is_known_to_transformers(architecture: str) -> bool:
    """Whether vLLM may run it by transformers' code: a model that generates text."""
    import transformers

    if not architecture.endswith(("ForCausalLM", "ForConditionalGeneration")):
        return False
    return hasattr(transformers, architecture)
