"""Conversations as stages exchange them: cut at the last user turn, checked for what templates and trainers trip over.

A conversation that MaxText's loader can't take ends its training silently at that row, and a prompt that holds the
dataset's own last answer makes the teacher write a second one: so both are settled here, before anything is generated.
"""

import hashlib
import itertools
import json
from dataclasses import dataclass, replace

from distillation_api import reasons
from distillation_stages.data import spelling_advice
from distillation_stages.data.normalise import (
    KNOWN,
    ROLES,
    Conversion,
    Normalised,
    Vocabulary,
    one_system_message,
    standard_message,
    text_of_number,
)
from distillation_stages.runtime.failure import RowRejected

CALLS = ("tool_calls", "function_call")
"""Members of a message that calls tools; the second is the older one."""

Turn = dict[str, str]
"""``{"role": ..., "content": ...}``"""


@dataclass(frozen=True)
class Conversation:
    """What the teacher is asked, and what the dataset answered."""

    prompt: list[Turn]
    """Everything up to and with the last user turn."""
    reference: str | None
    """The assistant's text right after the prompt; None when there is none or it is blank."""
    conversions: frozenset[Conversion] = frozenset()
    """What had to be brought to the standard form."""

    @property
    def answers(self) -> int:
        """The number of the dataset's own answers."""
        return sum(turn["role"] == "assistant" for turn in self.prompt) + (self.reference is not None)

    def digest(self) -> bytes:
        """SHA-256 of the prompt: equal for equal prompts only."""
        return hashlib.sha256(json.dumps(self.prompt, ensure_ascii=True).encode()).digest()


def up_to_last_answer(prompt: list[Turn], reference: str | None) -> tuple[list[Turn], str] | None:
    """What comes before the last answer of the dataset's own, and that answer; None where there is none.

    Without a reference it is one inside the prompt.
    """
    if reference:
        return prompt, reference
    answers = [position for position, turn in enumerate(prompt) if turn["role"] == "assistant"]
    return (prompt[: answers[-1]], prompt[answers[-1]]["content"]) if answers else None


def from_messages(messages: object, system: object = None, vocabulary: Vocabulary = KNOWN) -> Conversation:
    """The conversation in a messages column: a list of {role, content}, in any known spelling. Raises RowRejected.

    ``system`` is what a system column holds, ``vocabulary`` what the dataset's spec says of spellings.
    """
    if not isinstance(messages, list):
        raise RowRejected(reasons.NOT_A_LIST)
    if not messages:
        raise RowRejected(reasons.EMPTY)
    return _conversation([*_system_turn(system), *_turns(messages, vocabulary)])


def from_columns(prompt: object, response: object = None, system: object = None) -> Conversation:
    """The conversation in a prompt and a response column: texts, or lists of messages. Raises RowRejected."""
    asked, answered = _messages("user", prompt), _messages("assistant", [] if response is None else response)
    messages = [*asked.value, *answered.value]
    if not messages:
        raise RowRejected(reasons.EMPTY)
    conversation = _conversation([*_system_turn(system), *_turns(messages, None)])
    return replace(conversation, conversions=conversation.conversions | asked.conversions | answered.conversions)


def _conversation(normalised: list[Normalised[Turn]]) -> Conversation:
    merged = one_system_message([turn.value for turn in normalised])
    turns, conversions = merged.value, merged.conversions.union(*(turn.conversions for turn in normalised))
    roles = [turn["role"] for turn in turns]
    if "user" not in roles:
        raise RowRejected(reasons.NO_USER_TURN)
    if "system" in roles[1:]:
        raise RowRejected(reasons.SYSTEM_NOT_FIRST)
    _check_alternation(roles[1:] if roles[0] == "system" else roles)
    last_user = len(roles) - 1 - roles[::-1].index("user")
    prompt, after = turns[: last_user + 1], turns[last_user + 1 :]
    # An empty system message is kept: it tells templates not to put their default one.
    if any(not turn["content"].strip() for turn in prompt if turn["role"] != "system"):
        raise RowRejected(reasons.EMPTY_CONTENT)
    reference = after[0]["content"] if after and after[0]["content"].strip() else None
    return Conversation(prompt, reference, conversions)


def _messages(role: str, value: object) -> Normalised[list[object]]:
    """What a prompt or a response column holds, as messages."""
    text = text_of_number(value)
    if isinstance(text.value, str):
        return Normalised([{"role": role, "content": text.value}], text.conversions)
    if not isinstance(value, list):
        raise RowRejected(reasons.CONTENT_NOT_TEXT)
    return Normalised(value)


def _system_turn(text: object) -> list[Normalised[Turn]]:
    """What a system column holds, as turns: none where it is null or blank."""
    if text is None or (isinstance(text, str) and not text.strip()):
        return []
    return [_turn({"role": "system", "content": text}, None, None)]


def _turns(messages: list[object], vocabulary: Vocabulary | None) -> list[Normalised[Turn]]:
    turns: list[Normalised[Turn]] = []
    for message in messages:
        turns.append(_turn(message, vocabulary, turns[-1].value["role"] if turns else None))
    return turns


def _turn(message: object, vocabulary: Vocabulary | None, before: str | None) -> Normalised[Turn]:
    """The message as a turn behind one of the role ``before``. Without a vocabulary the spec can name no spellings."""
    if not isinstance(message, dict):
        raise RowRejected(reasons.TURN_NOT_AN_OBJECT)
    normalised = standard_message(message, vocabulary or KNOWN)
    role, content = normalised.value["role"], normalised.value["content"]
    if not isinstance(role, str) or role not in ROLES:
        advice = spelling_advice.of_role(role, message, vocabulary, before) if vocabulary is not None else ""
        raise RowRejected(reasons.UNKNOWN_ROLE, advice)
    if any(message.get(member) for member in CALLS):
        # No template of a student without tools renders them: it would learn to say nothing.
        raise RowRejected(reasons.TOOL_CALLS)
    if not isinstance(content, str):
        unknown = content is None and vocabulary is not None
        advice = spelling_advice.of_key("content", message, vocabulary or KNOWN) if unknown else ""
        raise RowRejected(reasons.CONTENT_NOT_TEXT, advice)
    try:
        content.encode()
    except UnicodeEncodeError:
        # Valid in JSON as an escape, but not in UTF-8, so neither in Parquet nor in a tokenizer.
        raise RowRejected(reasons.LONE_SURROGATE) from None
    return Normalised({"role": role, "content": content}, normalised.conversions)


def _check_alternation(roles: list[str]) -> None:
    if roles[0] == "assistant":
        raise RowRejected(reasons.ASSISTANT_FIRST)
    if any(role == following for role, following in itertools.pairwise(roles)):
        raise RowRejected(reasons.CONSECUTIVE_ROLES)
