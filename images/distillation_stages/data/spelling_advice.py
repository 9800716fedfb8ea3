"""What a dataset's spec could say of messages that aren't understood: which member, and what is found there."""

from collections.abc import Mapping

from distillation_stages.data.normalise import KEYS, Vocabulary, key_of

TOOL_ROLES = frozenset({"environment", "function_result", "function_results", "tool_output", "tool_results", "tools"})
"""More roles of conversations with tools: no name of user or assistant, so no advice makes them one."""

MAX_NAME = 64
"""What the spec takes."""

MAX_KEYS = 8


def of_role(role: object, message: Mapping[str, object], vocabulary: Vocabulary, before: str | None) -> str:
    """What to set for an unknown role that follows the role ``before``; empty where nothing would help."""
    if role is None:
        return of_key("role", message, vocabulary)
    if not isinstance(role, str) or not _is_quotable(role) or role.strip().casefold() in TOOL_ROLES:
        return ""
    likely = {None: "user or .system", "user": "assistant"}.get(before, "user")
    return f"{role.strip()!r}: add it to dataset.messages.roles.{likely}"


def of_key(name: str, message: Mapping[str, object], vocabulary: Vocabulary) -> str:
    """What to set where the message has neither the standard key nor another known one; empty where it has."""
    keys = [key for key in message if _is_quotable(key)]
    known = {*KEYS[name], vocabulary.keys.get(name)}
    if not keys or any(key in known or key.casefold() in known for key in keys):
        return ""
    both = [member for member in KEYS if key_of(message, member, vocabulary) is None]
    fields = " and ".join(f"{member}Key" for member in both)
    return f"the keys are {', '.join(map(repr, keys[:MAX_KEYS]))}: name the right one in dataset.messages.{fields}"


def _is_quotable(name: str) -> bool:
    return name.isprintable() and 0 < len(name.strip()) <= MAX_NAME
