"""The components that every depth has: etcd, API server, controller manager, scheduler."""

import json

from testbed import binaries
from testbed.components import Component, answers
from testbed.site import Depth, Site

POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"

# Every request, without bodies: later tests count creations and look for polling. Leases would drown the rest.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]},
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]},
        {"level": "Metadata"},
    ],
}


def etcd(site: Site) -> Component:
    """The store. It skips fsync: the data needn't survive the machine."""
    client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    argv = [
        str(binaries.KUBE.path), "etcd", "--name=testbed", f"--data-dir={site.folder.path / 'etcd'}",
        f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=testbed={peer}",
        f"--listen-metrics-urls=http://{site.subnet.inside}:2381", "--unsafe-no-fsync", "--log-level=warn",
        # The default of 2 GiB ends a run of a thousand busy jobs: old revisions are dropped every five minutes only.
        "--quota-backend-bytes=8589934592",
    ]  # fmt: skip
    return Component("etcd", argv, lambda: answers(f"http://{site.subnet.inside}:2381/health"))


def apiserver(site: Site) -> Component:
    """The API server, on the testbed's own address, with its audit log in the run folder."""
    policy, pki = site.folder.config / "audit.json", site.pki
    argv = [
        str(binaries.KUBE.path), "kube-apiserver",
        f"--advertise-address={site.subnet.inside}", "--bind-address=0.0.0.0", "--secure-port=6443",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--client-ca-file={pki.file('ca.crt')}",
        f"--tls-cert-file={pki.file('apiserver.crt')}", f"--tls-private-key-file={pki.file('apiserver.key')}",
        f"--kubelet-client-certificate={pki.file('apiserver-kubelet-client.crt')}",
        f"--kubelet-client-key={pki.file('apiserver-kubelet-client.key')}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki.file('service-account.pub')}",
        f"--service-account-signing-key-file={pki.file('service-account.key')}",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true", "--profiling=false",
        f"--audit-policy-file={policy}", f"--audit-log-path={site.folder.audit_log}",
        # Never rotated: whoever counts creations needs the log whole.
        "--audit-log-maxsize=100000",
    ]  # fmt: skip
    return Component("kube-apiserver", argv, lambda: site.api.answers("/readyz"), {policy: json.dumps(_AUDIT_POLICY)})


def controller_manager(site: Site) -> Component:
    """The controllers. It and the scheduler must start after the API server is ready: earlier they exit for good."""
    pki = site.pki
    argv = [
        str(binaries.KUBE.path), "kube-controller-manager",
        f"--bind-address={site.subnet.inside}", *_credentials(site, "kube-controller-manager"),
        "--use-service-account-credentials=true", f"--root-ca-file={pki.file('ca.crt')}",
        f"--service-account-private-key-file={pki.file('service-account.key')}",
        f"--cluster-signing-cert-file={pki.file('ca.crt')}", f"--cluster-signing-key-file={pki.file('ca.key')}",
        # The default of 20 requests a second alone makes its start take five seconds.
        "--kube-api-qps=500", "--kube-api-burst=1000",
        # A claim that it looks at while it writes the volume's phase is looked at again after so long: 15 s by default.
        "--pvclaimbinder-sync-period=1s",
        # Its default is a folder in /usr, which it would create.
        f"--flex-volume-plugin-dir={site.folder.path / 'volume-plugins'}",
        "--allocate-node-cidrs=true", f"--cluster-cidr={POD_NETWORK}", f"--service-cluster-ip-range={SERVICE_NETWORK}",
    ]  # fmt: skip
    # The default ServiceAccount is what pods wait for, and the first thing that shows that controllers work.
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    health = f"https://{site.subnet.inside}:10257/healthz"
    # Where no kubelet runs, pods end when a test says so, and who waits for the Job controller waits for these alone.
    brisk = {"JOB_POD_FAILURE_BACKOFF": "2s"}
    env = brisk if site.depth is Depth.CONTROL_PLANE else {}
    return Component("kube-controller-manager", argv, lambda: answers(health) and site.api.answers(account), env=env)


def scheduler(site: Site) -> Component:
    """The scheduler."""
    address, credentials = site.subnet.inside, _credentials(site, "kube-scheduler")
    argv = [str(binaries.KUBE.path), "kube-scheduler", f"--bind-address={address}", *credentials]
    return Component("kube-scheduler", argv, lambda: answers(f"https://{address}:10259/healthz"))


def _credentials(site: Site, component: str) -> list[str]:
    kubeconfig = site.kubeconfig_of(component)
    options = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return [*(f"--{option}={kubeconfig}" for option in options), "--leader-elect=false"]
