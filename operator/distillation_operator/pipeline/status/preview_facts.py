"""Which facts of the cluster a preview has found, and whether they are what the work needs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from distillation_api.contract import Measurements
from distillation_api.contract.measurements import UNLIMITED
from distillation_api.status import Fact, StageStatus
from distillation_operator.pipeline.placement import Placement
from distillation_operator.pipeline.status.pen import cut

LOCKED_FOR_TPU = 64 << 30
"""Bytes that Google's documentation has one allow for libtpu."""
CONTAINERS_OWN = 64 << 20
"""Bytes of /dev/shm where nobody has mounted another one: too few for processes that share batches."""

_VALUE_LIMIT = 128
"""Bytes of a fact's value."""
_UNITS = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


@dataclass(frozen=True)
class _Kind:
    """One fact: its words, and what is right on an accelerator."""

    name: str
    value: Callable[[Measurements, Placement], str | None]
    """None where the program couldn't tell."""
    is_right: Callable[[Measurements, Placement], bool] | None = None


def _devices(found: Measurements, place: Placement) -> str | None:
    return None if found.devices is None else f"{found.devices:.0f} of {_all_devices(place)}"


def _device_files(found: Measurements, place: Placement) -> str | None:
    return None if found.device_files is None else f"{found.device_files:.0f} for {place.chips_per_host} chips"


def _locked_memory(found: Measurements, _: Placement) -> str | None:
    if found.locked_memory is None:
        return None
    return "unlimited" if found.locked_memory == UNLIMITED else f"at most {size(found.locked_memory)}"


def _shared_memory(found: Measurements, _: Placement) -> str | None:
    return None if found.shared_memory is None else size(found.shared_memory)


def _uid(found: Measurements, _: Placement) -> str | None:
    return None if found.uid is None else f"{found.uid:.0f}"


def _all_devices(place: Placement) -> int:
    return place.slices * place.devices_per_slice


_KINDS = (
    _Kind("devices", _devices, lambda found, place: found.devices == _all_devices(place)),
    # Of tpu7x each chip is two of them.
    _Kind("deviceFiles", _device_files, lambda found, place: (found.device_files or 0) >= place.chips_per_host),
    _Kind(
        "lockedMemory",
        _locked_memory,
        lambda found, _: found.locked_memory == UNLIMITED or (found.locked_memory or 0) >= LOCKED_FOR_TPU,
    ),
    _Kind("sharedMemory", _shared_memory, lambda found, _: (found.shared_memory or 0) > CONTAINERS_OWN),
    _Kind("uid", _uid),
)


def facts_of(stage: StageStatus, found: Measurements, place: Placement) -> Iterator[Fact]:
    """What one stage of a preview has found. On CPU anything will do."""
    for kind in _KINDS:
        value = kind.value(found, place)
        if value is None or (kind.name == "deviceFiles" and place.accelerator is None):
            continue
        judged = kind.is_right is not None and (place.accelerator is not None or kind.name == "devices")
        right = kind.is_right(found, place) if judged and kind.is_right is not None else None
        yield Fact(stage=stage.name, name=kind.name, value=value, as_expected=right)

    hits, misses = ((stage.counts or {}).get(f"compileCache{kind}") for kind in ("Hits", "Misses"))
    if hits is not None and misses is not None:
        # The first preview of all finds nothing there.
        yield Fact(stage=stage.name, name="compileCache", value=f"{hits} programs found, {misses} compiled")


def fact_of_storage(prepared: StageStatus) -> Iterator[Fact]:
    """What prepare-dataset, which tries it, tells of the storage: with a reason where that is a warning."""
    if prepared.state == "Complete" and prepared.message:
        value = cut(prepared.message, _VALUE_LIMIT)
        yield Fact(stage=prepared.name, name="storage", value=value, as_expected=prepared.reason is None)


def size(number: float) -> str:
    """Bytes for people."""
    for unit, bytes_of in _UNITS:
        if number >= bytes_of:
            return f"{number / bytes_of:.3g} {unit}"
    return f"{number:.0f} bytes"
