"""A conversion by MaxText's own module, of a model whose sizes its tables lack: they are entered first, as one would by
hand. Runs in the converter's environment.

``python maxtext_module.py NAME MODEL MODULE ARGUMENT...``: MODEL is the folder in Hugging Face format, NAME what
MaxText calls it; MODULE runs as by ``python -m``.
"""

import importlib
import runpy
import sys
from pathlib import Path

from distillation_stages.maxtext.families import fill_tables
from distillation_stages.models.model_config import read_config


def main(name: str, model: Path, module: str, arguments: list[str]) -> None:
    """Enter the sizes and run the module."""
    # Before MaxText: it crashes when TensorFlow, which MaxText imports, is loaded already.
    importlib.import_module("torch._dynamo")
    fill_tables(name, read_config(model), model)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
