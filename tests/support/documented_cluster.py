"""The cluster that docs/gke.md tells to make, read out of the page: its commands in their order, and its nodes.

Nodes are what GKE makes of a `gcloud container node-pools create`: labels and the taint of TPUs as in GKE's published
cluster autoscaler, and what is left for pods by the rates of GKE's page "Plan node sizes".
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import yaml

from distillation_api.accelerators import ACCELERATORS
from distillation_api.node_labels import FLEX_START, NODE_POOL, RESERVATION, SPOT

Object = dict[str, Any]
MEBI = 1 << 20
GIBI = 1 << 30
SEEN_OF_MACHINE = 0.97
"""Of a machine's memory the kernel counts about that much: 4 vCPU and 16 GB have 12.87 GiB left on GKE's page."""
EVICTION_THRESHOLD = 100 * MEBI
MEMORY_RATES = ((4, 0.25), (4, 0.20), (8, 0.10), (112, 0.06), (float("inf"), 0.02))
"""GiB, and the share of them that GKE reserves."""
CPU_RATES = ((1, 0.06), (1, 0.01), (2, 0.005), (float("inf"), 0.0025))


@dataclass(frozen=True)
class Machine:
    """A machine type of Compute Engine."""

    cpus: int
    memory_gib: int
    chips: int = 0
    accelerator: str = ""
    topology: str = ""
    """Of a pool of single hosts."""

    def allocatable(self) -> dict[str, str]:
        """What a node has for pods."""
        memory = self.memory_gib * SEEN_OF_MACHINE
        left = int((memory - _reserved(memory, MEMORY_RATES)) * GIBI) - EVICTION_THRESHOLD
        return {
            "cpu": f"{round(1000 * (self.cpus - _reserved(self.cpus, CPU_RATES)))}m",
            "memory": f"{left // 1024}Ki",
            "ephemeral-storage": "43Gi",
            "pods": "110",
            **({"google.com/tpu": str(self.chips)} if self.chips else {}),
        }


def _reserved(amount: float, rates: tuple[tuple[float, float], ...]) -> float:
    reserved = 0.0
    for size, share in rates:
        taken = min(amount, size)
        reserved += taken * share
        amount -= taken
    return reserved


def _of_tpus(accelerator: str, chips: int, topology: str) -> Machine:
    machine = ACCELERATORS[accelerator].machines[chips]
    return Machine(machine.cpus, machine.memory_gb, chips, accelerator, topology)


MACHINES = {
    "e2-medium": Machine(2, 4),
    "e2-standard-4": Machine(4, 16),
    "n2-highmem-16": Machine(16, 128),
    "n2-highmem-32": Machine(32, 256),
    "n2-highmem-128": Machine(128, 864),
    "ct4p-hightpu-4t": _of_tpus("tpu-v4-podslice", 4, "2x2x1"),
    "ct5lp-hightpu-4t": _of_tpus("tpu-v5-lite-podslice", 4, "2x2"),
    "ct5lp-hightpu-8t": _of_tpus("tpu-v5-lite-podslice", 8, "2x4"),
    "ct5p-hightpu-4t": _of_tpus("tpu-v5p-slice", 4, "2x2x1"),
    "ct6e-standard-4t": _of_tpus("tpu-v6e-slice", 4, "2x2"),
    "ct6e-standard-8t": _of_tpus("tpu-v6e-slice", 8, "2x4"),
}


@dataclass(frozen=True)
class NodePool:
    """One pool, at its largest."""

    name: str
    machine_type: str
    nodes: int
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[tuple[str, str, str], ...] = ()

    @property
    def machine(self) -> Machine:
        """The machine of each node."""
        return MACHINES[self.machine_type]

    @property
    def is_one_slice(self) -> bool:
        """Whether its nodes are the hosts of one slice."""
        return self.machine.chips > 0 and self.labels["cloud.google.com/gke-tpu-topology"] != self.machine.topology

    def manifests(self) -> Iterator[Object]:
        """Its nodes, as the API server has them."""
        for index in range(self.nodes):
            name = f"gke-distill-{self.name}-{index}"
            taints = [{"key": key, "value": value, "effect": effect} for key, value, effect in self.taints]
            yield {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": {**self.labels, "kubernetes.io/hostname": name}},
                "spec": {"taints": taints},
                "status": {
                    "capacity": self.machine.allocatable(),
                    "allocatable": self.machine.allocatable(),
                    "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
                },
            }


def node_pool(command: str) -> NodePool:
    """What `gcloud container clusters create` makes as its first pool, or `node-pools create` as another one."""
    words = shlex.split(command)
    kind, name = words[2], words[4]
    given = {"machine-type": "e2-medium", "num-nodes": "3", **dict(_flags(words[5:]))}
    known = {"cluster", "location", "node-locations", "machine-type", "tpu-topology", "num-nodes", "min-nodes",
             "max-nodes", "enable-autoscaling", "spot", "reservation", "reservation-affinity", "disk-size",
             "workload-pool", "addons", "release-channel", "node-labels", "node-taints", "flex-start"}  # fmt: skip
    assert not given.keys() - known, f"{command}: what does it make of the nodes?"
    pool = "default-pool" if kind == "clusters" else name
    machine = MACHINES[given["machine-type"]]
    labels = {
        NODE_POOL: pool,
        "node.kubernetes.io/instance-type": given["machine-type"],
        **dict(label.split("=", 1) for label in given.get("node-labels", "").split(",") if label),
    }
    taints = []
    if machine.chips:
        labels |= {
            "cloud.google.com/gke-tpu-accelerator": machine.accelerator,
            "cloud.google.com/gke-tpu-topology": given.get("tpu-topology", machine.topology),
            "cloud.google.com/gke-accelerator-count": str(machine.chips),
        }
        taints.append(("google.com/tpu", "present", "NoSchedule"))
    for flag, label in (("spot", SPOT), ("flex-start", FLEX_START)):
        if flag in given:
            labels[label] = "true"
    if "reservation" in given:
        labels[RESERVATION] = given["reservation"]
    for taint in filter(None, given.get("node-taints", "").split(",")):
        key, value, effect = re.split("[=:]", taint)
        taints.append((key, value, effect))
    nodes = int(given.get("max-nodes") or given["num-nodes"])
    return NodePool(pool, given["machine-type"], nodes, labels, tuple(taints))


def _flags(words: list[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        name, _, value = word.removeprefix("--").partition("=")
        yield name, value


def steps(page: Path) -> Iterator[tuple[str, str]]:
    """The language and the text of each command and each manifest of the page, in its order."""
    for language, text in re.findall(r"^```(bash|yaml)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        if language == "yaml":
            yield language, text
            continue
        for line in re.sub(r"\\\n\s*", "", text).splitlines():
            if line.strip() and not line.startswith("#"):
                yield language, line.strip()


def node_pools(page: Path) -> list[NodePool]:
    """All pools that the page's commands make."""
    wanted = re.compile(r"gcloud container (clusters|node-pools) create ")
    return [node_pool(text) for language, text in steps(page) if language == "bash" and wanted.match(text)]


def documents(text: str) -> list[Object]:
    """The objects of a manifest that Kubernetes would take as they are."""
    return [one for one in yaml.safe_load_all(text) if isinstance(one, dict) and "apiVersion" in one]


def is_whole_slice(pool: NodePool) -> bool:
    """Whether a pool of several hosts has just those of its topology."""
    topology = pool.labels["cloud.google.com/gke-tpu-topology"]
    return pool.nodes * pool.machine.chips == prod(int(side) for side in topology.split("x"))
