"""How much the environments download and need on disk, known before the first byte."""

from collections.abc import Iterable
from dataclasses import dataclass

MIB = 2**20
GIB = 2**30


@dataclass(frozen=True)
class Size:
    """Bytes to download, and on disk after that."""

    download: int
    disk: int


# What images have in common is downloaded once, and on disk once (hard links). Measured; that for TPUs is a guess.
_BLOCKS = {
    "data": Size(100 * MIB, 410 * MIB),
    "jax": Size(1180 * MIB, 4700 * MIB),
    "torch": Size(2610 * MIB, 4500 * MIB),
    "vllm": Size(350 * MIB, 1300 * MIB),
    "vllm-tpu": Size(1500 * MIB, 5000 * MIB),
}
_IMAGES = {
    "fetcher": {"data"},
    "trainer": {"data", "jax"},
    "converter": {"data", "jax", "torch"},
    "teacher": {"data", "torch", "vllm"},
    "teacher-tpu": {"data", "jax", "torch", "vllm-tpu"},
}


def size_of(missing: Iterable[str], present: Iterable[str] = (), shared: bool = True) -> Size:
    """About how much the missing environments take, when these others are there.

    ``shared``: whether files that several have are on disk once.
    """
    missing = list(missing)
    there = {block for name in present for block in _IMAGES.get(name, ())}
    new = {block for name in missing for block in _IMAGES.get(name, ())} - there
    written = new if shared else [block for name in missing for block in _IMAGES.get(name, ())]
    return Size(sum(_BLOCKS[block].download for block in new), sum(_BLOCKS[block].disk for block in written))


def gib(size: int) -> str:
    """A size for people: ``4.1 GiB``."""
    return f"{size / GIB:.1f} GiB"
