"""Reasons of Events that no stage or condition has."""

from distillation_api.reasons.reason import Cost, Reason


def _reason(name: str, meaning: str, remedy: str) -> Reason:
    return Reason(name, meaning, remedy, Cost.EVENT)


STAGE_PENDING = _reason(
    "StagePending",
    "A stage waits and has a message, but no reason.",
    "Read the message.",
)
STAGE_RETRIED = _reason(
    "StageRetried",
    "An attempt at a stage has ended, and another one follows.",
    "Read why in the message; `status.lastFailures` has more.",
)
STAGE_COMPLETE = _reason(
    "StageComplete",
    "Stages are complete. Those that end within half a minute are one Event.",
    "Nothing.",
)
DEGENERATE_ANSWERS = _reason(
    "DegenerateAnswers",
    "The evaluation is complete, but unlike the teacher's most of the student's answers run to the limit, repeat "
    "themselves or are empty.",
    "Read the answers in the report. Often training was too short, its rate too high, or its answers were cut.",
)
NO_ATOMIC_DIRECTORY_RENAME = _reason(
    "NoAtomicDirectoryRename",
    "The storage renames a directory file by file, or not at all, as a bucket without a hierarchical namespace does; "
    "prepare-dataset has tried it.",
    "Nothing for these jobs, whose saves are whole or absent anyway. New buckets: make them with "
    "`--enable-hierarchical-namespace`, which also are faster to begin with.",
)
CHILD_FAILED_LATER = _reason(
    "ChildFailedLater",
    "The Job or JobSet of a complete stage failed after its pods had done the work and reported their results, as by a "
    "deadline that passed at the same moment. Nothing is done again.",
    "Nothing; the message is Kubernetes' own.",
)
SUSPENDED = _reason(
    "Suspended",
    "The job was suspended.",
    "Set `suspend` to false to go on.",
)
RESUMED = _reason(
    "Resumed",
    "The job goes on.",
    "Nothing.",
)
COMPLETE = _reason(
    "Complete",
    "The job is complete; the message has the held-out cross-entropy.",
    "Use the results; `status.results` names them.",
)
RETRY_HEEDED = _reason(
    "RetryHeeded",
    "The annotation `distillation.dev/retry` is honoured: the stage's failures and disruptions are counted anew.",
    "Nothing.",
)
