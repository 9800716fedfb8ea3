"""Where a start's seconds went, kept beside the marker for the report. Markers don't tell it: an image of before
would refuse those with a member that it doesn't know, and do the work again.
"""

from pathlib import Path

from pydantic import ValidationError

from distillation_api.contract import StartUp
from distillation_stages.runtime.regular_files import NotRegular, read_regular
from distillation_stages.runtime.storage import publish_bytes

NAME = "_START_UP.json"
LIMIT = 4096
"""Bytes of it."""


def write_start_up(directory: Path, start_up: StartUp) -> None:
    """Publish it in the folder of a stage or shard; to be called before its marker is written."""
    publish_bytes(directory / NAME, start_up.model_dump_json(by_alias=True).encode())


def read_start_up(directory: Path) -> StartUp | None:
    """What the run that finished the work has told; None where it hasn't, or where something else lies there."""
    try:
        return StartUp.model_validate_json(read_regular(directory / NAME, LIMIT))
    except (OSError, NotRegular, ValidationError):
        return None
