"""Images run in pods as they were built."""

import re
from typing import Any

from support.eventually import eventually
from testbed.cluster import Testbed


def run_pod(
    testbed: Testbed,
    image: str,
    arguments: list[str],
    files: dict[str, str] | None = None,
    command: list[str] | None = None,
) -> str:
    """What the image prints, run as the restricted profile asks; nothing of this machine is mounted into it."""
    api = testbed.site.api
    api.create("/api/v1/namespaces", {"metadata": {"name": "images", "labels": {
        "pod-security.kubernetes.io/enforce": "restricted"}}})  # fmt: skip
    # Of the testbed's runtimes the one that mounts nothing of this machine.
    handler = {"metadata": {"name": "as-built"}, "handler": "as-built"}
    api.create("/apis/node.k8s.io/v1/runtimeclasses", handler)
    name = "run-" + re.sub(r"[^a-z]+", "-", f"{image.rsplit('/', 1)[-1]}-{arguments[0]}").strip("-")
    api.create("/api/v1/namespaces/images/configmaps", {"metadata": {"name": name}, "data": files or {}})
    container: dict[str, Any] = {
        "name": "run", "image": image, "imagePullPolicy": "Never", "args": arguments,
        "volumeMounts": [{"name": "config", "mountPath": "/config"}, {"name": "tmp", "mountPath": "/tmp"}],
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]}},
    }  # fmt: skip
    if command is not None:
        container["command"] = command
    spec = {
        "runtimeClassName": "as-built", "restartPolicy": "Never", "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": name}}, {"name": "tmp", "emptyDir": {}}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
    }  # fmt: skip
    pods = "/api/v1/namespaces/images/pods"

    def create() -> bool:
        """The ServiceAccount of a new namespace takes a moment."""
        api_status, _ = api.request("POST", pods, {"metadata": {"name": name}, "spec": spec})
        return api_status in (201, 409)

    eventually("the pod is made", create)

    def ended() -> str | None:
        phase = str((api.get(f"{pods}/{name}") or {}).get("status", {}).get("phase"))
        return phase if phase in ("Succeeded", "Failed") else None

    phase = eventually("the pod's end", ended, 300)
    _, log = api.request("GET", f"{pods}/{name}/log")
    assert phase == "Succeeded", log.decode()
    return log.decode()
