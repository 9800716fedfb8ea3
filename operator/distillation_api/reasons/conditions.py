"""Reasons of the job's conditions."""

from distillation_api.reasons.reason import Cost, Reason


def _reason(name: str, meaning: str, remedy: str) -> Reason:
    return Reason(name, meaning, remedy, Cost.CONDITION)


SPEC_VALID = _reason(
    "SpecValid",
    "Accepted: the spec is understood.",
    "Nothing.",
)
RETRY_REFUSED = _reason(
    "RetryRefused",
    "Accepted, but the annotation `distillation.dev/retry` names no stage that has failed. Also an Event.",
    "Give it the value that the message asks for.",
)
RETRY_WAITS = _reason(
    "RetryWaits",
    "Accepted; the annotation `distillation.dev/retry` names a stage that hasn't failed: it is retried once when it "
    "does. Also an Event.",
    "Nothing; remove the annotation if the stage isn't to be retried.",
)
INVALID_SPEC = _reason(
    "InvalidSpec",
    "Not Accepted: this operator can't read the spec, since its CRD is newer than it.",
    "Upgrade the operator.",
)
STATUS_UNREADABLE = _reason(
    "StatusUnreadable",
    "Not Accepted, Stalled: this operator can't read the job's status, which a newer one has written. It is "
    "kept as it is, nothing new is started, and what runs goes on to the end of its attempt.",
    "Upgrade the operator to the version that wrote it, or delete the job to end its pods.",
)
SERVICE_ACCOUNT_REFUSED = _reason(
    "ServiceAccountRefused",
    "Not Accepted: `pod.serviceAccountName` is the operator's own account.",
    "Use another one.",
)
INPUT_TOO_LARGE = _reason(
    "InputTooLarge",
    "Not Accepted: what a stage's program would be told is longer than a process can be given.",
    "Make a new DistillationJob with shorter texts; the message names the longest.",
)
NOT_ALLOWED_HERE = _reason(
    "NotAllowedHere",
    "Not Accepted: the job names something that this installation does not allow; the message has all of it.",
    "Name what is allowed, or ask who runs the operator (docs/security.md).",
)
UNLISTED_SETTINGS_REFUSED = _reason(
    "UnlistedSettingsRefused",
    "Not Accepted: `maxTextUnlisted` is set, which this installation does not allow.",
    "Use `maxText`, or have the operator installed with the chart's value `maxText.allowUnlisted`.",
)
INTERNAL_ERROR = _reason(
    "InternalError",
    "Stalled, and not Reconciling: the operator fails to decide on this job, by an error of its own. Nothing new is "
    "started until it succeeds; `suspend`, `budget` and deletion still stop its pods.",
    "Look in the operator's log for the id that the message has, and report what stands beside it. It is tried again.",
)
SUSPENDED_BY_USER = _reason(
    "SuspendedByUser",
    "Suspended: `suspend` is true.",
    "Set it to false to go on.",
)
BUDGET_REACHED = _reason(
    "BudgetReached",
    "Suspended: `budget.maxChipHours` is used; nothing was lost.",
    "Raise it to go on.",
)
PREVIEW_DONE = _reason(
    "PreviewDone",
    "Previewed: the preview is complete; the message has its figures. Suspended: `preview.then` is Stop.",
    "Look at `status.preview`; set `preview.then` to Continue, or remove `preview`, to go on.",
)
PREVIEW_RUNS = _reason(
    "PreviewRuns",
    "Not Previewed: stages of the preview aren't complete.",
    "Wait.",
)
NOT_SUSPENDED = _reason(
    "NotSuspended",
    "The job isn't suspended.",
    "Nothing.",
)
NOT_FAILED = _reason(
    "NotFailed",
    "Not Failed, not Stalled: no stage has failed for good.",
    "Nothing.",
)
STAGES_FINISHED = _reason(
    "StagesFinished",
    "Complete: all stages are complete.",
    "Use the results; `status.results` names them.",
)
STAGE_FAILED = _reason(
    "StageFailed",
    "Failed, Stalled: a stage failed without a reason of its own.",
    "Look at the stage's message and its pods' logs.",
)
