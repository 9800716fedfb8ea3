"""Where stages write. The directory's name tells stage and fingerprint, and so what the marker in it has to say."""

import re
from dataclasses import dataclass

FINGERPRINT_DIGITS = 16

_NAMED = re.compile(rf"(?:.+/)?([^/]+)/([0-9a-f]{{{FINGERPRINT_DIGITS}}})(?:/shard-[0-9]+)?")

STAGE_FOLDER = (
    "(^|/)((fetch|convert)-(teacher|student)|prepare-dataset|check-tokenizers|preflight|publish|(preview-)?(generate|evaluate|"
    f"export|(export|pack|train)-[-a-z0-9]+))/[0-9a-f]{{{FINGERPRINT_DIGITS}}}(/|$)|(^|/)cache/(jax|vllm)(/|$)"
)
"""In a path: a directory that stages write, whatever the prefix; a regular expression of CEL and Python."""

_NAMES_OTHER_PLACES = re.compile(r"fetch-(?:teacher|student)|publish")


@dataclass(frozen=True)
class Work:
    """What a stage does: the one with this name and fingerprint."""

    stage: str
    fingerprint: str

    @property
    def stays_in_its_directory(self) -> bool:
        """Whether all of its outputs lie there. A model that is in the storage already isn't fetched but named, and
        what is published lies where users want it.
        """
        return _NAMES_OTHER_PLACES.fullmatch(self.stage) is None


def output_directory(prefix: str, work: Work) -> str:
    """Where the operator has a stage write, inside the storage."""
    return f"{prefix}/{work.stage}/{work.fingerprint}"


def work_at(directory: str) -> Work | None:
    """What is done in a directory, or in the one of a shard below it; None where it was named by hand."""
    named = _NAMED.fullmatch(directory)
    return Work(*named.groups()) if named else None
