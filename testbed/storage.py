"""Storage for pods: a PersistentVolume on a folder of the host, and a claim that is bound to it.

Pods name the claim, as on a real cluster, so they stay within the restricted profile. The folder is writable for
everyone, because the stages run as a user that the host doesn't know.
"""

from pathlib import Path
from typing import Any

from testbed.layout import RunFolder
from testbed.site import Site
from testbed.waiting import until


def host_path(folder: RunFolder, namespace: str, claim: str) -> Path:
    """The folder on the host behind a claim."""
    return folder.storage / namespace / claim


def volume_name(namespace: str, claim: str) -> str:
    """The name of the PersistentVolume behind a claim."""
    return f"{namespace}-{claim}"


def volume_manifest(path: Path, namespace: str, claim: str, size: str = "100Gi") -> dict[str, Any]:
    """The PersistentVolume: reserved for one claim, kept when the claim goes."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name(namespace, claim)},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": {"namespace": namespace, "name": claim},
            "hostPath": {"path": str(path), "type": "Directory"},
        },
    }


def claim_manifest(namespace: str, claim: str, size: str = "100Gi") -> dict[str, Any]:
    """The PersistentVolumeClaim."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim, "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
            "volumeName": volume_name(namespace, claim),
            "resources": {"requests": {"storage": size}},
        },
    }


def provide(site: Site, namespace: str, claim: str) -> Path:
    """Make namespace, volume and claim unless they exist, wait until they are bound, and return the host's folder."""
    path = host_path(site.folder, namespace, claim)
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o777)
    api, volume = site.api, f"/api/v1/persistentvolumes/{volume_name(namespace, claim)}"
    existing = api.get(volume)
    # A volume remembers the claim it was bound to; after that claim is gone it never serves another.
    if existing and existing["status"].get("phase") in ("Released", "Failed"):
        api.delete(volume)
        until(f"deletion of {volume}", lambda: api.get(volume) is None, timeout=30)
    api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    api.create("/api/v1/persistentvolumes", volume_manifest(path, namespace, claim))
    claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    api.create(claims, claim_manifest(namespace, claim))

    def bound() -> bool:
        found = api.get(f"{claims}/{claim}")
        return found is not None and found["status"].get("phase") == "Bound"

    until(f"claim {namespace}/{claim} bound", bound, timeout=30, log=site.folder.log("kube-controller-manager"))
    return path
