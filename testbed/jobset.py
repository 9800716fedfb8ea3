"""The JobSet controller."""

import json

from testbed import binaries
from testbed.components import Component
from testbed.site import Site
from testbed.upstream import webhook_certificates

WEBHOOKS = "https://127.0.0.1:9443"

_PROBE = {
    "apiVersion": "jobset.x-k8s.io/v1alpha2",
    "kind": "JobSet",
    "metadata": {"name": "probe"},
    "spec": {"replicatedJobs": [{"name": "a", "template": {"spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}}}}]},
}  # fmt: skip


def controller(site: Site) -> Component:
    """The controller. It works when a JobSet passes its webhooks."""
    config, certificates = site.folder.config / "jobset.json", site.folder.config / "jobset-webhook"
    settings = {
        "apiVersion": "config.jobset.x-k8s.io/v1alpha1",
        "kind": "Configuration",
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        "webhook": {"host": "127.0.0.1", "port": 9443, "certDir": str(certificates)},
        "metrics": {"bindAddress": "127.0.0.1:8443", "certDir": str(certificates)},
        "health": {"healthProbeBindAddress": "127.0.0.1:8081"},
    }
    files = {config: json.dumps(settings), **webhook_certificates(site, certificates)}
    kubeconfig = site.kubeconfig_of("jobset")
    argv = [str(binaries.JOBSET.path), f"--config={config}", f"--kubeconfig={kubeconfig}"]
    jobsets = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets?dryRun=All"
    return Component("jobset", argv, lambda: site.api.accepts("POST", jobsets, _PROBE), files)
