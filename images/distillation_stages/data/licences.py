"""The licence of a model or a dataset, as the header of its README.md names it on the Hugging Face Hub."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distillation_stages.runtime.regular_files import NotRegular, read_regular

LICENSE = "license"
"""Of a stage's versions: what the source it has read is licensed under."""

README = "README.md"
README_LIMIT = 1 << 20
LONGEST = 64
"""Characters of a licence's name: the header is anybody's text."""

_HEADER = re.compile(r"\A\s*---\r?\n(.*?)\r?\n---\s*$", re.DOTALL | re.MULTILINE)


def licence_in(header: Any) -> dict[str, str]:
    """Of a header that was read, for a stage's versions; empty where it names none."""
    if not hasattr(header, "get"):
        return {}
    named = header.get("license")
    if named in (None, "other", ["other"]):
        named = header.get("license_name") or named
    names = named if isinstance(named, list) else [named]
    text = ", ".join(" ".join(name.split()) for name in names if isinstance(name, str) and name.strip())
    return {LICENSE: text[:LONGEST]} if text else {}


def licence_of_readme(text: str) -> dict[str, str]:
    """Of a README.md; empty where it has no header that can be read."""
    import yaml

    found = _HEADER.match(text)
    if found is None:
        return {}
    try:
        header = yaml.safe_load(found[1])
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return licence_in(header) if isinstance(header, Mapping) else {}


def licence_of_directory(directory: Path) -> dict[str, str]:
    """Of a model's or dataset's folder; empty where it has no such file."""
    try:
        return licence_of_readme(read_regular(directory / README, README_LIMIT).decode(errors="replace"))
    except (OSError, NotRegular):
        return {}
