"""Names of children: job, stage and attempt, readable, and short enough for every pod and host name made of them."""

import hashlib

CHILD_NAME_LIMIT = 43
"""63, a pod's host name, less JobSet's longest suffix ``-slice-63-1535-xxxxx``."""

PREVIEW = "preview-"
"""Before the names of a preview's stages; no other stage's begins so."""

NAMED_BY_USERS = ("train", "pack", "export")
"""What a stage is called that has a training stage's name behind it."""


def is_of_preview(stage: str) -> bool:
    """Whether the stage of that name is a preview's."""
    return stage.startswith(PREVIEW)


def child_name(job: str, stage: str, attempt: int) -> str:
    """The name of the Job or JobSet of one attempt; a long or ambiguous one is made unique by a hash."""
    base, suffix = f"{job}-{stage}", f"-{attempt}"
    # Stage train-export of job m and stage export of job m-train would have one name; stage preview-generate of job m
    # and stage generate of job m-preview too.
    ambiguous = any(f"-{prefix}-" in f"{job}-" for prefix in NAMED_BY_USERS) or is_of_preview(stage)
    if len(base) + len(suffix) <= CHILD_NAME_LIMIT and not ambiguous:
        return base + suffix
    digest = hashlib.sha256(f"{job}/{stage}".encode()).hexdigest()[:8]
    return base[: CHILD_NAME_LIMIT - len(suffix) - len(digest) - 1].rstrip("-") + "-" + digest + suffix
