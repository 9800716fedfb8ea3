"""Names of children: job, stage and attempt, readable, and short enough for every pod and host name made of them."""

import hashlib

CHILD_NAME_LIMIT = 43
"""63, a pod's host name, less JobSet's longest suffix ``-slice-63-1535-xxxxx``."""

NAMED_BY_USERS = ("train", "pack", "export")
"""What a stage is called that has a training stage's name behind it."""


def child_name(job: str, stage: str, attempt: int) -> str:
    """The name of the Job or JobSet of one attempt; a long or ambiguous one is made unique by a hash."""
    base, suffix = f"{job}-{stage}", f"-{attempt}"
    # Stage train-export of job m and stage export of job m-train would have one name.
    ambiguous = any(f"-{prefix}-" in f"{job}-" for prefix in NAMED_BY_USERS)
    if len(base) + len(suffix) <= CHILD_NAME_LIMIT and not ambiguous:
        return base + suffix
    digest = hashlib.sha256(f"{job}/{stage}".encode()).hexdigest()[:8]
    return base[: CHILD_NAME_LIMIT - len(suffix) - len(digest) - 1].rstrip("-") + "-" + digest + suffix
