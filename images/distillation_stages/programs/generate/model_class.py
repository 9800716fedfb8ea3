"""The teacher's class in vLLM, looked at where the engine runs.

To learn what a class can do, vLLM starts another Python that imports vLLM once more, so that no GPU is touched too
early. On CPU there is none, and the second import is a third of the start.
"""

import importlib
from collections.abc import Iterable
from typing import Any


def register_imported(architectures: Iterable[str]) -> None:
    """Give vLLM the classes of these architectures imported.

    One that it doesn't know, or whose import fails, is left to vLLM: it refuses the model in its own words.
    """
    registry: Any = importlib.import_module("vllm").ModelRegistry
    for architecture in architectures:
        known = registry.models.get(architecture)
        try:
            if known is not None:
                registry.register_model(architecture, known.load_model_cls())
        except Exception:
            continue
