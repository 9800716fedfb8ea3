"""Fingerprints: what determines a stage's outputs, as a short hash that names its folder in the storage."""

import hashlib
import json
from collections.abc import Mapping

from distillation_operator.api.contract import Program

OUTPUTS_VERSION = 1
"""Raised when a program comes to write something else for the same input, so that old outputs are not taken for new."""


def fingerprint(program: Program, inputs: Mapping[str, str]) -> str:
    """The hash of a program's configuration and of the fingerprints of what it reads, 16 hex digits."""
    configuration = program.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=program.only_told)
    content = {"version": OUTPUTS_VERSION, "program": configuration, "inputs": dict(inputs)}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
