"""MaxText on the CPU of this process."""

import os

from distillation_stages.maxtext.start import patch_imports
from distillation_stages.runtime.environment import set_environment


def prepare_cpu(devices: int) -> None:
    """Make ready for MaxText, before anything imports JAX: it runs on the CPU, as that many devices."""
    set_environment()
    patch_imports()
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
