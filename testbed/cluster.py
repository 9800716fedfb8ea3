"""One testbed: bringing it up, taking it down, and breaking parts of it on purpose.

`up` starts what isn't running and waits for all of it, so it can be repeated at any time; what can't be continued
(a namespace that ended, after a reboot for example) is removed first. `down` leaves nothing behind.
"""

import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from testbed import (
    binaries,
    cgroups,
    control_plane,
    environments,
    images,
    jobset,
    kueue,
    machine,
    network,
    node,
    storage,
    toolchain,
    upstream,
)
from testbed.components import Component, Processes
from testbed.console import Say, silence
from testbed.errors import TestbedError
from testbed.layout import RunFolder, locked
from testbed.namespace import Namespace
from testbed.site import Depth, Site

_CONTROL_PLANE: dict[str, Callable[[Site], Component]] = {
    "etcd": control_plane.etcd,
    "kube-apiserver": control_plane.apiserver,
    "kube-controller-manager": control_plane.controller_manager,
    "kube-scheduler": control_plane.scheduler,
    "jobset": jobset.controller,
}
_NODE: dict[str, Callable[[Site], Component]] = {
    "containerd": node.containerd,
    "kubelet": node.kubelet,
    "kube-proxy": node.proxy,
    "coredns": node.dns,
}
_ON_DEMAND: dict[str, Callable[[Site], Component]] = {"kueue": kueue.controller}


class Testbed:
    """A testbed by name. Making this object starts nothing.

    `depth` is what `up` makes; a testbed that is up keeps the depth it has. `images` are those of which pods will run;
    `up` builds their environments.
    """

    __test__ = False

    def __init__(
        self,
        name: str | None = None,
        depth: Depth = Depth.FULL,
        say: Say = silence,
        images: Sequence[str] = environments.NAMES,
    ) -> None:
        self._depth = depth
        self._images = images
        self._say = say
        self._folder = RunFolder(name or depth)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; works from the host and from inside."""
        return self._folder.kubeconfig

    @property
    def kubectl(self) -> Path:
        """A kubectl of the cluster's version."""
        return self._folder.kubectl

    @property
    def storage(self) -> Path:
        """The host's folder behind all claims."""
        return self._folder.storage

    @property
    def audit_log(self) -> Path:
        """The API server's audit log at level Metadata, one JSON object a line."""
        return self._folder.audit_log

    @property
    def site(self) -> Site:
        """What is up now; raises if nothing is."""
        site = Site.load(self._folder)
        if site is None or not site.namespace.alive():
            raise TestbedError(f"testbed {self._folder.name} isn't up")
        return site

    @property
    def components(self) -> list[str]:
        """The names that `alive`, `kill` and `restart` take."""
        return list(_components(self.site.depth))

    @property
    def parts(self) -> list[str]:
        """The parts of the toolchain that `up` builds."""
        return ["control-plane", *(["node", *self._images] if self._depth is Depth.FULL else [])]

    def up(self) -> None:
        """Build what is missing, start what isn't running, wait for all of it."""
        check_machine()
        with locked(self._folder.lock):
            site = self._site_to_continue()
            toolchain.build(self._say, self.parts)
            self._start(site or self._new_site())

    def down(self, keep_storage: bool = False) -> None:
        """End and remove everything; does nothing if there is nothing."""
        check_machine()
        with locked(self._folder.lock):
            self._remove(keep_storage)

    def alive(self, component: str) -> bool:
        """Whether a component's process runs; false too when the testbed isn't up."""
        site = Site.load(self._folder)
        return site is not None and Processes(site).alive(_known(component))

    def pid(self, component: str) -> int | None:
        """A component's pid as the host sees it."""
        return self._processes().pid(_known(component))

    def log(self, component: str) -> Path:
        """A component's log."""
        return self._folder.log(_known(component))

    def kill(self, component: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to a component."""
        self._processes().kill(_known(component), number)

    def restart(self, component: str) -> float:
        """Stop a component if it runs, start it, wait until it works, and return the seconds from start to working."""
        processes = self._processes()
        processes.stop(_known(component))
        made = (_components(processes.site.depth) | _ON_DEMAND)[component](processes.site)
        processes.start(made)
        return processes.wait(made)

    def add_kueue(self) -> None:
        """Install Kueue and start its controller, unless it runs; it goes down with the rest."""
        processes = self._processes()
        toolchain.build(self._say, ["kueue"])
        upstream.install(processes.site, binaries.KUEUE, kueue.WEBHOOKS)
        made = kueue.controller(processes.site)
        processes.start(made)
        processes.wait(made)

    def load_images(self) -> list[str]:
        """Make the images again from the checkout as it is now; returns their full names."""
        site = self.site
        if site.depth is not Depth.FULL:
            raise TestbedError(f"testbed {self._folder.name} has no node, so no images")
        return images.load(site)

    def claim(self, namespace: str, name: str) -> Path:
        """Make a namespace and a bound claim in it; returns the host's folder behind it."""
        return storage.provide(self.site, namespace, name)

    def node_ready(self) -> bool:
        """Whether the node is Ready."""
        return node.ready(self.site)

    def _processes(self) -> Processes:
        return Processes(self.site)

    def _site_to_continue(self) -> Site | None:
        site = Site.load(self._folder)
        if site is None or not site.namespace.alive():
            self._remove(keep_storage=True)
            return None
        if site.depth is not self._depth:
            raise TestbedError(f"testbed {self._folder.name} is up with depth {site.depth}: take it down first")
        return site

    def _new_site(self) -> Site:
        folder = self._folder
        for path in (folder.path / "log", folder.storage, folder.kubectl.parent):
            path.mkdir(parents=True, exist_ok=True)
        folder.storage.chmod(0o777)
        folder.kubectl.symlink_to(binaries.KUBE.path)
        namespace = Namespace.create(folder.path / "namespace-ready", folder.state, folder.log("namespace"))
        try:
            site = Site(folder, self._depth, network.connect(namespace, str(folder.path)), namespace)
            # From here on `down` finds everything.
            site.save()
        except BaseException:
            namespace.end()
            raise
        self._say(f"namespace {namespace.init} at {site.subnet.inside}")
        site.pki.create(site.subnet.inside)
        site.write_kubeconfigs()
        self._say("certificates")
        return site

    def _start(self, site: Site) -> None:
        made = {name: make(site) for name, make in _components(site.depth).items()}
        processes = Processes(site)

        def start(*names: str) -> None:
            stopped = [name for name in names if not processes.alive(name)]
            if stopped:
                self._say(f"starting {', '.join(stopped)}")
            for name in stopped:
                processes.start(made[name])

        def wait(*names: str) -> None:
            for name in names:
                processes.wait(made[name])
                self._say(f"{name} works")

        full = site.depth is Depth.FULL
        start("etcd", "kube-apiserver")
        if full:
            # The API server takes longest, so the images are imported meanwhile.
            cgroups.create(site.cgroup)
            start("containerd")
            wait("containerd")
            images.load(site)
            self._say("images imported")
        wait("etcd", "kube-apiserver")
        start("kube-controller-manager", "kube-scheduler")
        if full:
            start("kubelet", "kube-proxy", "coredns")
        upstream.install(site, binaries.JOBSET, jobset.WEBHOOKS)
        start("jobset")
        wait(*(name for name in made if name not in ("containerd", "etcd", "kube-apiserver")))
        self._say(f"testbed {self._folder.name} is up: {site.server}, kubeconfig {self.kubeconfig}")

    def _remove(self, keep_storage: bool) -> None:
        site = Site.load(self._folder)
        if site is not None:
            site.namespace.end()
            self._say("processes and mounts ended")
            network.disconnect(site.subnet)
            cgroups.remove(site.cgroup)
        if self._folder.path.exists():
            for entry in self._folder.path.iterdir():
                if not (keep_storage and entry == self._folder.storage):
                    _delete(entry)
            if not keep_storage:
                self._folder.path.rmdir()
            self._say("run folder removed" + (", storage kept" if keep_storage else ""))


def check_machine() -> None:
    """Refuse early, and in one line each, what keeps a testbed from working here. Raises TestbedError."""
    if wrong := machine.problems(machine.TESTBED):
        raise TestbedError("\n".join(wrong))


def python_of(environment: str) -> Path:
    """The interpreter of a stage environment, by the path it has in containers too."""
    return environments.python(environment)


def _components(depth: Depth) -> dict[str, Callable[[Site], Component]]:
    return _CONTROL_PLANE | _NODE if depth is Depth.FULL else _CONTROL_PLANE


def _known(component: str) -> str:
    known = _CONTROL_PLANE | _NODE | _ON_DEMAND
    if component not in known:
        raise TestbedError(f"no component {component}; there are {', '.join(known)}")
    return component


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
