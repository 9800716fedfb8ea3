"""An id for an error of ours: it stands in the status, where the error's text may not, and in the log beside it."""

import hashlib
import traceback
from pathlib import Path

INNERMOST = 4


def id_of(error: BaseException) -> str:
    """The same for one fault however often it happens, whatever the values: made of the error's type and of the
    innermost lines that it came through. So a status that tells it changes once.
    """
    frames = traceback.extract_tb(error.__traceback__)
    # Once each: how deep a recursion went makes no other fault, nor how a reconcile came to its decision.
    places = dict.fromkeys(f"{Path(f.filename).name}:{f.name}:{f.lineno}" for f in frames if not _is_of_reconcile(f))
    text = "\n".join([type(error).__name__, *list(places)[-INNERMOST:]])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _is_of_reconcile(frame: traceback.FrameSummary) -> bool:
    return Path(frame.filename).name == "reconcile.py"
