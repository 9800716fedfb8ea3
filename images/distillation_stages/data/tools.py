"""Tools, and the calls of them, in the spellings that datasets have, brought to the one that chat templates are handed.

A tool is ``{"type": "function", "function": {"name", "description", "parameters"}}``. A call is ``{"id", "type":
"function", "function": {"name", "arguments"}}`` with the arguments as an object: templates write them as JSON, so that
a text would come out as JSON in JSON.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from distillation_api import reasons
from distillation_stages.data.normalise import Conversion, Normalised
from distillation_stages.runtime.failure import RowRejected

Tool = dict[str, Any]

COLUMN = "tools"
"""The column beside the messages that holds their tools, when none is named."""

OLDER_COLUMN = "functions"
"""The same where calls are ``function_call``; but it may hold other things."""

COLUMNS = (COLUMN, OLDER_COLUMN)

CALLS = ("tool_calls", "function_call")
"""Members of a message that calls tools; the second is the older one."""

CALL_ROLES = frozenset({"function_call", "tool_call", "tool_calls"})
"""ShareGPT's names for the assistant where it calls a tool: the content is the call, as JSON."""

TEXT_MARKS = ("<tool_call>", "<tool_response>")
"""What calls and results are written between in some templates. In a text, the template would put a second pair."""

_WRAPPED = {"type": "function"}


def read_tools(value: object) -> Normalised[list[Tool]]:
    """What a column of tools holds: a list of them or one, as JSON text or as objects. Raises RowRejected.

    Empty where it is null, blank or an empty list.
    """
    given = _from_text(value)
    listed = given if isinstance(given, list) else [] if given is None or given == {} else [given]
    tools = [_tool(_again(one)) for one in listed]
    return Normalised([tool for tool, _ in tools], _told(differs for _, differs in tools))


def read_calls(value: object) -> Normalised[list[Tool]]:
    """The calls of a message, in any of their spellings. Raises RowRejected."""
    given = _from_text(value)
    listed = given if isinstance(given, list) else [given]
    if not listed:
        raise RowRejected(reasons.BAD_TOOLS, "there is no call")
    calls = [_call(_again(one)) for one in listed]
    return Normalised([call for call, _ in calls], _told(differs for _, differs in calls))


def uses_tools(turns: Iterable[Mapping[str, Any]], tools: object = None) -> bool:
    """Whether a conversation has tools, calls of them or their results."""
    return bool(tools) or any(turn["role"] == "tool" or turn.get("tool_calls") for turn in turns)


def check_marks(turns: Iterable[Mapping[str, Any]]) -> None:
    """Raises RowRejected for a conversation with tools whose calls or results are written as text all the same."""
    for turn in turns:
        found = [mark for mark in TEXT_MARKS if turn["role"] in ("assistant", "tool") and mark in turn["content"]]
        if found:
            raise RowRejected(reasons.BAD_TOOLS, f"{found[0]} stands in a text: write calls as tool_calls")


def _tool(tool: object) -> tuple[Tool, bool]:
    """The tool, and whether it was in another spelling."""
    if not isinstance(tool, dict):
        raise RowRejected(reasons.BAD_TOOLS, "a tool is no object")
    if isinstance(tool.get("function"), dict):
        made, differs = {**_WRAPPED, **tool}, "type" not in tool
    else:
        made = {**_WRAPPED, "function": {name: member for name, member in tool.items() if name != "type"}}
        differs = True
    _name(made["function"], "tool")
    return _plain(made), differs


def _call(call: object) -> tuple[Tool, bool]:
    """The call, and whether it was in another spelling than the standard one. Arguments as text are standard."""
    if not isinstance(call, dict):
        raise RowRejected(reasons.BAD_TOOLS, "a call is no object")
    inner = call.get("function")
    function = inner if isinstance(inner, dict) else call
    name = _name(function, "call")
    given = _again(function.get("arguments", function.get("parameters")))
    arguments = {} if given is None else given
    if not isinstance(arguments, dict):
        raise RowRejected(reasons.BAD_TOOLS, "the arguments of a call are no object")
    known = {"id": call["id"]} if isinstance(call.get("id"), str) and call["id"] else {}
    return _plain({**known, **_WRAPPED, "function": {"name": name, "arguments": arguments}}), function is call


def _name(function: Mapping[str, object], what: str) -> str:
    name = function.get("name")
    if not isinstance(name, str) or not name.strip():
        raise RowRejected(reasons.BAD_TOOLS, f"a {what} has no name")
    return name


def _from_text(value: object) -> Any:
    """What a JSON text holds, and null for a blank one. Of objects, members that are null count as absent.

    Tables have all members in every row: in text alone, null is meant.
    """
    if isinstance(value, str) and not value.strip():
        return None
    try:
        return json.loads(value) if isinstance(value, str) else _without_nulls(value)
    except (ValueError, RecursionError):
        raise RowRejected(reasons.BAD_TOOLS, "a text is no JSON, or it is nested too deeply") from None


def _again(member: object) -> Any:
    """A member of what was read, which may be a text in turn; else its nulls are settled."""
    return _from_text(member) if isinstance(member, str) else member


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    return [_without_nulls(member) for member in value] if isinstance(value, list | tuple) else value


def _plain(value: Tool) -> Tool:
    """The value as it will be read again. Raises RowRejected for what JSON or UTF-8 can't hold."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except UnicodeEncodeError:
        raise RowRejected(reasons.LONE_SURROGATE) from None
    except (ValueError, TypeError, RecursionError):
        raise RowRejected(reasons.BAD_TOOLS, "it has values that JSON doesn't know") from None
    return dict(json.loads(text))


def _told(differ: Iterable[bool]) -> frozenset[Conversion]:
    return frozenset({Conversion.TOOLS}) if any(differ) else frozenset()
