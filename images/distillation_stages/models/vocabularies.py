"""Whether two models have the same tokens with the same numbers."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from distillation_api import reasons
from distillation_stages.models.model_config import language_config, read_config
from distillation_stages.runtime.failure import StageError

NAMED = 5
"""So many differing tokens are named."""


ROLES = ("bos_token", "eos_token", "unk_token")
"""Special tokens that must be the same. Not the padding token: nothing is learnt about it, and often only the student
has one of its own."""


def vocabulary_size(model: Path) -> int:
    """The number of logits, by config.json: the tokenizer's tokens and padding. Multimodal models nest it."""
    size = language_config(read_config(model)).get("vocab_size")
    if not isinstance(size, int):
        raise StageError(reasons.BAD_MODEL_CONFIG, f"{model}/config.json has no vocab_size")
    return size


def load_tokenizer(model: Path) -> Any:
    """The model directory's tokenizer."""
    import transformers

    try:
        return transformers.AutoTokenizer.from_pretrained(str(model), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise StageError(reasons.UNUSABLE_TOKENIZER, f"the tokenizer in {model} can't be loaded: {error}") from error


def check_sizes(teacher: int, student: int) -> None:
    """MaxText compares these; a difference of padding alone is enough to be refused."""
    if teacher != student:
        raise StageError(
            reasons.VOCABULARIES_DIFFER,
            f"vocab_size in config.json is {teacher} for the teacher and {student} for the student; logit matching "
            "needs the same. Take models of one family, or train on the teacher's answers instead",
        )


def check_tokens(teacher: Any, student: Any) -> int:
    """The number of tokens. Raises StageError when a token of one has another number, or none, in the other."""
    ours: Mapping[str, int] = teacher.get_vocab()
    theirs: Mapping[str, int] = student.get_vocab()
    differing = list(differences(ours, theirs))
    if differing:
        more = f" and {len(differing) - NAMED} more" if len(differing) > NAMED else ""
        raise StageError(
            reasons.VOCABULARIES_DIFFER,
            f"the tokenizers differ in {len(differing)} of {len(ours)} tokens: {'; '.join(differing[:NAMED])}{more}. "
            "Logit matching needs the same; take models of one family, or train on the teacher's answers instead",
        )
    for role in ROLES:
        numbers = [getattr(tokenizer, f"{role}_id") for tokenizer in (teacher, student)]
        if numbers[0] != numbers[1]:
            raise StageError(
                reasons.VOCABULARIES_DIFFER,
                f"{role} is {_named(teacher, numbers[0])} for the teacher and {_named(student, numbers[1])} for the "
                "student; logit matching needs the same: set it in tokenizer_config.json",
            )
    return len(ours)


def differences(teacher: Mapping[str, int], student: Mapping[str, int]) -> Iterator[str]:
    """Each token that isn't the same in both, by its number."""
    tokens = teacher.items() ^ student.items()
    seen = set()
    for token, _ in sorted(tokens, key=lambda item: (item[1], item[0])):
        if token not in seen:
            seen.add(token)
            yield f"{token!r} is {_number(teacher, token)} for the teacher, {_number(student, token)} for the student"


def _number(vocabulary: Mapping[str, int], token: str) -> str:
    return str(vocabulary.get(token, "no token"))


def _named(tokenizer: Any, number: int | None) -> str:
    return "none" if number is None else f"{tokenizer.convert_ids_to_tokens(number)!r} ({number})"
