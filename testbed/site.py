"""What a testbed's components are configured from: its folder, its address and the namespace they run in."""

import json
from dataclasses import dataclass
from enum import StrEnum

from testbed.api import Api
from testbed.layout import RunFolder
from testbed.namespace import Namespace
from testbed.network import Subnet
from testbed.pki import Pki


class Depth(StrEnum):
    """How much of a cluster there is."""

    CONTROL_PLANE = "control-plane"
    """etcd, API server, controller manager, scheduler and JobSet: objects are real, pods never run."""

    FULL = "full"
    """The same with a node: pods run."""


@dataclass(frozen=True)
class Site:
    """One testbed that is up, as its state file describes it."""

    folder: RunFolder
    depth: Depth
    subnet: Subnet
    namespace: Namespace

    @classmethod
    def load(cls, folder: RunFolder) -> "Site | None":
        """The testbed of this folder, or None if nothing was started there."""
        try:
            state = json.loads(folder.state.read_text())
        except FileNotFoundError:
            return None
        namespace = Namespace(state["init"], state["identity"])
        return cls(folder, Depth(state["depth"]), Subnet(state["slot"]), namespace)

    def save(self) -> None:
        """Write the state file."""
        state = {"depth": self.depth, "slot": self.subnet.slot,
                 "init": self.namespace.init, "identity": self.namespace.identity}  # fmt: skip
        self.folder.state.write_text(json.dumps(state) + "\n")

    @property
    def server(self) -> str:
        """The API server's URL, the same from the host and from inside."""
        return f"https://{self.subnet.inside}:6443"

    @property
    def cgroup(self) -> str:
        """The cgroup of this testbed's pods."""
        return self.subnet.link

    @property
    def pki(self) -> Pki:
        """The certificates."""
        return Pki(self.folder.pki)

    @property
    def api(self) -> Api:
        """A client with the administrator's rights."""
        return Api(self.server, self.pki)

    def write_kubeconfigs(self) -> None:
        """Write the administrator's kubeconfig and those of the components."""
        context = f"testbed-{self.folder.name}"
        self.folder.config.mkdir(parents=True, exist_ok=True)
        for client in ("kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "jobset", "kueue"):
            file = self.folder.config / f"{client}.kubeconfig"
            file.write_text(self.pki.kubeconfig(client, self.server, context))
        self.folder.kubeconfig.write_text(self.pki.kubeconfig("admin", self.server, context))
        self.folder.kubeconfig.chmod(0o600)

    def kubeconfig_of(self, component: str) -> str:
        """The path of a component's kubeconfig."""
        return str(self.folder.config / f"{component}.kubeconfig")
