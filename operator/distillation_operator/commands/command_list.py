"""The list of commands: a parser for each, and a help that groups them."""

import argparse
import textwrap
from collections.abc import Callable

Command = Callable[[argparse.Namespace], int]
"""What a command does with its arguments; returns the exit code."""


class Commands:
    """The subcommands of a parser, listed in its help by groups: argparse itself knows one list only."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser
        self._subparsers = parser.add_subparsers(required=True, metavar="COMMAND", help=argparse.SUPPRESS)

    def group(self, title: str) -> None:
        """Begin the group that the commands added next stand in."""
        self._list(f"{title}:" if self._parser.epilog is None else f"\n{title}:")

    def add(self, name: str, command: Command, text: str) -> argparse.ArgumentParser:
        """The parser of a new command of the newest group; the text is its line in the help."""
        # Without `help` argparse leaves it out of its own list.
        added = self._subparsers.add_parser(name, description=text[0].upper() + text[1:] + ".")
        added.set_defaults(command=command)
        self._list(textwrap.fill(text, 100, initial_indent=f"  {name:<11} ", subsequent_indent=" " * 14))
        return added

    def _list(self, lines: str) -> None:
        self._parser.epilog = lines if self._parser.epilog is None else f"{self._parser.epilog}\n{lines}"
