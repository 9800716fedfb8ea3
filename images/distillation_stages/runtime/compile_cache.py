"""Where compiled programs are kept: in the pod, or between runs where the installation shares them."""

import hashlib
import os
from pathlib import Path
from typing import Literal

from distillation_api.contract import COMPILE_CACHE_ENV
from distillation_stages.runtime.storage import Storage

Library = Literal["jax", "vllm"]


def compile_cache(storage: Storage, scratch: Path, library: Library, platform: str) -> Path:
    """A folder of the pod (``scratch``), or one in the storage where the installation names it and it can be written
    to.

    JAX loads what lies there without a look at who made it, so a folder that others write is their way into this pod.
    Code compiled for one CPU may use instructions that another lacks, so each kind of CPU has a folder of its own.
    """
    if platform == "cpu":
        flags = next((line for line in _cpu_info().splitlines() if line.startswith("flags")), "")
        platform = f"cpu-{hashlib.sha256(flags.encode()).hexdigest()[:12]}"
    shared = os.environ.get(COMPILE_CACHE_ENV)
    for folder in ([storage.at(shared) / library / platform] if shared else []) + [scratch]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            break
    return folder


def _cpu_info() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
