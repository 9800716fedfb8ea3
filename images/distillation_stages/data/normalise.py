"""The spellings that datasets have for one conversation, brought to one: a vocabulary, and what was converted by it.

What isn't in the vocabulary is left as it is, for the strict check to refuse. What has two readings is refused here:
nothing is guessed, and every conversion is told, so that it can be counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from distillation_api import reasons
from distillation_stages.runtime.failure import RowRejected

KEYS: dict[str, frozenset[str]] = {
    "role": frozenset({"role", "from", "speaker", "author"}),
    "content": frozenset({"content", "value", "text", "message"}),
}
"""The members of a message, and the keys that datasets have for each, in any case."""

ROLES: dict[str, frozenset[str]] = {
    "system": frozenset({"system", "developer"}),
    "user": frozenset({"user", "human", "prompter"}),
    "assistant": frozenset({"assistant", "gpt", "bot", "model", "ai", "chatgpt", "bard", "bing"}),
    "tool": frozenset({"tool", "function", "observation", "ipython"})
    | frozenset({"function_response", "tool_response", "tool_result"}),
}
"""The roles of turns, and the names that datasets have for each, in any case."""

TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
"""The types of the parts of a content that are text."""

BETWEEN_PARTS = "\n"
"""What vLLM puts between the text parts of a message for a template that takes one string."""

BETWEEN_SYSTEM_MESSAGES = "\n\n"

_ROLE_OF = {name: role for role, names in ROLES.items() for name in names}


class Conversion(StrEnum):
    """What was brought to the standard form in a row."""

    MESSAGE_KEYS = "MessageKeys"
    """Other keys than ``role`` and ``content``."""
    ROLES = "Roles"
    """Other names than system, user, assistant and tool."""
    CONTENT_PARTS = "ContentParts"
    """A content that is a list of text parts."""
    SYSTEM_MERGED = "SystemMerged"
    """Several system messages at the beginning."""
    NUMBERS = "Numbers"
    """A whole number in a prompt or response column."""
    TOOLS = "Tools"
    """Tools or calls in another spelling than OpenAI's."""
    REASONING = "Reasoning"
    """An answer's reasoning in a member of its own."""
    UNLEARNT_ANSWER = "UnlearntAnswer"
    """An answer that says it isn't to be learnt."""
    JSON_TEXT = "JsonText"
    """A list of messages as JSON text."""


@dataclass(frozen=True)
class Vocabulary:
    """A dataset's own spellings, in front of the known ones."""

    keys: Mapping[str, str] = field(default_factory=dict)
    """By role and content: the key that is looked at first."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """By name: the role that it stands for. An exact name goes before one in another case."""

    def role(self, name: str) -> str:
        """The role that is trained, for its name; the name itself where it isn't known."""
        exact, folded = name.strip(), name.strip().casefold()
        other_case = {own.casefold(): role for own, role in self.roles.items()}
        return self.roles.get(exact) or other_case.get(folded) or _ROLE_OF.get(folded, name)


KNOWN = Vocabulary()
"""No spellings but the known ones."""


@dataclass(frozen=True)
class Normalised[T]:
    """Something in the standard form."""

    value: T
    conversions: frozenset[Conversion] = frozenset()


def standard_message(message: dict[str, object], vocabulary: Vocabulary = KNOWN) -> Normalised[dict[str, object]]:
    """The message with ``role`` and ``content``, its other members as they are. Raises RowRejected.

    Members that are null count as absent: tables that were joined have them.
    """
    keys = {name: key_of(message, name, vocabulary) for name in KEYS}
    role, content = (message[key] if key is not None else None for key in (keys["role"], keys["content"]))
    named, text = vocabulary.role(role) if isinstance(role, str) else role, _joined(content)
    made = {
        Conversion.MESSAGE_KEYS: any(key is not None and key != name for name, key in keys.items()),
        Conversion.ROLES: named != role,
        Conversion.CONTENT_PARTS: text is not content,
    }
    return Normalised({**message, "role": named, "content": text}, _true(made))


def one_system_message(turns: list[dict[str, Any]]) -> Normalised[list[dict[str, Any]]]:
    """The turns with the system messages at their beginning as one; blank ones add nothing to others."""
    leading = next((number for number, turn in enumerate(turns) if turn["role"] != "system"), len(turns))
    if leading < 2:
        return Normalised(turns)
    content = BETWEEN_SYSTEM_MESSAGES.join(turn["content"] for turn in turns[:leading] if turn["content"].strip())
    return Normalised([{"role": "system", "content": content}, *turns[leading:]], frozenset({Conversion.SYSTEM_MERGED}))


def text_of_number(value: object) -> Normalised[object]:
    """A whole number as its digits; anything else as it is.

    Only these have one spelling. Of a float it can't be known: a whole number whose column has gaps comes as 42.0, and
    0.1 of single precision as 0.10000000149. The same holds for true, True and 1.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return Normalised(str(value), frozenset({Conversion.NUMBERS}))
    return Normalised(value)


def key_of(message: Mapping[str, object], name: str, vocabulary: Vocabulary = KNOWN) -> str | None:
    """The key under which the message has the standard member: the dataset's own, the standard one, or one known other.

    None when it has none of them. Raises RowRejected when there are several others.
    """
    own = vocabulary.keys.get(name)
    for key in (own, name):
        if key is not None and message.get(key) is not None:
            return key
    found = [key for key, value in message.items() if value is not None and key.casefold() in KEYS[name]]
    if len(found) > 1:
        raise RowRejected(reasons.AMBIGUOUS_TURN, f"name the right one in dataset.messages.{name}Key")
    return found[0] if found else None


def _joined(content: object) -> object:
    """The text of a content that is a list of parts; anything else, an empty list too, as it is."""
    if not isinstance(content, list) or not content:
        return content
    return BETWEEN_PARTS.join(_text_of_part(part) for part in content)


def _text_of_part(part: object) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict):
        # Gemini's parts have no type.
        kind, text = part.get("type"), part.get("text")
        if isinstance(text, str) and (kind is None or (isinstance(kind, str) and kind in TEXT_PARTS)):
            return text
    raise RowRejected(reasons.PART_NOT_TEXT)


def _true(made: dict[Conversion, bool]) -> frozenset[Conversion]:
    return frozenset(conversion for conversion, happened in made.items() if happened)
