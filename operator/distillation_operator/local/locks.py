"""The hashed locks of the images, which decide what is in an environment: of this package, or of its checkout."""

import hashlib
from pathlib import Path

IMAGES = ("fetcher", "converter", "trainer", "teacher", "teacher-tpu")
"""The environments that stage programs run in. Each after those that it shares most with."""

_PACKAGED = Path(__file__).resolve().with_name("requirements")
_CHECKOUT = Path(__file__).resolve().parents[3] / "requirements"


def lock(name: str) -> Path:
    """The requirements file of an environment, with the hash of every package."""
    return (_PACKAGED if _PACKAGED.is_dir() else _CHECKOUT) / f"{name}.txt"


def digest(name: str) -> str:
    """Twelve hex digits of the lock. Raises FileNotFoundError when no environment has this name."""
    return hashlib.sha256(lock(name).read_bytes()).hexdigest()[:12]
