"""What a stage's container may do: as little as Pod Security ``restricted`` asks, or on older nodes what a TPU's driver
needs there.

The profiles are for pods with chips alone. The pod's own security context is restricted in all of them: it holds for
whatever else is put into the pod, as the GCS FUSE sidecar.
"""

from typing import Any, Literal

Profile = Literal["Restricted", "LockedMemory", "Privileged"]
Object = dict[str, Any]

USER = 65532
GROUP = 65532
"""Of all stages' pods, whatever their user: programs make files that their group can change."""
ROOT = 0

_RESTRICTED: Object = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_AS_ROOT: Object = {"runAsNonRoot": False, "runAsUser": ROOT, "runAsGroup": GROUP}
_OF_PROFILE: dict[Profile, Object] = {
    "Restricted": _RESTRICTED,
    # Without CAP_DAC_OVERRIDE root opens what root owns, and in the storage what the group may.
    "LockedMemory": {**_RESTRICTED, "capabilities": {"drop": ["ALL"], "add": ["SYS_RESOURCE"]}, **_AS_ROOT},
    # The API server takes no privileged container whose privileges can't grow.
    "Privileged": {"privileged": True, "allowPrivilegeEscalation": True, "readOnlyRootFilesystem": True, **_AS_ROOT},
}


def pod_security() -> Object:
    """The security context of a pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": GROUP,
        "fsGroup": GROUP,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security(profile: Profile, chips: int) -> Object:
    """The security context of a stage's container with so many chips."""
    return dict(_OF_PROFILE[profile if chips else "Restricted"])


def owner_of_files(profile: Profile, chips: int) -> int:
    """The user that its container has, and that a mounted bucket shows as the owner of all that it holds."""
    return int(container_security(profile, chips).get("runAsUser", USER))
