"""Why a stage waits. Why a pod that exists doesn't run is told in Kubernetes' own words (``waiting_pods``)."""

from distillation_api.reasons.reason import Cost, ProgramReason, Reason


def _reason(name: str, meaning: str, remedy: str) -> Reason:
    return Reason(name, meaning, remedy, Cost.WAITING)


INPUTS_MISSING = _reason(
    "InputsMissing",
    "It reads what other stages make; they are named.",
    "Wait for them.",
)
PREVIEW_HOLDS = _reason(
    "PreviewHolds",
    "The preview is complete, and `preview.then` is Stop.",
    "Set it to Continue, or remove `preview`, to go on.",
)
PREVIEW_REMOVED = _reason(
    "PreviewRemoved",
    "A stage of a preview that isn't asked for any more, or was asked for after the real work had begun.",
    "Nothing.",
)
CREATED = _reason(
    "Created",
    "Its Job or JobSet was created; no pod is there yet.",
    "Wait.",
)
PODS_REFUSED = _reason(
    "PodsRefused",
    "The API server refuses its pods; the message is the server's.",
    "Mend what it names (no such ServiceAccount or PriorityClass, a quota, a policy of the namespace, a Pod Security "
    "level that refuses the installation's profile); the job then goes on by itself.",
)
PODS_STARTING = _reason(
    "PodsStarting",
    "Its pods exist and none runs yet.",
    "Wait; a node may have to be made.",
)
WAITS_FOR_QUOTA = _reason(
    "WaitsForQuota",
    "Kueue holds it; the message is Kueue's.",
    "Wait, or give the queue more quota; where there is no Workload, make the class that is named, or start Kueue.",
)
JOB_SUSPENDED = _reason(
    "JobSuspended",
    "The job is suspended; finished work is kept.",
    "Look at the job's condition Suspended.",
)
JOB_FAILED = _reason(
    "JobFailed",
    "Another stage has failed.",
    "Mend that one, and use the annotation `distillation.dev/retry`.",
)
PREDECESSOR_RUNS = _reason(
    "PredecessorRuns",
    "A pod of an earlier attempt is still there and might write.",
    "Wait; if its node is lost, delete the node object.",
)
RETRIED_BY_USER = _reason(
    "RetriedByUser",
    "The annotation `distillation.dev/retry` was honoured.",
    "Wait.",
)
CHILD_DELETED = _reason(
    "ChildDeleted",
    "Somebody deleted its Job or JobSet.",
    "Wait; it is created again when that one is gone.",
)
NAME_TAKEN = _reason(
    "NameTaken",
    "An object of that name exists that isn't ours.",
    "Delete or rename it; the job then goes on by itself.",
)
JOB_SET_MISSING = _reason(
    "JobSetMissing",
    "The cluster has no JobSet controller.",
    "Install it; the job then goes on by itself.",
)
QUOTA_EXCEEDED = _reason(
    "QuotaExceeded",
    "A ResourceQuota refuses its Job.",
    "Make room or raise the quota; the job then goes on by itself.",
)
FORBIDDEN = _reason(
    "Forbidden",
    "The operator may not create its Job or JobSet; the message is the API server's.",
    "Give the operator the chart's role, or mend the policy that refuses.",
)
CHILD_INVALID = _reason(
    "ChildInvalid",
    "The API server finds its Job or JobSet invalid; the message is the server's.",
    "Correct the value that it names, in a new DistillationJob; if it is none of the spec, report it.",
)
API_SERVER_UNREACHABLE = _reason(
    "ApiServerUnreachable",
    "The API server didn't answer when its Job or JobSet was to be created.",
    "Wait; it is tried again.",
)
CREATE_FAILED = _reason(
    "CreateFailed",
    "The API server refuses its Job or JobSet; the message is the server's.",
    "Mend what it names, for example a webhook; the job then goes on by itself.",
)
LOCAL_ENDED = _reason(
    "LocalEnded",
    "The `distillation-operator local` that worked at it was ended; what was saved is kept.",
    "Give the same command again: it goes on.",
)
WAITS_FOR_OTHER_JOB = ProgramReason(
    "WaitsForOtherJob",
    "Another DistillationJob, of this cluster or of another one with the same storage, works at the same stage. What "
    "it makes is taken when it is done.",
    "Wait, or give one of the jobs another `storage.prefix`. One that is killed without a word holds its claim for two "
    "minutes.",
    Cost.WAITING,
)
