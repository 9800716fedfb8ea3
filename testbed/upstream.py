"""Controllers of other projects, as processes next to the control plane, with the objects they need in the cluster.

Their manifests are upstream's with two changes: no Deployment (there may be no node to run it), and webhooks that call
the process's own address instead of a Service.
"""

import json
from pathlib import Path
from typing import Any

from testbed import binaries
from testbed.site import Site
from testbed.waiting import until

# What runs a controller in a cluster, and what only its pod would read or others would ask it for.
_NOT_HERE = {"Deployment", "Service", "Secret", "ConfigMap", "APIService", "NetworkPolicy"}


def install(site: Site, program: binaries.Binary, webhooks: str) -> None:
    """Create the CRDs, roles and webhooks of a controller whose webhooks answer at that address, unless they exist.

    The kinds are there when it returns: a controller that starts before ends at once.
    """
    authority = site.pki.text("ca.crt")
    documents = json.loads(binaries.manifests(program).read_text())
    for document in documents:
        manifest = adapted(document, authority, webhooks)
        if manifest is not None:
            site.api.create(_collection(manifest), manifest)
    kinds = [document["spec"] for document in documents if document["kind"] == "CustomResourceDefinition"]
    until(f"the kinds of {program.name}", lambda: all(_is_served(site, kind) for kind in kinds), timeout=60)


def _is_served(site: Site, kind: dict[str, Any]) -> bool:
    """Whether discovery names the kind in all its versions."""
    for version in kind["versions"]:
        told = site.api.get(f"/apis/{kind['group']}/{version['name']}") or {}
        if version["served"] and all(one["name"] != kind["names"]["plural"] for one in told.get("resources", [])):
            return False
    return True


def adapted(document: dict[str, Any], authority: str, webhooks: str) -> dict[str, Any] | None:
    """One of upstream's objects as it is applied here, or None."""
    if document["kind"] in _NOT_HERE:
        return None
    if document["kind"].endswith("WebhookConfiguration"):
        for webhook in document["webhooks"]:
            webhook["clientConfig"] = _client(webhook["clientConfig"], authority, webhooks)
    if document["kind"] == "CustomResourceDefinition":
        conversion = document["spec"].get("conversion")
        if len(document["spec"]["versions"]) == 1 or conversion is None:
            # Nothing is ever converted.
            document["spec"].pop("conversion", None)
        else:
            conversion["webhook"]["clientConfig"] = _client(conversion["webhook"]["clientConfig"], authority, webhooks)
    return document


def _client(service: dict[str, Any], authority: str, webhooks: str) -> dict[str, Any]:
    return {"url": webhooks + service["service"]["path"], "caBundle": authority}


def webhook_certificates(site: Site, folder: Path) -> dict[Path, str]:
    """The files that a webhook's server reads, by the names that controller-runtime expects."""
    return {
        folder / "tls.crt": (site.folder.pki / "webhook.crt").read_text(),
        folder / "tls.key": (site.folder.pki / "webhook.key").read_text(),
    }


def _collection(manifest: dict[str, Any]) -> str:
    # Every kind among them has the regular plural.
    group, namespace = manifest["apiVersion"], manifest["metadata"].get("namespace")
    root = "/api/v1" if group == "v1" else f"/apis/{group}"
    return f"{root}{f'/namespaces/{namespace}' if namespace else ''}/{_plural(manifest['kind'])}"


def _plural(kind: str) -> str:
    name = kind.lower()
    return f"{name.removesuffix('y')}ies" if name.endswith("y") else f"{name}es" if name.endswith("s") else f"{name}s"
