"""Conversations as stages exchange them: cut at the last user turn, checked for what templates and trainers trip over.

A conversation that MaxText's loader can't take ends its training silently at that row, and a prompt that holds the
dataset's own last answer makes the teacher write a second one: so both are settled here, before anything is generated.
"""

import hashlib
import itertools
import json
from dataclasses import dataclass, replace
from typing import Any

from distillation_api import reasons
from distillation_stages.data import spelling_advice
from distillation_stages.data.normalise import (
    KNOWN,
    ROLES,
    Conversion,
    Normalised,
    Vocabulary,
    key_of,
    one_system_message,
    standard_message,
    text_of_number,
)
from distillation_stages.data.tools import CALL_ROLES, CALLS, Tool, check_marks, read_calls, read_tools, uses_tools
from distillation_stages.data.turn_members import is_learnt, marked, with_reasoning
from distillation_stages.runtime.failure import RowRejected

Turn = dict[str, Any]
"""``{"role": ..., "content": ...}``, both texts; with ``tool_calls`` where the assistant calls tools, and with what a
tool's result says of its call, ``name`` and ``tool_call_id``."""

Answer = str | Turn
"""An answer's text, or the turn where it calls tools."""


@dataclass(frozen=True)
class Conversation:
    """What the teacher is asked, and what the dataset answered."""

    prompt: list[Turn]
    """Everything up to and with the last turn of the user or of a tool."""
    reference: Answer | None
    """The assistant's answer right after the prompt; None when there is none, it is blank or not to be learnt."""
    conversions: frozenset[Conversion] = frozenset()
    """What had to be brought to the standard form."""
    tools: list[Tool] | None = None
    """What the assistant may call; None where there are none, or the messages themselves tell of them."""

    @property
    def answers(self) -> int:
        """The number of the dataset's own answers, of those that may be learnt."""
        own = [turn for turn in self.prompt if turn["role"] == "assistant" and is_learnt(turn)]
        return len(own) + (self.reference is not None)

    def digest(self) -> bytes:
        """SHA-256 of the prompt with its tools: equal for equal ones only."""
        asked = self.prompt if self.tools is None else [self.prompt, self.tools]
        return hashlib.sha256(json.dumps(asked, ensure_ascii=True).encode()).digest()

    @property
    def calls_tools(self) -> bool:
        """Whether the dataset's own turns have calls of tools or their results."""
        return uses_tools([*self.prompt, *([self.reference] if isinstance(self.reference, dict) else [])])

    def with_tools(self, value: object) -> "Conversation":
        """The conversation with the tools that a column of them holds. Raises RowRejected."""
        read = read_tools(value)
        if not read.value:
            return self
        check_marks([*self.prompt, *([as_turn(self.reference)] if self.reference is not None else [])])
        return replace(self, tools=read.value, conversions=self.conversions | read.conversions)


def as_turn(answer: Answer) -> Turn:
    """The answer as the assistant's turn."""
    return answer if isinstance(answer, dict) else {"role": "assistant", "content": answer}


def up_to_last_answer(prompt: list[Turn], reference: Answer | None) -> tuple[list[Turn], Answer] | None:
    """What comes before the last answer of the dataset's own, and that answer; None where there is none.

    Without a reference it is one inside the prompt.
    """
    if reference:
        return prompt, reference
    answers = [position for position, turn in enumerate(prompt) if turn["role"] == "assistant" and is_learnt(turn)]
    if not answers:
        return None
    last = prompt[answers[-1]]
    return prompt[: answers[-1]], last if last.get("tool_calls") else last["content"]


def from_messages(messages: object, system: object = None, vocabulary: Vocabulary = KNOWN) -> Conversation:
    """The conversation in a messages column: a list of {role, content}, in any known spelling. Raises RowRejected.

    ``system`` is what a system column holds, ``vocabulary`` what the dataset's spec says of spellings.
    """
    listed = _from_text(messages)
    if not isinstance(listed.value, list):
        raise RowRejected(reasons.NOT_A_LIST)
    if not listed.value:
        raise RowRejected(reasons.EMPTY)
    conversation = _conversation([*_system_turn(system), *_turns(listed.value, vocabulary)])
    return replace(conversation, conversions=conversation.conversions | listed.conversions)


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
    _check_order(turns[1:] if roles[0] == "system" else turns)
    if uses_tools(turns):
        check_marks(turns)
    last_asked = max(position for position, role in enumerate(roles) if role in ("user", "tool"))
    prompt, after = turns[: last_asked + 1], turns[last_asked + 1 :]
    # An empty system message is kept: it tells templates not to put their default one. A tool may give nothing back.
    if any(not turn["content"].strip() for turn in prompt if turn["role"] not in ("system", "tool") and _is_text(turn)):
        raise RowRejected(reasons.EMPTY_CONTENT)
    reference = _reference(after[0]) if after and is_learnt(after[0]) else None
    return Conversation(prompt, reference, conversions)


def _is_text(turn: Turn) -> bool:
    return not turn.get("tool_calls")


def _reference(turn: Turn) -> Answer | None:
    if not _is_text(turn):
        return turn
    return str(turn["content"]) if turn["content"].strip() else None


def _from_text(messages: object) -> Normalised[object]:
    """What a text that begins like a list holds, as tables have messages; anything else as it is."""
    if not isinstance(messages, str) or not messages.lstrip().startswith("["):
        return Normalised(messages)
    try:
        return Normalised(json.loads(messages), frozenset({Conversion.JSON_TEXT}))
    except (ValueError, RecursionError):
        raise RowRejected(reasons.NOT_A_LIST, "a text begins with [ and is no JSON") from None


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
        turn = _turn(message, vocabulary, turns[-1].value["role"] if turns else None)
        turns.append(marked(turn, message) if isinstance(message, dict) else turn)
    return turns


def _turn(message: object, vocabulary: Vocabulary | None, before: str | None) -> Normalised[Turn]:
    """The message as a turn behind one of the role ``before``. Without a vocabulary the spec can name no spellings."""
    if not isinstance(message, dict):
        raise RowRejected(reasons.TURN_NOT_AN_OBJECT)
    normalised = standard_message(message, vocabulary or KNOWN)
    role, content = normalised.value["role"], normalised.value["content"]
    calls = _calls(message, role, content)
    if calls.value:
        is_all = isinstance(role, str) and role.strip().casefold() in CALL_ROLES
        role, content = ("assistant", "") if is_all else (role, "" if content is None else content)
    if not isinstance(role, str) or role not in ROLES:
        advice = spelling_advice.of_role(role, message, vocabulary, before) if vocabulary is not None else ""
        raise RowRejected(reasons.UNKNOWN_ROLE, advice)
    if calls.value and role != "assistant":
        raise RowRejected(reasons.BAD_TOOLS, f"a turn of {role} calls a tool")
    if not isinstance(content, str):
        unknown = content is None and vocabulary is not None
        advice = spelling_advice.of_key("content", message, vocabulary or KNOWN) if unknown else ""
        raise RowRejected(reasons.CONTENT_NOT_TEXT, advice)
    text = Normalised(content)
    if role == "assistant" and (content.strip() or calls.value):
        text = with_reasoning(content, message, key_of(message, "content", vocabulary or KNOWN))
    try:
        text.value.encode()
    except UnicodeEncodeError:
        # Valid in JSON as an escape, but not in UTF-8, so neither in Parquet nor in a tokenizer.
        raise RowRejected(reasons.LONE_SURROGATE) from None
    turn = {"role": role, "content": text.value, **({"tool_calls": calls.value} if calls.value else {})}
    if role == "tool":
        turn |= {name: message[name] for name in ("name", "tool_call_id") if _is_name(message.get(name))}
    return Normalised(turn, normalised.conversions | calls.conversions | text.conversions)


def _calls(message: dict[str, object], role: object, content: object) -> Normalised[list[Tool]]:
    """The calls of tools in a message: those of a member, or the content of a role that is one of calls."""
    if isinstance(role, str) and role.strip().casefold() in CALL_ROLES:
        return replace(read_calls(content), conversions=frozenset({Conversion.TOOLS}))
    calls = next((message[member] for member in CALLS if message.get(member)), None)
    return read_calls(calls) if calls is not None else Normalised([])


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _check_order(turns: list[Turn]) -> None:
    roles = [turn["role"] for turn in turns]
    if roles[0] == "assistant":
        raise RowRejected(reasons.ASSISTANT_FIRST)
    for before, turn in itertools.pairwise([{"role": "nobody", "content": ""}, *turns]):
        role = turn["role"]
        if role == "tool" and not before.get("tool_calls") and before["role"] != "tool":
            raise RowRejected(reasons.TOOLS_OUT_OF_ORDER, "a result follows no call")
        if role != "tool" and before.get("tool_calls"):
            raise RowRejected(reasons.TOOLS_OUT_OF_ORDER, "a call has no result")
        if role == "user" and before["role"] == "tool":
            raise RowRejected(reasons.TOOLS_OUT_OF_ORDER, "the assistant says nothing to a result")
        if role == before["role"] != "tool":
            raise RowRejected(reasons.CONSECUTIVE_ROLES)
