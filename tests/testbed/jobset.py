"""The JobSet controller, as a process beside the others, with the objects it needs in the cluster.

Its manifests are upstream's with two changes: no Deployment (there may be no node to run it), and webhooks that call
the process's own address instead of a Service.
"""

import json
from typing import Any

from testbed import binaries
from testbed.components import Component
from testbed.site import Site

_WEBHOOKS = "https://127.0.0.1:9443"
# What runs the controller in a cluster, and what only its pod would read.
_NOT_HERE = ("Deployment", "Service", "Secret", "ConfigMap")

_PROBE = {
    "apiVersion": "jobset.x-k8s.io/v1alpha2",
    "kind": "JobSet",
    "metadata": {"name": "probe"},
    "spec": {"replicatedJobs": [{"name": "a", "template": {"spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}}}}]},
}  # fmt: skip


def install(site: Site) -> None:
    """Create JobSet's CRD, roles and webhooks, unless they exist."""
    authority = site.pki.text("ca.crt")
    for document in json.loads(binaries.jobset_manifests().read_text()):
        manifest = adapted(document, authority)
        if manifest is not None:
            site.api.create(_collection(manifest), manifest)


def adapted(document: dict[str, Any], authority: str) -> dict[str, Any] | None:
    """One of upstream's objects as it is applied here, or None."""
    if document["kind"] in _NOT_HERE:
        return None
    if document["kind"].endswith("WebhookConfiguration"):
        for webhook in document["webhooks"]:
            path = webhook["clientConfig"]["service"]["path"]
            webhook["clientConfig"] = {"url": _WEBHOOKS + path, "caBundle": authority}
    if document["kind"] == "CustomResourceDefinition":
        # There is one version, so nothing is ever converted, and the conversion webhook would be a Service.
        document["spec"].pop("conversion", None)
    return document


def _collection(manifest: dict[str, Any]) -> str:
    # Every kind among them has the regular plural.
    group, namespace = manifest["apiVersion"], manifest["metadata"].get("namespace")
    root = "/api/v1" if group == "v1" else f"/apis/{group}"
    return f"{root}{f'/namespaces/{namespace}' if namespace else ''}/{manifest['kind'].lower()}s"


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
    files = {
        config: json.dumps(settings),
        certificates / "tls.crt": (site.folder.pki / "webhook.crt").read_text(),
        certificates / "tls.key": (site.folder.pki / "webhook.key").read_text(),
    }
    kubeconfig = site.kubeconfig_of("jobset")
    argv = [str(binaries.JOBSET.path), f"--config={config}", f"--kubeconfig={kubeconfig}"]
    jobsets = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets?dryRun=All"
    return Component("jobset", argv, lambda: site.api.accepts("POST", jobsets, _PROBE), files)
