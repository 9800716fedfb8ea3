"""A slice of several hosts on one node pool: on GKE a pool of several hosts is one slice, and the label of its pool is
all that tells the hosts of one from those of another.

JobSet's annotation exclusive-topology isn't used. By it the pods of a slice but the first are refused until it has
a node, so that the autoscaler sees one pod where a pool of four has to grow from zero; and a finished pod keeps others
out. Kubernetes' own affinity has neither fault: all pods are there at once, the first may go to any pool that it could
have to itself, and the others follow it.
"""

from typing import Any

from distillation_api.node_labels import NODE_POOL
from distillation_api.spec import Queue
from distillation_operator.manifests.reading import JOBSET_NAME_LABEL

JOB_KEY = "jobset.sigs.k8s.io/job-key"
"""Label that JobSet puts on pods: one value for each slice of each attempt."""
SLICE_TOPOLOGY = "kueue.x-k8s.io/podset-slice-required-topology"
SLICE_SIZE = "kueue.x-k8s.io/podset-slice-size"

Object = dict[str, Any]


def keep_slices_together(template: Object, hosts: int, queue: Queue | None) -> None:
    """Add to a pod template what puts the pods of each slice, ``hosts`` of them, on a pool without another slice."""
    template["spec"]["affinity"] = {
        "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_pods_of_jobsets("matchLabelKeys")]},
        # Two slices that begin at once would each hold a part of the pool, and wait for the rest for ever.
        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_pods_of_jobsets("mismatchLabelKeys")]},
    }
    if queue is not None and queue.topology is not None:
        # Kueue chooses the nodes before there are pods, and has to know what the scheduler will ask for.
        annotations = template["metadata"].setdefault("annotations", {})
        annotations.update({SLICE_TOPOLOGY: queue.topology, SLICE_SIZE: str(hosts)})


def _pods_of_jobsets(compared: str) -> Object:
    """Pods on the same pool, of all namespaces, whose slice is compared with the pod's own."""
    return {
        "topologyKey": NODE_POOL,
        "namespaceSelector": {},
        "labelSelector": {"matchExpressions": [{"key": JOBSET_NAME_LABEL, "operator": "Exists"}]},
        compared: [JOB_KEY],
    }
