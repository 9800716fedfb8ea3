"""Names of children: job, stage and attempt, readable, and short enough for every pod and host name made of them."""

import hashlib

CHILD_NAME_LIMIT = 43
"""63, a pod's host name, less JobSet's longest suffix ``-slice-63-1535-xxxxx``."""


def child_name(job: str, stage: str, attempt: int) -> str:
    """The name of the Job or JobSet of one attempt; a long one is cut and made unique by a hash."""
    base, suffix = f"{job}-{stage}", f"-{attempt}"
    if len(base) + len(suffix) <= CHILD_NAME_LIMIT:
        return base + suffix
    digest = hashlib.sha256(base.encode()).hexdigest()[:8]
    return base[: CHILD_NAME_LIMIT - len(suffix) - len(digest) - 1].rstrip("-") + "-" + digest + suffix
