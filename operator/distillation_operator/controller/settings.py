"""Settings of one operator process."""

from dataclasses import dataclass, field
from typing import Literal

from distillation_operator.manifests.settings import Installation


@dataclass(frozen=True)
class ControllerSettings:
    """What the command line says."""

    namespaces: tuple[str, ...] = ()
    """Namespaces that are watched; all when empty."""
    installation: Installation = field(default_factory=Installation)
    kubeconfig: str | None = None
    """Path; the usual places and the pod's ServiceAccount when None."""
    log_format: Literal["json", "text"] = "json"
    resync_seconds: float = 600.0
    """Every job is looked at again after so long, whatever was heard."""
    workers: int = 16
    """Jobs that are reconciled at the same time."""
    port: int | None = None
    """Port of /healthz, /readyz and /metrics; none when None."""
    lease: tuple[str, str] | None = None
    """Namespace and name of the Lease by which one replica leads; None for a single replica."""
