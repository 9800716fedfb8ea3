"""Ends of an attempt after which the stage is tried again."""

from distillation_api.reasons.reason import Cost, ProgramReason, Reason


def _reason(name: str, meaning: str, remedy: str) -> ProgramReason:
    return ProgramReason(name, meaning, remedy, Cost.RETRIED)


def _away(name: str, meaning: str, remedy: str) -> ProgramReason:
    return ProgramReason(name, meaning, remedy, Cost.AWAY)


ACCELERATOR_BUSY = ProgramReason(
    "AcceleratorBusy",
    "A killed process still holds the accelerator.",
    "Nothing: it is free within minutes, and the stage is tried again after one.",
    Cost.DISRUPTION,
)

PEER_LOST = ProgramReason(
    "PeerLost",
    "A host of the training lost its connection to another one, which tells nothing itself. Within the first ten "
    "minutes it counts as a failure, unless the other's node doesn't answer.",
    "Nothing: training goes on from the newest checkpoint. If it lasts, look at the nodes and at the logs of the other "
    "hosts, and whether a NetworkPolicy lets pods of one job talk to each other.",
    Cost.DISRUPTION,
)
SLICE_FAILED = ProgramReason(
    "SliceFailed",
    "The slice's hardware or its interconnect failed; the message has libtpu's words.",
    "Nothing, once. If it lasts on the same nodes, have them repaired or replaced.",
    Cost.DISRUPTION,
)

BUCKET_UNAVAILABLE = _away(
    "BucketUnavailable",
    "The bucket's service doesn't answer.",
    "If it lasts, check the pod's network and the credentials of its service account.",
)
DOWNLOAD_CORRUPT = _reason(
    "DownloadCorrupt",
    "A file arrived damaged; it is downloaded again.",
    "If it lasts, look for a proxy that changes downloads.",
)
ENGINE_HANGS = _reason(
    "EngineHangs",
    "vLLM made no step for half an hour. Finished chunks are kept.",
    "If it lasts, look at the pod's log and the health of its node.",
)
HUB_UNAVAILABLE = _away(
    "HubUnavailable",
    "The Hub doesn't answer, or asks for fewer requests.",
    "If it lasts, check the pod's way to the Hub, or copy the data into the storage.",
)
INPUT_MISSING = _reason(
    "InputMissing",
    "A marker of an input isn't there (yet).",
    "If it lasts, somebody has removed the input from the storage: make a new DistillationJob, which makes it again.",
)
INTERRUPTED = _reason(
    "Interrupted",
    "Another host of the slice was terminated; what was trained is saved.",
    "Nothing: training goes on from the newest checkpoint.",
)
MAX_TEXT_FAILED = _reason(
    "MaxTextFailed",
    "MaxText crashed; its last error is in the message.",
    "If it lasts, mend what the error names; the pod's log has all of it.",
)
NO_TRAINING_STEPS = _reason(
    "NoTrainingSteps",
    "MaxText ended well without a single step.",
    "If it lasts, look in the pod's log for what ended MaxText's data.",
)
NOT_ENOUGH_MEMORY = _reason(
    "NotEnoughMemory",
    "Other pods hold the node's memory.",
    "If it lasts, raise `generation.resources.memory`, so that the pod gets a node with room.",
)
OUT_OF_HOST_MEMORY = _reason(
    "OutOfHostMemory",
    "The trainer was killed for its memory, or got none.",
    "Raise `training.resources.memory`, or lower `perDeviceBatchSize` or `maxTargetLength`.",
)
PROGRAM_CRASHED = _reason(
    "ProgramCrashed",
    "The program crashed; the error is in the message.",
    "If it lasts, report it with the pod's log.",
)
STOPPED_EARLY = _reason(
    "StoppedEarly",
    "MaxText ended well before the last step. The next attempt goes on from its newest checkpoint.",
    "If it lasts, look in the pod's log for what ended MaxText's data.",
)
STORAGE_FAILED = _away(
    "StorageFailed",
    "The storage failed at reading or writing.",
    "If it lasts, check the bucket or the volume, and the sidecar that mounts it.",
)
STORAGE_FULL = _reason(
    "StorageFull",
    "The storage has no room.",
    "Make room, or take a larger volume.",
)

CHILD_FAILED = Reason(
    "ChildFailed",
    "Its Job or JobSet failed and no pod tells why, or its pod was removed after it had ended.",
    "Look at the Job's Events; its message is Kubernetes' own.",
    Cost.RETRIED,
)
NODE_REFUSES_POD = Reason(
    "NodeRefusesPod",
    "The node didn't take a pod that was scheduled there; the message is the kubelet's.",
    "Nothing, once: a device plugin or room may be missing for a while. If it lasts, look at the node that "
    "`lastFailures` names.",
    Cost.DISRUPTION,
)
POD_FAILED = Reason(
    "PodFailed",
    "A pod failed without a verdict of its program; exit code and last words are in the message.",
    "Read the last words; exit code 137 asks for more memory.",
    Cost.RETRIED,
)
POD_DELETED = Reason(
    "PodDeleted",
    "A pod was deleted, not evicted, before its program had ended: by somebody, or by a controller that is no part of "
    "Kubernetes.",
    "Nothing: the next attempt goes on from what was saved. If it lasts, look in the audit log for who deletes it.",
    Cost.RETRIED,
)
POD_DISRUPTED = Reason(
    "PodDisrupted",
    "Preemption, eviction or the loss of its node took a pod away; the message has the pod's own condition.",
    "Nothing, until `retries.disruptions` is used up: then raise it, or take other nodes.",
    Cost.DISRUPTION,
)
RESULT_LOST = Reason(
    "ResultLost",
    "Its Job is complete, but the result can't be read any more.",
    "Nothing: it is started again and finds its work done.",
    Cost.RETRIED,
)
