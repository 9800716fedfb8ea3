"""The components that run pods: containerd, kubelet, kube-proxy, and DNS for pods.

All settings that look odd are there for machines like the one this was written on: root without CAP_SYS_RESOURCE
(so nothing may lower an out-of-memory score), cgroups of version 1, a disk shared with others.
"""

import json
from pathlib import Path

from testbed import binaries, images
from testbed.components import Component, answers
from testbed.control_plane import POD_NETWORK
from testbed.errors import TestbedError
from testbed.site import Site

NODE = "node1"
# Private to the namespace (see namespace.py), and where `ctr` looks without being told.
_SOCKET = "/run/containerd/containerd.sock"


def containerd(site: Site) -> Component:
    """The container runtime with its network plugin and the base specification that makes thin images work."""
    config = site.folder.config
    toml, base = config / "containerd.toml", config / "container-base.json"
    network = config / "cni" / "10-pods.conflist"
    files = {
        toml: _containerd_toml(site.folder.path, base, network.parent),
        base: json.dumps(images.base_specification()),
        network: json.dumps(_pod_network(site.folder.path / "cni")),
    }
    argv = ["containerd", "--config", str(toml)]
    return Component("containerd", argv, lambda: _containerd_answers(site), files)


def kubelet(site: Site) -> Component:
    """The kubelet. It works when its node is Ready."""
    config, root = site.folder.config / "kubelet.json", site.folder.path / "kubelet"
    argv = [
        str(binaries.KUBE.path), "kubelet", f"--config={config}", f"--kubeconfig={site.kubeconfig_of('kubelet')}",
        f"--root-dir={root}", f"--cert-dir={root / 'pki'}",
        f"--hostname-override={NODE}", f"--node-ip={site.subnet.inside}",
    ]  # fmt: skip
    health = f"http://{site.subnet.inside}:10248/healthz"
    files = {config: json.dumps(_kubelet_configuration(site))}
    return Component("kubelet", argv, lambda: answers(health) and ready(site), files)


def proxy(site: Site) -> Component:
    """kube-proxy, which makes Service addresses work."""
    config, address = site.folder.config / "kube-proxy.json", site.subnet.inside
    settings = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": address,
        "healthzBindAddress": f"{address}:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clientConnection": {"kubeconfig": site.kubeconfig_of("kube-proxy")},
        "clusterCIDR": POD_NETWORK,
        "hostnameOverride": NODE,
        "mode": "iptables",
        "conntrack": {"maxPerCore": 0, "min": 0},
    }
    argv = [str(binaries.KUBE.path), "kube-proxy", f"--config={config}"]
    health = f"http://{address}:10256/healthz"
    return Component("kube-proxy", argv, lambda: answers(health), {config: json.dumps(settings)})


def dns(site: Site) -> Component:
    """CoreDNS on the node's address. It knows the cluster's names only: there is nowhere else to ask."""
    config, address = site.folder.config / "Corefile", site.subnet.inside
    corefile = f"""\
.:53 {{
  bind {address}
  errors
  ready {address}:8181
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {site.folder.kubeconfig}
    pods insecure
  }}
}}
"""
    argv = [str(binaries.COREDNS.path), "-conf", str(config)]
    return Component("coredns", argv, lambda: answers(f"http://{address}:8181/ready"), {config: corefile})


def ready(site: Site) -> bool:
    """Whether the node exists and is Ready."""
    try:
        node = site.api.get(f"/api/v1/nodes/{NODE}")
    except (OSError, TestbedError):
        return False
    conditions = node["status"].get("conditions", []) if node else []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _containerd_answers(site: Site) -> bool:
    try:
        site.namespace.output(["ctr", "version"])
    except TestbedError:
        return False
    return True


def _containerd_toml(run: Path, base: Path, network: Path) -> str:
    unused = ["snapshotter.v1.devmapper", "snapshotter.v1.zfs", "snapshotter.v1.btrfs", "snapshotter.v1.aufs",
              "tracing.processor.v1.otlp", "internal.v1.tracing"]  # fmt: skip
    return f"""\
version = 2
root = "{run}/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = {json.dumps([f"io.containerd.{plugin}" for plugin in unused])}
[grpc]
  address = "{_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{images.PAUSE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  enable_selinux = false
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{network}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      base_runtime_spec = "{base}"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.as-built]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.as-built.options]
        SystemdCgroup = false
[plugins."io.containerd.internal.v1.opt"]
  path = "{run}/containerd-opt"
"""


def _pod_network(data: Path) -> dict[str, object]:
    addresses = {"type": "host-local", "dataDir": str(data), "ranges": [[{"subnet": "10.244.0.0/24"}]],
                 "routes": [{"dst": "0.0.0.0/0"}]}  # fmt: skip
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": addresses}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}


def _kubelet_configuration(site: Site) -> dict[str, object]:
    # Others fill the disk too, and a pod evicted because of them is a test that fails for no reason.
    never = ("memory.available", "nodefs.available", "imagefs.available", "nodefs.inodesFree", "imagefs.inodesFree")
    run = site.folder.path
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": site.subnet.inside,
        "readOnlyPort": 0,
        "healthzBindAddress": site.subnet.inside,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": site.pki.file("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{site.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "clusterDomain": "cluster.local",
        "clusterDNS": [site.subnet.inside],
        "resolvConf": "",
        "evictionHard": dict.fromkeys(never, "0%"),
        "evictionPressureTransitionPeriod": "5s",
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "podLogsDir": f"{run}/pod-logs",
        "volumePluginDir": f"{run}/volume-plugins",
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
        "nodeStatusReportFrequency": "1m",
    }
