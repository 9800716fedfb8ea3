"""What a table's row has of tools beyond the texts of its turns: JSON in a column of its own.

A struct can't hold it: each tool has a schema of another shape, and a table would fill all of them up with nulls.
Tables of conversations without tools don't have the column.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distillation_stages.data.conversations import Answer, Conversation, Turn
from distillation_stages.data.tables import TOOL_USE
from distillation_stages.data.tools import Tool

_IN_TABLE = ("role", "content")
"""Members of a turn that the prompt's own column has."""


@dataclass(frozen=True)
class Restored:
    """A row's conversation, as it was before it was written."""

    prompt: list[Turn]
    reference: Answer | None
    tools: list[Tool] | None


def stored(conversation: Conversation) -> dict[str, object]:
    """The members of a row that hold the conversation."""
    reference = conversation.reference
    members = {
        "tools": conversation.tools,
        "prompt": {str(position): own for position, turn in enumerate(conversation.prompt) if (own := _own(turn))},
        "reference": _own(reference) if isinstance(reference, dict) else None,
    }
    given = {name: member for name, member in members.items() if member}
    return {
        "prompt": conversation.prompt,
        "reference": reference["content"] if isinstance(reference, dict) else reference,
        TOOL_USE: json.dumps(given) if given else None,
    }


def restored(row: Mapping[str, Any]) -> Restored:
    """The conversation of a row of prepare's or generate's table."""
    prompt, reference, text = row["prompt"], row.get("reference"), row.get(TOOL_USE)
    if text is None:
        return Restored(prompt, reference, None)
    given = json.loads(text)
    own = given.get("prompt", {})
    calls = given.get("reference")
    return Restored(
        [{**turn, **own.get(str(position), {})} for position, turn in enumerate(prompt)],
        {"role": "assistant", "content": reference, **calls} if calls else reference,
        given.get("tools"),
    )


def _own(turn: Turn) -> Turn:
    return {name: member for name, member in turn.items() if name not in _IN_TABLE}
