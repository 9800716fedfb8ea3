"""Queue, retries and budget."""

from typing import Annotated

from pydantic import Field, StringConstraints

from distillation_api.model import Model


class Queue(Model):
    """Kueue."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=63)]
    """Name of the LocalQueue."""
    topology: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-./A-Za-z0-9]*[A-Za-z0-9])?$", max_length=128)] | (
        None
    ) = None
    """Node label that tells slices apart, as cloud.google.com/gke-nodepool: a level of Kueue's Topology, where its
    ResourceFlavors have one. Kueue then puts each slice of several hosts into one such domain."""
    max_run_duration_seconds: Annotated[int, Field(ge=60, le=604_800)] | None = None
    """For a queue that provisions nodes (DWS flex-start): for how long the nodes are asked for."""
    priority_class: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=63)] | (
        None
    ) = None
    """WorkloadPriorityClass of what is queued."""
    cpu_stages: bool = False
    """Whether stages without accelerator are queued too; the ClusterQueue has to cover cpu and memory."""


class Retries(Model):
    """How often a stage may be tried again."""

    failures: Annotated[int, Field(ge=0, le=100)] = 2
    """Crashes of the program, of each shard of a generation by itself. What can't be mended by trying again (bad
    input) is never retried."""
    disruptions: Annotated[int, Field(ge=0, le=10_000)] = 100
    """Preemptions, evictions, lost nodes: nobody's fault. Those of a generation's shards are added up."""


class Budget(Model):
    """What the job may cost."""

    max_chip_hours: Annotated[float, Field(gt=0, le=10_000_000)]
    """TPU chip-hours of all stages. When they are used the job is suspended, with its work kept; raise it to go on."""
