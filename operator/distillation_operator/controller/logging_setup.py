"""Logs: one JSON object per line, with the DistillationJob's namespace and name, or text for a person's terminal."""

import logging
import sys
from typing import Literal

from pythonjsonlogger.json import JsonFormatter


class _JobFields(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        key = getattr(record, "job", None)
        if isinstance(key, tuple):
            record.namespace, record.name_of_job = key
            record.job = "/".join(key)
        return True


def configure_logs(form: Literal["json", "text"]) -> None:
    """Send all logs to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_JobFields())
    if form == "json":
        handler.setFormatter(
            JsonFormatter(
                "%(asctime)s %(levelname)s %(name)s %(message)s",
                rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            )
        )
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # kopf tells each event that it hands over; what we do with it is what a reader wants.
    logging.getLogger("kopf").setLevel(logging.WARNING)
