"""What runtimes and libraries say when a machine, another host or the storage fails: one row for each meaning."""

import os
import resource
from dataclasses import dataclass

from distillation_api import reasons
from distillation_api.reasons.reason import ProgramReason
from distillation_stages.runtime.failure import StageError

_DEVICES = ("/dev/vfio", "/dev/accel", "iommu group", "vfio container")
_PORTS = (":8471", ":8476", ":8482", ":8080", ":8081")
"""Of libtpu, JAX and Megascale between hosts."""
_LOST = "Another host is gone, or can't be reached"


@dataclass(frozen=True)
class Row:
    """A meaning, and the words that have it."""

    reason: ProgramReason
    words: tuple[str, ...]
    """Any of them."""
    with_words: tuple[str, ...] = ()
    """And any of these, where there are some."""
    advice: str = ""
    between_hosts: bool = False
    """Means this only where there are other hosts."""

    def fits(self, text: str, has_peers: bool) -> bool:
        """Whether the text has this meaning."""
        if self.between_hosts and not has_peers:
            return False
        return _any_in(self.words, text) and (not self.with_words or _any_in(self.with_words, text))


ROWS = (
    Row(
        reasons.ACCELERATOR_DENIED,
        _DEVICES,
        ("Permission denied", "Operation not permitted"),
        "The pod may not open the accelerator: take nodes of GKE 1.28 or newer, where that needs no privilege",
    ),
    Row(
        reasons.ACCELERATOR_DENIED,
        ("Could not lock 0x", "RLIMIT_MEMLOCK", "memlock"),
        advice="The accelerator's driver may lock too little memory: take nodes of GKE 1.28 or newer",
    ),
    # What a predecessor that was killed leaves for a while (V22): another pod, or this one later, gets the accelerator.
    Row(
        reasons.ACCELERATOR_BUSY,
        ("/dev/vfio", "already in use by", "libtpu_lockfile", "libtpu lockfile", "Device or resource busy"),
        advice="Another process still holds the accelerator",
    ),
    Row(reasons.SLICE_FAILED, ("SLICE_FAILURE_",), advice="The slice's hardware or interconnect failed"),
    Row(
        reasons.PEER_LOST,
        ("Socket closed", "heartbeat timeout", "stopped sending heartbeats", "JAX distributed service detected fatal"),
        advice=_LOST,
        between_hosts=True,
    ),
    Row(reasons.PEER_LOST, ("Failed to connect to",), _PORTS, _LOST, between_hosts=True),
    Row(
        reasons.STORAGE_FULL,
        ("No space left on device", "Disk quota exceeded"),
        advice="Make room in the storage",
    ),
    Row(
        reasons.STORAGE_FAILED,
        ("OCDBT database", "Transport endpoint is not connected", "Stale file handle", "Input/output error"),
        advice="A checkpoint couldn't be written or read",
    ),
)
"""The first that fits counts."""


def known_failure(text: str, says: str, has_peers: bool = False) -> StageError | None:
    """What an error's text means; None where no row has it. ``says``: the message's beginning."""
    row = next((row for row in ROWS if row.fits(text, has_peers)), None)
    if row is None:
        return None
    message = f"{says}. {row.advice}"
    return StageError(row.reason, f"{message} ({_rights()})" if row.reason is reasons.ACCELERATOR_DENIED else message)


def _rights() -> str:
    """What a pod may, as far as the accelerator's driver needs it."""
    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    locked = "without limit" if hard == resource.RLIM_INFINITY else f"at most {hard} bytes"
    return f"uid {os.getuid()}; may lock memory {locked}"


def _any_in(words: tuple[str, ...], text: str) -> bool:
    return any(word in text for word in words)
