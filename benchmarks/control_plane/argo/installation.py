"""Argo Workflows' controller and CRDs, built and read from its Go module."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from testbed.binaries import KUBE, Binary
from testbed.commands import output
from testbed.console import Say
from testbed.layout import SOURCES, build_log
from testbed.site import Site
from testbed.waiting import until

MODULE = "github.com/argoproj/argo-workflows/v4"
_FOLDER = Path(__file__).resolve().parent / "controller"
CONTROLLER = Binary(
    "argo-workflow-controller", str(_FOLDER.relative_to(SOURCES, walk_up=True)), f"{MODULE}/cmd/workflow-controller"
)
"""Argo's workflow-controller, whose module is pinned beside this file."""

Crds = Literal["full", "minimal"]
"""Argo's CRDs with their whole schemas, as its installation has them, or those that leave the large parts out."""

_SERVED = (
    "workflows",
    "workflowtaskresults",
    "workflowtasksets",
    "workflowartifactgctasks",
    "clusterworkflowtemplates",
)


def build(say: Say) -> None:
    """Compile the controller, unless it is in the cache."""
    if not CONTROLLER.path.exists():
        say(f"go build {CONTROLLER.name}")
        CONTROLLER.build(build_log("go"))


def version() -> str:
    """The release of Argo Workflows that the module requires."""
    found = re.search(rf"{re.escape(MODULE)} (v\S+)", (_FOLDER / "go.mod").read_text())
    assert found is not None, f"{_FOLDER}/go.mod doesn't require {MODULE}"
    return found[1]


def install(site: Site, instance: str, crds: Crds, configuration: Mapping[str, Any]) -> None:
    """Create Argo's CRDs, or bring them into this form, and a namespace with a controller's configuration.

    ``instance``: the name of the namespace and the controller's ``instanceID``.
    """
    module = output(
        ["env", "GOWORK=off", "GOTOOLCHAIN=local", "go", "list", "-m", "-f", "{{.Dir}}", MODULE], cwd=_FOLDER
    )
    folder = f"{module.strip()}/manifests/base/crds/{crds}"
    _kubectl(site, "apply", "--server-side", "--force-conflicts", "-k", folder)
    until("Argo's kinds", lambda: _are_served(site), timeout=60)
    _apply(site, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": instance}})
    _apply(site, configured(instance, configuration))


def configured(instance: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The ConfigMap that a controller with this ``instanceID`` reads, in the namespace of the same name."""
    data = {"instanceID": instance, **{key: json.dumps(value) for key, value in configuration.items()}}
    metadata = {"name": "workflow-controller-configmap", "namespace": instance}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _are_served(site: Site) -> bool:
    found = site.api.get("/apis/argoproj.io/v1alpha1") or {}
    return {*_SERVED} <= {one["name"] for one in found.get("resources", [])}


def _apply(site: Site, manifest: dict[str, Any]) -> None:
    _kubectl(site, "apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))


def _kubectl(site: Site, *arguments: str, stdin: str | None = None) -> None:
    command = [str(KUBE.path), "kubectl", "--kubeconfig", str(site.folder.kubeconfig), *arguments]
    output(command, stdin=stdin, timeout=300)
