"""What runtimes and libraries say when a machine, another host or the storage fails: one row for each meaning."""

import re
from dataclasses import dataclass

from distillation_api import reasons
from distillation_api.reasons.reason import ProgramReason
from distillation_stages.runtime.device_access import cure, memory_is_limited
from distillation_stages.runtime.failure import StageError

_DEVICES = ("/dev/vfio", "/dev/accel", "iommu group", "vfio container")
_DENIED = ("Permission denied", "Operation not permitted")
# Not RLIMIT_MEMLOCK: gRPC names it in lines that mean no harm.
_NOT_LOCKED = (
    "Could not lock 0x", "Could not lock all pages", "Could not lock page", "mlock(0x", "mlockall(0x",
)  # fmt: skip
_NOT_MAPPED = "Failed to map transfer buffer chunk for DMA"
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
    by_limit: bool = False
    """Means this only where the memory that may be locked is limited; else the machine has failed."""

    def fits(self, text: str, has_peers: bool) -> bool:
        """Whether the text has this meaning."""
        if self.between_hosts and not has_peers:
            return False
        return _any_in(self.words, text) and (not self.with_words or _any_in(self.with_words, text))


ROWS = (
    # libtpu 0.0.52 has these words: of its access to vfio, its mapper of memory for DMA, and its mlock.cc.
    Row(
        reasons.ACCELERATOR_DENIED,
        _DEVICES,
        _DENIED,
        "The pod may not open the accelerator",
    ),
    Row(
        reasons.ACCELERATOR_DENIED,
        _NOT_LOCKED,
        advice="The accelerator's driver may lock too little memory",
        by_limit=True,
    ),
    Row(
        reasons.ACCELERATOR_DENIED,
        (_NOT_MAPPED,),
        ("Cannot allocate memory", "Operation not permitted"),
        "The accelerator's driver may lock too little memory",
        by_limit=True,
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


MACHINES_OWN = re.compile(
    r"SLICE_FAILURE_\w*.*|JAX distributed service detected fatal.*|.*stopped sending heartbeats.*|"
    rf".*({'|'.join(map(re.escape, _DEVICES))}).*({'|'.join(_DENIED)}).*|"
    rf"({'|'.join(map(re.escape, (*_NOT_LOCKED, _NOT_MAPPED)))}).*"
)
"""Lines of libtpu's and JAX's own, which are no Python error: the process may end with them."""


def known_failure(
    text: str, says: str, has_peers: bool = False, memory_limited: bool | None = None
) -> StageError | None:
    """What an error's text means; None where no row has it. ``says``: the message's beginning.

    ``memory_limited``: whether more memory than some amount can't be locked; None asks this process's limit.
    """
    row = _row(text, has_peers)
    if row is None:
        return None
    if row.by_limit and not (memory_is_limited() if memory_limited is None else memory_limited):
        # No profile gives more than no limit: the node has too little left, or its driver is in a bad state.
        return StageError(
            reasons.SLICE_FAILED,
            f"{says}. The accelerator's driver couldn't lock memory, though nothing limits it",
        )
    message = f"{says}. {row.advice}"
    return StageError(row.reason, f"{message}. {cure()}" if row.reason is reasons.ACCELERATOR_DENIED else message)


def denies(text: str) -> bool:
    """Whether an error's text tells of what this pod may not do, which a runtime may log and then do without."""
    row = _row(text, has_peers=False)
    return row is not None and row.reason is reasons.ACCELERATOR_DENIED


def _row(text: str, has_peers: bool) -> Row | None:
    return next((row for row in ROWS if row.fits(text, has_peers)), None)


def _any_in(words: tuple[str, ...], text: str) -> bool:
    return any(word in text for word in words)
