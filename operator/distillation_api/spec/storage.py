"""The one place where all stages read and write, and the token for the Hub."""

from typing import Annotated, ClassVar

from pydantic import StringConstraints

from distillation_api.cel import Rule, exactly_one_of
from distillation_api.model import Model
from distillation_api.spec.stage_folders import outside_stage_folders
from distillation_api.spec.types import Prefix


class SecretKey(Model):
    """A key of a Secret in the DistillationJob's namespace."""

    secret_name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)]
    """Name of the Secret."""
    key: Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]
    """Key inside the Secret."""


class GcsBucket(Model):
    """A bucket, mounted by the GCS FUSE CSI driver."""

    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][-_.a-z0-9]{1,220}[a-z0-9]$", max_length=222)]
    """Name of the bucket, without gs://."""


class PersistentVolumeClaim(Model):
    """A claim in the DistillationJob's namespace; pods on several nodes need ReadWriteMany."""

    claim_name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)]
    """Name of the claim."""


class Storage(Model):
    """The one place where all stages read and write. Exactly one of gcs and persistentVolumeClaim."""

    gcs: GcsBucket | None = None
    """A bucket."""
    persistent_volume_claim: PersistentVolumeClaim | None = None
    """A claim."""
    prefix: Prefix = "distillation"
    """Folder of the stages' outputs inside the storage. Jobs with the same prefix share finished work."""

    rules: ClassVar[list[Rule]] = [
        exactly_one_of("gcs", "persistentVolumeClaim"),
        outside_stage_folders("prefix", "give another one, such as teams/NAME"),
    ]
