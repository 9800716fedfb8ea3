"""This project's code as stage programs import it, and nothing else of the environment that `local` itself is in."""

import importlib.util
from pathlib import Path

from distillation_operator.local.errors import LocalError

PACKAGES = ("distillation_api", "distillation_stages")


def code_folder(parent: Path) -> Path:
    """A new folder in ``parent`` with the API and the stage programs as links. Raises LocalError when they aren't
    installed.
    """
    folder = parent / "code"
    folder.mkdir()
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise LocalError(f"the package {name} isn't installed next to distillation_operator: install both as one")
        (folder / name).symlink_to(Path(next(iter(spec.submodule_search_locations))).resolve())
    return folder
