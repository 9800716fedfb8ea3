"""Conversations as stages exchange them: cut at the last user turn, checked for what templates and trainers trip over.

A conversation that MaxText's loader can't take ends its training silently at that row, and a prompt that holds the
dataset's own last answer makes the teacher write a second one: so both are settled here, before anything is generated.
"""

import hashlib
import itertools
import json
from dataclasses import dataclass

ROLES = ("system", "user", "assistant")

Turn = dict[str, str]
"""``{"role": ..., "content": ...}``"""


class Rejected(Exception):
    """A row that can't be used. ``reason`` is CamelCase and becomes the count ``rejected.<reason>``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Conversation:
    """What the teacher is asked, and what the dataset answered."""

    prompt: list[Turn]
    """Everything up to and with the last user turn."""
    reference: str | None
    """The assistant's text right after the prompt; None when there is none or it is blank."""

    def digest(self) -> bytes:
        """SHA-256 of the prompt: equal for equal prompts only."""
        return hashlib.sha256(json.dumps(self.prompt, ensure_ascii=True).encode()).digest()


def from_messages(messages: object) -> Conversation:
    """The conversation in a messages column: a list of {role, content}. Raises Rejected."""
    if not isinstance(messages, list):
        raise Rejected("NotAList")
    if not messages:
        raise Rejected("Empty")
    turns = [_turn(message) for message in messages]
    roles = [turn["role"] for turn in turns]
    if "user" not in roles:
        raise Rejected("NoUserTurn")
    if "system" in roles[1:]:
        raise Rejected("SystemNotFirst")
    _check_alternation(roles[1:] if roles[0] == "system" else roles)
    last_user = len(roles) - 1 - roles[::-1].index("user")
    prompt, after = turns[: last_user + 1], turns[last_user + 1 :]
    # An empty system message is kept: it tells templates not to put their default one.
    if any(not turn["content"].strip() for turn in prompt if turn["role"] != "system"):
        raise Rejected("EmptyContent")
    reference = after[0]["content"] if after and after[0]["content"].strip() else None
    return Conversation(prompt, reference)


def from_columns(prompt: object, response: object) -> Conversation:
    """The conversation in a prompt and a response column: texts, or lists of {role, content}. Raises Rejected."""
    asked = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    answered = [{"role": "assistant", "content": response}] if isinstance(response, str) else response or []
    if not isinstance(asked, list):
        raise Rejected("ContentNotText")
    if not isinstance(answered, list):
        raise Rejected("ContentNotText")
    return from_messages([*asked, *answered])


def _turn(message: object) -> Turn:
    if not isinstance(message, dict):
        raise Rejected("TurnNotAnObject")
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise Rejected("UnknownRole")
    if message.get("tool_calls"):
        # No template of a student without tools renders them: it would learn to say nothing.
        raise Rejected("ToolCalls")
    if not isinstance(content, str):
        raise Rejected("ContentNotText")
    try:
        content.encode()
    except UnicodeEncodeError:
        # Valid in JSON as an escape, but not in UTF-8, so neither in Parquet nor in a tokenizer.
        raise Rejected("LoneSurrogate") from None
    return {"role": role, "content": content}


def _check_alternation(roles: list[str]) -> None:
    if roles[0] == "assistant":
        raise Rejected("AssistantFirst")
    if any(role == following for role, following in itertools.pairwise(roles)):
        raise Rejected("ConsecutiveRoles")
