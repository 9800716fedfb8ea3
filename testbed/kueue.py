"""The Kueue controller, for the tests that queue; a testbed builds and starts it when it is asked to."""

import json

from testbed import binaries
from testbed.components import Component
from testbed.site import Site
from testbed.upstream import webhook_certificates

WEBHOOKS = "https://127.0.0.1:9444"

_PROBE = {
    "apiVersion": "kueue.x-k8s.io/v1beta2",
    "kind": "ResourceFlavor",
    "metadata": {"name": "probe"},
}


def controller(site: Site) -> Component:
    """The controller. It works when a ResourceFlavor passes its webhooks."""
    config, certificates = site.folder.config / "kueue.json", site.folder.config / "kueue-webhook"
    settings = {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        "webhook": {"host": "127.0.0.1", "port": 9444, "certDir": str(certificates)},
        "metrics": {"bindAddress": "127.0.0.1:8444"},
        "health": {"healthProbeBindAddress": "127.0.0.1:8082"},
        "integrations": {"frameworks": ["batch/job", "jobset.x-k8s.io/jobset"]},
    }
    etc = site.folder.config / "kueue-etc"
    files = {
        config: json.dumps(settings),
        **webhook_certificates(site, certificates),
        **webhook_certificates(site, etc / "kueue" / "metrics" / "certs"),
    }
    argv = [
        # Where the certificate of its metrics lies can't be configured: it gets an /etc of its own with that in it.
        "unshare", "--mount", "sh", "-c",
        'mount -t overlay overlay -o "lowerdir=$1:/etc" /etc && shift && exec "$@"', "sh", str(etc),
        str(binaries.KUEUE.path), f"--config={config}", f"--kubeconfig={site.kubeconfig_of('kueue')}",
        # A server of its own for kubectl, with certificates that nobody makes here.
        "--feature-gates=VisibilityOnDemand=false",
    ]  # fmt: skip
    flavors = "/apis/kueue.x-k8s.io/v1beta2/resourceflavors?dryRun=All"
    return Component("kueue", argv, lambda: site.api.accepts("POST", flavors, _PROBE), files)
