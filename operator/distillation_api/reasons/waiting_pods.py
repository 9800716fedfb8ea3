"""Why a pod that exists doesn't run, in the words of Kubernetes' own parts, which are shown as they are. Those that are
met most stand here; any other Warning about a pod that doesn't start is shown likewise.
"""

from distillation_api.reasons.reason import Cost, Reason


def _reason(name: str, meaning: str, remedy: str) -> Reason:
    return Reason(name, meaning, remedy, Cost.WAITING)


UNSCHEDULABLE = _reason(
    "Unschedulable",
    "No node fits one of its pods; the message is the scheduler's, and the autoscaler's where it has failed.",
    "Wait for a node that is being made. Else compare what the message names (resources, selectors, taints, a claim) "
    "with the nodes; where the autoscaler tells of stock or quota, take another zone, `provisioning` or reservation.",
)
SCHEDULING_GATED = _reason(
    "SchedulingGated",
    "A gate keeps one of its pods from the scheduler, such as a queue's or the scan of a bucket by GCS FUSE.",
    "Look at `spec.schedulingGates` of the pod, and at whose gate it is.",
)
ERR_IMAGE_PULL = _reason(
    "ErrImagePull",
    "An image of one of its pods can't be pulled; the message is the container runtime's.",
    "Correct the image in the operator's values, let the nodes reach the registry, or name a Secret in "
    "`pod.imagePullSecrets`; the job then goes on by itself.",
)
IMAGE_PULL_BACK_OFF = _reason(
    "ImagePullBackOff",
    "As ErrImagePull; the next try comes in up to five minutes.",
    "As for ErrImagePull.",
)
INVALID_IMAGE_NAME = _reason(
    "InvalidImageName",
    "The name of an image is none.",
    "Correct the image in the operator's values, and delete the Job or JobSet: it is created again.",
)
ERR_IMAGE_NEVER_PULL = _reason(
    "ErrImageNeverPull",
    "The image isn't on the node, and a policy forbids to pull it.",
    "Load the image onto the nodes, or mend the policy that sets `imagePullPolicy: Never`.",
)
CREATE_CONTAINER_CONFIG_ERROR = _reason(
    "CreateContainerConfigError",
    "A container asks for what isn't there, such as a Secret or one of its keys.",
    "Create what the message names; the job then goes on by itself.",
)
CREATE_CONTAINER_ERROR = _reason(
    "CreateContainerError",
    "The container runtime can't make a container; the message is its own.",
    "If it lasts, look at the health of the node, or delete the pod.",
)
RUN_CONTAINER_ERROR = _reason(
    "RunContainerError",
    "The container runtime can't start a container; the message is its own.",
    "Correct what the message names, such as a command that the image lacks: it is another image than the operator's.",
)
CRASH_LOOP_BACK_OFF = _reason(
    "CrashLoopBackOff",
    "A container beside the program, such as the sidecar of GCS FUSE, crashes again and again; the message has its "
    "last words.",
    "Mend what its last words name: permissions of the pod's service account on the bucket, its limits of memory, or "
    "the webhook that injects it.",
)
CONTAINER_CRASHED = _reason(
    "ContainerCrashed",
    "A container beside the program has ended with an error; the message has its last words.",
    "As for CrashLoopBackOff. One that isn't started again leaves the program without its files: it then fails, and is "
    "tried again.",
)
FAILED_MOUNT = _reason(
    "FailedMount",
    "A volume of one of its pods can't be mounted; the message is the kubelet's or the driver's.",
    "By what the message names: create the Secret, claim or bucket; give the pod's service account its roles on the "
    "bucket; enable the CSI driver on the node. The kubelet tries again by itself, in up to two minutes.",
)
FAILED_MAP_VOLUME = _reason(
    "FailedMapVolume",
    "A block volume of one of its pods can't be mapped; the message is the kubelet's or the driver's.",
    "As for FailedMount; the storage has to be a file system.",
)
FAILED_ATTACH_VOLUME = _reason(
    "FailedAttachVolume",
    "A volume can't be attached to the node, for example since another node holds it.",
    "End the pod that holds it. With more pods than one (shards, hosts, stages beside each other) the claim must be "
    "ReadWriteMany.",
)
FAILED_CREATE_POD_SANDBOX = _reason(
    "FailedCreatePodSandBox",
    "The container runtime can't make the pod's sandbox; often its network has no address left or isn't ready.",
    "If it lasts, look at the node's network plugin and at the range of pod addresses, or drain the node.",
)
NETWORK_NOT_READY = _reason(
    "NetworkNotReady",
    "The network of the pod's node isn't ready.",
    "Wait for a new node; if it lasts, look at the node's network plugin.",
)
FAILED_SCALE_UP = _reason(
    "FailedScaleUp",
    "The autoscaler could make no node for one of its pods; told with Unschedulable.",
    "As for Unschedulable.",
)
SLICE_ERROR_DETECTED = _reason(
    "SliceErrorDetected",
    "A node of a running pod tells of an error of its slice; the message is libtpu's.",
    "Nothing at first: the attempt fails, and the next one goes on from the newest checkpoint. If it stands still, "
    "drain the node; if it comes again on the same nodes, have them repaired or replaced.",
)
MEGASCALE_HANG_DETECTED = _reason(
    "MegascaleHangDetected",
    "A node of a running pod tells that the slices of the training hang; the message is libtpu's.",
    "If `progress` stands still, drain one of the nodes: the attempt ends as a disruption, and the next one goes on "
    "from the newest checkpoint. If it lasts, look at the network between the slices.",
)
NODE_MAINTENANCE = _reason(
    "NodeMaintenance",
    "The node of a running pod is being maintained, or is about to be terminated: its pods are told to end.",
    "Nothing: what was saved is kept, the attempt counts as a disruption, and the next one waits for a node.",
)
MAINTENANCE_SCHEDULED = _reason(
    "MaintenanceScheduled",
    "Maintenance of the node of a running pod is scheduled; the message has the time. All pods of its slice end then.",
    "Nothing: training goes on from its newest checkpoint, generation after its last whole chunk.",
)
NODE_NOT_READY = _reason(
    "NodeNotReady",
    "The node of a running pod doesn't answer. Kubernetes takes its pods away after some minutes.",
    "Wait for the node, or delete the Node object: then the next attempt starts.",
)
