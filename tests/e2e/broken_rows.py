"""A dataset of 20,000 conversations in ShareGPT's form, of which one in a hundred is broken, in ten ways."""

import json

ROWS = 20_000


def conversation(question: object, role: str = "gpt") -> list[dict[str, object]]:
    return [{"from": "human", "value": question}, {"from": role, "value": "answer"}]


def line(row: int) -> tuple[str, str]:
    """A row of a dataset in ShareGPT's form, one in a hundred broken; and the reason that it is left out for."""
    turns: object = conversation(f"hello question {row}")
    broken = {
        0: ("BrokenJson", None),
        100: ("NotAnObject", None),
        200: ("NotAList", "no list"),
        300: ("Empty", []),
        400: ("TurnNotAnObject", ["hello"]),
        500: ("UnknownRole", conversation(f"hello {row}", role="critic")),
        600: ("ContentNotText", conversation({"text": "hello"})),
        700: ("EmptyContent", conversation(" ")),
        800: ("AssistantFirst", [{"from": "gpt", "value": "answer"}, *conversation(f"hello {row}")]),
        900: ("PromptTooLong", conversation("hello " * 200 + str(row))),
    }
    reason, turns = broken.get(row % 1000, ("", turns)) if row % 100 == 0 else ("", turns)
    if reason == "BrokenJson":
        return '{"conversations": [', reason
    return json.dumps([row] if reason == "NotAnObject" else {"conversations": turns}), reason
