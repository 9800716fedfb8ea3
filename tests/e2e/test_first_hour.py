"""docs/first-hour.md, typed by a stranger: every command is run, and what comes back is what the page says.

The playground's storage holds what the demo's run has computed up to its first training, which nobody needs to see
twice: the rest is computed here, with the job suspended on the way, and once more by the page's second job.
"""

import doctest
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.places import CLAIM, NAMESPACE, Place
from e2e.killed_run import Run, chunks_in
from testbed.layout import CHECKOUT, RunFolder
from testbed.storage import host_path

PAGE = CHECKOUT / "docs" / "first-hour.md"
STORAGE = host_path(RunFolder("playground"), NAMESPACE, CLAIM)
COMPUTED_HERE = ("export-teacher-data", "train-original-data", "export", "evaluate")
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
def shell(run: Run, place: Place) -> Iterator[Shell]:
    """In a shell next to the playground, which goes down at the end."""
    # Of a make that runs these tests the stranger knows nothing.
    variables = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    subprocess.run(["make", "playground"], cwd=CHECKOUT, env=variables, check=True)
    assert place.storage is not None
    # Links, with their owners: the stages write next to what they find, and into none of it.
    subprocess.run(["cp", "--archive", "--link", str(place.storage / "distillation"), str(STORAGE)], check=True)
    for stage in COMPUTED_HERE:
        shutil.rmtree(STORAGE / "distillation" / stage)
    made = Shell()
    yield made
    made.close()
    subprocess.run(["build/dev/bin/python", "-m", "testbed", "down", "--name", "playground"], cwd=CHECKOUT, check=True)


def modified(chunks: list[Path]) -> dict[str, int]:
    """When each was written, in nanoseconds."""
    return {str(path.relative_to(path.parents[3])): path.stat().st_mtime_ns for path in chunks}


def test_every_command_answers_as_the_page_says(shell: Shell) -> None:
    before = modified(chunks_in(STORAGE))
    checker = doctest.OutputChecker()
    commands = typed()
    assert len(commands) > 20
    for one in commands:
        answer = shell.type(one.command)
        print(f"$ {one.command}\n{answer}", flush=True)
        assert checker.check_output(one.expected, answer, LENIENT), (
            f"$ {one.command}\nthe page says:\n{one.expected}\nit says:\n{answer}"
        )
    # Neither of the page's two jobs, which differ in the learning rate alone, has asked the teacher anything.
    assert before and modified(chunks_in(STORAGE)) == before
    assert len(list((STORAGE / "distillation" / "convert-student").iterdir())) == 1
