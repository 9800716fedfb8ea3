"""Where everything lives: the checkout, the cache that outlives testbeds, and one folder per testbed."""

from dataclasses import dataclass
from pathlib import Path

from distillation_operator.local.cache import cache, locked

__all__ = ["CHECKOUT", "SOURCES", "RunFolder", "build_log", "cache", "locked"]

CHECKOUT = Path(__file__).resolve().parents[1]
SOURCES = Path(__file__).resolve().parent


def build_log(kind: str) -> Path:
    """The log of what is built or installed of a kind (go, debian, python); its folder exists."""
    log = cache() / "logs" / f"{kind}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    return log


@dataclass(frozen=True)
class RunFolder:
    """The folder of one testbed. `down` removes it."""

    name: str

    @property
    def path(self) -> Path:
        """The folder itself."""
        return CHECKOUT / "build" / "testbed" / self.name

    @property
    def state(self) -> Path:
        """Depth, address and namespace of the testbed that is up."""
        return self.path / "testbed.json"

    @property
    def lock(self) -> Path:
        """Held while the testbed goes up or down; next to the folder, because the folder comes and goes."""
        return self.path.with_name(f".{self.name}.lock")

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; its certificates are inside it."""
        return self.path / "kubeconfig"

    @property
    def kubectl(self) -> Path:
        """A kubectl of the cluster's own version."""
        return self.path / "bin" / "kubectl"

    @property
    def pki(self) -> Path:
        """Certificates, keys and the components' kubeconfigs."""
        return self.path / "pki"

    @property
    def config(self) -> Path:
        """Configuration files of the components."""
        return self.path / "config"

    @property
    def storage(self) -> Path:
        """The folder behind the PersistentVolumes."""
        return self.path / "storage"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, one JSON object a line."""
        return self.path / "audit.log"

    def log(self, component: str) -> Path:
        """A component's standard output and error."""
        return self.path / "log" / f"{component}.log"

    def pid(self, component: str) -> Path:
        """A component's process id, as the host sees it."""
        return self.path / "pid" / component
