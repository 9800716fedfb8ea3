"""The statement of where artefacts come from, in the form of in-toto's Statement v1 with SLSA's Provenance v1.

It isn't signed; ``cosign attest-blob`` and ``cosign attest`` take its predicate.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:distillation-operator:make-release:v1"
BUILDER = "urn:distillation-operator:make-release"
"""Who built, where nobody says otherwise: someone who ran ``make release``."""


@dataclass(frozen=True)
class Build:
    """What went into a release."""

    version: str
    commit: str
    uncommitted: bool = False
    """Whether the tree had changes that the commit doesn't have, as only a dry run may."""
    repository: str | None = None
    """URL of the source's repository, without credentials."""
    images: tuple[str, ...] = ()
    materials: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of what is read besides the source's files, as 64 hexadecimal digits by name."""
    tools: Mapping[str, str] = field(default_factory=dict)
    """Versions of the programs that built, by name."""
    builder: str = BUILDER
    """URI of who built."""


def statement(build: Build, subjects: Mapping[str, str]) -> dict[str, Any]:
    """The statement about artefacts, whose SHA-256 are 64 hexadecimal digits by name.

    Nothing of the machine or the hour is in it: the same commit built twice has the same statement.
    """
    source: dict[str, Any] = {"name": "source", "digest": {"gitCommit": build.commit}}
    if build.repository:
        source["uri"] = f"git+{build.repository}"
    if build.uncommitted:
        source["annotations"] = {"uncommittedChanges": True}
    materials = [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(build.materials.items())]
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(subjects.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"version": build.version, "images": list(build.images)},
                "resolvedDependencies": [source, *materials],
            },
            "runDetails": {"builder": {"id": build.builder, "version": dict(sorted(build.tools.items()))}},
        },
    }


def rendered(build: Build, subjects: Mapping[str, str]) -> str:
    """The statement as the text of its file."""
    return json.dumps(statement(build, subjects), indent=2) + "\n"
