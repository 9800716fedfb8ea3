"""What vLLM's own log says of its start, in whatever process it says it: on TPUs the engine has one of its own.

The lines go to a file beside the console, which stays as quiet as it was.
"""

import json
import logging
import os
import re
from pathlib import Path
from typing import Any

from distillation_stages.runtime.start_up import StartUpClock

CONFIG_ENV = "VLLM_LOGGING_CONFIG_PATH"
LIMIT = 4 << 20
"""Bytes that are read; a start says a few lines, and many thousands where it compiles much."""

_SECONDS = r"(\d+(?:\.\d+)?) s"
_LOADED = re.compile(rf"(?:Loading weights took|Total time to load model weights from storage to TPU:) {_SECONDS}")
_COMPILED = re.compile(rf"init engine \(profile, create kv cache, warmup model\) took {_SECONDS}")
_MESH, _MODEL = re.compile(r"^(\d+\.\d+) Init mesh \|"), re.compile(r"^(\d+\.\d+) Init model \|")
"""On TPUs weights are loaded between these two lines, where no other says how long it took."""
_HIT, _MISS = "Persistent compilation cache hit for ", "PERSISTENT COMPILATION CACHE MISS for "


class EngineLog:
    """The file with the lines of one start."""

    def __init__(self, folder: Path) -> None:
        """Set the environment that vLLM and its processes read; to be called before vLLM is imported. One who has
        configured its log otherwise is left alone, and nothing is known then.
        """
        self._lines = folder / "engine.log"
        self._lines.unlink(missing_ok=True)
        configuration = folder / "engine-log.json"
        configuration.write_text(json.dumps(_configuration(self._lines)))
        if os.environ.get("VLLM_CONFIGURE_LOGGING", "1") != "0":
            os.environ.setdefault(CONFIG_ENV, str(configuration))

    def tell(self, clock: StartUpClock) -> None:
        """What the start has taken, as far as the lines say it."""
        try:
            with self._lines.open(errors="replace") as file:
                text = file.read(LIMIT)
        except OSError:
            return
        clock.took("weights", seconds_of_weights(text))
        clock.took("compile", sum(float(found[1]) for found in _COMPILED.finditer(text)))
        clock.found(text.count(_HIT), text.count(_MISS))


def seconds_of_weights(text: str) -> float:
    """Of loading, by the engine's own measure, or by the time between two of its lines."""
    told = [float(found[1]) for found in _LOADED.finditer(text)]
    if told:
        return max(told)
    lines = text.splitlines()
    mesh = [float(found[1]) for line in lines if (found := _MESH.match(line))]
    model = [float(found[1]) for line in lines if (found := _MODEL.match(line))]
    return max(0.0, model[-1] - mesh[-1]) if mesh and model else 0.0


def _configuration(lines: Path) -> dict[str, Any]:
    """For ``logging.config.dictConfig``: vLLM's console as it would be, and the lines that tell of a start."""
    level = os.environ.get("VLLM_LOGGING_LEVEL", "WARNING").upper()
    if level not in logging.getLevelNamesMapping():
        level = "WARNING"
    starts = ("vllm.v1.engine.core", "vllm.model_executor.model_loader", "vllm.tpu_inference")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "console": {"format": "%(levelname)s %(asctime)s [%(name)s:%(lineno)d] %(message)s"},
            "lines": {"format": "%(created).3f %(message)s"},
        },
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": "console",
                "level": level,
                "stream": os.environ.get("VLLM_LOGGING_STREAM", "ext://sys.stdout"),
            },
            # Nothing is written before there is something to say.
            "lines": {"class": "logging.FileHandler", "formatter": "lines", "filename": str(lines), "delay": True},
        },
        "loggers": {
            "vllm": {"handlers": ["console"], "level": level, "propagate": False},
            **{name: {"handlers": ["lines"], "level": "INFO"} for name in starts},
            # Whether a cache had a program is said to those alone who debug.
            "jax._src.compiler": {"handlers": ["lines"], "level": "DEBUG", "propagate": False},
        },
    }
