"""The one error of this package: something the person at the keyboard can act on, in one line plus a log's end."""

from pathlib import Path


class TestbedError(Exception):
    """The testbed can't do what was asked; the message says what to look at."""

    # The name begins with "Test": keep pytest from collecting it.
    __test__ = False


def log_end(log: Path, lines: int = 20) -> str:
    """The last lines of a component's log, indented, as every timeout and every failed command shows them."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        return f"    ({log} doesn't exist)"
    end = text.splitlines()[-lines:]
    return "\n".join([f"  last lines of {log}:", *(f"    {line[:300]}" for line in end)])
