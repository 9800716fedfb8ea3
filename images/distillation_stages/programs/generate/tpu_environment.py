"""What vLLM on a TPU reads from the environment at its import, and what its engine is made with beside the rest."""

import os
import socket
from collections.abc import MutableMapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from distillation_stages.models.model_config import read_config
from distillation_stages.models.tpu_engine import TpuEngine, tpu_engine
from distillation_stages.runtime.reporting import say

PACKAGE = "tpu_inference"
"""vLLM's platform for TPUs; the image for CPU hasn't got it."""


def prepare_tpu(model: Path) -> None:
    """Sets the environment for this teacher where vLLM is the one for TPUs.

    To be called before vLLM is imported. Raises StageError for a teacher that can't be served there.
    """
    if find_spec(PACKAGE) is None:
        return
    needs = tpu_engine(read_config(model))
    say(f"On a TPU {needs.known}.")
    set_tpu_environment(needs, os.environ)


def tpu_arguments(model: Path) -> dict[str, Any]:
    """What the engine of this teacher is made with beside the rest; nothing where vLLM isn't the one for TPUs."""
    return {} if find_spec(PACKAGE) is None else dict(tpu_engine(read_config(model)).arguments)


def set_tpu_environment(needs: TpuEngine, environment: MutableMapping[str, str]) -> None:
    """Sets what the teacher needs. What spec.pod.env says against it can't work, and is told."""
    for name, value in needs.environment.items():
        given = environment.get(name)
        if given is not None and given != value:
            say(f"{name}={given} of spec.pod.env isn't taken: this teacher needs {name}={value} on a TPU")
        environment[name] = value
    # Unset, tpu-inference asks the metadata server for it when it is imported, and waits for ever where that is out of
    # reach (TI, tpu_info). It is only logged.
    environment.setdefault("TPU_NAME", socket.gethostname())
