"""What was proved of each public model when it was run last, in a file that is committed."""

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("results.json")


def results() -> dict[str, dict[str, Any]]:
    """By the model's name on the Hub."""
    loaded: dict[str, dict[str, Any]] = json.loads(FILE.read_text()) if FILE.exists() else {}
    return loaded


def record(name: str, found: dict[str, Any]) -> None:
    """Put down what was found of a model, in place of what was found before."""
    FILE.write_text(json.dumps(dict(sorted({**results(), name: found}.items())), indent=2) + "\n")
