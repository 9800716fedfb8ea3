"""The notes of a release: its version's section of CHANGELOG.md."""

import re

from release.errors import ReleaseError

UNRELEASED = "Unreleased"
_HEADING = re.compile(r"^## \[?([^\]\s]+)\]?(?:\s.*)?$")


def sections(text: str) -> dict[str, str]:
    """The text below each heading of the second level, by its first word: a version, or ``Unreleased``."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []  # of what comes before the first heading
    fenced = False
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith("```")
        heading = None if fenced else _HEADING.match(line)
        if heading:
            lines = found.setdefault(heading[1], [])
        else:
            lines.append(line)
    return {version: "\n".join(lines).strip() for version, lines in found.items()}


def notes(text: str, version: str) -> str:
    """The section of a version, without its heading.

    Raises ReleaseError, with what to do, when it is missing or empty.
    """
    found = sections(text)
    if version not in found:
        raise ReleaseError(
            f"CHANGELOG.md has no section for {version}: make its heading `## {UNRELEASED}` "
            f"`## {version} - YYYY-MM-DD`, and put an empty `## {UNRELEASED}` above it "
            f"(it has: {', '.join(found) or 'none'})"
        )
    if not found[version]:
        raise ReleaseError(f"CHANGELOG.md's section for {version} is empty: say what has changed")
    return found[version]
