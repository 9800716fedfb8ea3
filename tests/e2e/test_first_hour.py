"""docs/first-hour.md, typed by a stranger: every command is run, and what comes back is what the page says."""

import doctest
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from testbed.layout import CHECKOUT

PAGE = CHECKOUT / "docs" / "first-hour.md"
LENIENT = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

pytestmark = pytest.mark.timeout(3600)


@dataclass(frozen=True)
class Typed:
    """A command of the page, and the lines below it."""

    command: str
    expected: str


class Shell:
    """One bash for the whole page, as the stranger has."""

    def __init__(self) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], cwd=CHECKOUT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def type(self, command: str) -> str:
        """What the command prints."""
        assert self._bash.stdin is not None and self._bash.stdout is not None
        end = "-- the end of what it prints --"
        self._bash.stdin.write(f"{command}\necho; echo '{end}'\n")
        self._bash.stdin.flush()
        lines: list[str] = []
        for line in self._bash.stdout:
            if line.strip() == end:
                break
            lines.append(line)
        return "".join(lines).rstrip("\n")

    def close(self) -> None:
        """End it."""
        self._bash.kill()
        self._bash.wait()


def typed() -> list[Typed]:
    """All commands of the page, in order."""
    found: list[Typed] = []
    for block in re.findall(r"^```console\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            found.append(Typed(command, expected.rstrip("\n")))
    return found


@pytest.fixture
def shell() -> Iterator[Shell]:
    """In a shell beside the playground, which goes down at the end."""
    subprocess.run(["make", "playground"], cwd=CHECKOUT, check=True)
    made = Shell()
    yield made
    made.close()
    subprocess.run(["build/dev/bin/python", "-m", "testbed", "down", "--name", "playground"], cwd=CHECKOUT, check=True)


def test_every_command_answers_as_the_page_says(shell: Shell) -> None:
    checker = doctest.OutputChecker()
    commands = typed()
    assert len(commands) > 20
    for one in commands:
        answer = shell.type(one.command)
        print(f"$ {one.command}\n{answer}", flush=True)
        assert checker.check_output(one.expected, answer, LENIENT), (
            f"$ {one.command}\nthe page says:\n{one.expected}\nit says:\n{answer}"
        )
