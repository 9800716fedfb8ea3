"""What one installation gives every pod of a stage: disk of its node, time, a sidecar's share, a cache."""

from typing import Annotated

from pydantic import Field

from distillation_api.model import Model
from distillation_api.spec.types import Quantity
from distillation_operator.manifests.security_profiles import Profile


class GcsFuseLimits(Model):
    """Limits of the GCS FUSE sidecar; 0 is none."""

    # The driver's own defaults are for small files; checkpoints of gigabytes need more, or the mount breaks ("Transport
    # endpoint is not connected").
    cpu: Quantity = "0"
    """CPU."""
    memory: Quantity = "0"
    """Memory."""
    ephemeral_storage: Quantity = "0"
    """Disk of the node, where files are kept while they are written."""


class StagePods(Model):
    """Settings of all pods of stages."""

    accelerator_profile: Profile = "Restricted"
    """What pods with chips may do; the others are restricted."""
    scratch_limit: Quantity | None = None
    """Disk of the node that a pod may use, its scratch folder and log together; None: no limit."""
    deadline_seconds: Annotated[int, Field(ge=60, le=31_536_000)] | None = None
    """Seconds that one pod may run; it fails after them, which counts as a crash. Time in a queue and until it is
    scheduled doesn't count. None: no limit."""
    log_tails: bool = True
    """Whether the last words of a program that crashes go into the status; they may quote rows of the dataset."""
    shared_compile_cache: bool = False
    """Whether compiled programs are kept in the storage, below the job's prefix, and loaded from there."""
    weights_cache_percent: Annotated[int, Field(ge=0, le=60)] = 40
    """Of a TPU VM's memory what may cache files of a bucket; 0: no cache."""
    gcs_fuse: GcsFuseLimits = GcsFuseLimits()
    """The sidecar of pods whose storage is a bucket."""
