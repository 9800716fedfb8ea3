"""Where a trainer's start goes, by the events that JAX and Orbax tell of themselves; a line of the log says it."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

COMPILING = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)
"""Tracing, lowering and compiling; what a cache has is loaded within the last."""
HIT, MISS = "/jax/compilation_cache/cache_hits", "/jax/compilation_cache/cache_misses"
_NUMBER = r"(\d+(?:\.\d+)?)"
_LINE = re.compile(rf"start-up: imports={_NUMBER} weights={_NUMBER} compile={_NUMBER} hits=(\d+) misses=(\d+)$")

Span = tuple[float, float]


@dataclass(frozen=True)
class TrainerStart:
    """What one start of the trainer has taken up to its first step, in seconds."""

    imports: float
    weights: float
    compile: float
    hits: int = 0
    misses: int = 0

    def line(self) -> str:
        """As the trainer logs it."""
        return (
            f"start-up: imports={self.imports:.2f} weights={self.weights:.2f} compile={self.compile:.2f} "
            f"hits={self.hits} misses={self.misses}"
        )

    @staticmethod
    def parse(line: str) -> "TrainerStart | None":
        """From a line of the log; None for any other."""
        found = _LINE.search(line)
        if found is None:
            return None
        imports, weights, compiling = (float(found[number]) for number in (1, 2, 3))
        return TrainerStart(imports, weights, compiling, int(found[4]), int(found[5]))


@dataclass
class Listener:
    """Collects the events of JAX's monitoring until it has been asked."""

    imports: float
    """Seconds from the start of the process until everything was imported."""
    now: Callable[[], float] = time.time
    compiling: list[Span] = field(default_factory=list)
    reading: list[Span] = field(default_factory=list)
    hits: int = 0
    misses: int = 0
    logged: bool = False

    def listen(self, monitoring: Any) -> None:
        """Register with ``jax.monitoring``."""
        monitoring.register_event_listener(self._count)
        monitoring.register_event_duration_secs_listener(self._add)

    def tell(self, log: Callable[[str], None]) -> None:
        """Log the line, once: before that of the first step."""
        if not self.logged:
            self.logged = True
            log(self.read().line())

    def read(self) -> TrainerStart:
        """Up to now. Events lie within each other, and come from several threads: what overlaps is counted once."""
        compiling = _length(self.compiling)
        # A restore that compiles is both: compiling it is.
        weights = _length([*self.compiling, *self.reading]) - compiling
        return TrainerStart(self.imports, max(0.0, weights), compiling, self.hits, self.misses)

    def _count(self, event: str, **others: Any) -> None:
        if not self.logged:
            self.hits += event == HIT
            self.misses += event == MISS

    def _add(self, event: str, seconds: float, **others: Any) -> None:
        if self.logged:
            return
        spans = self.compiling if event in COMPILING else self.reading if is_reading(event) else None
        if spans is not None:
            # An event is told when it is over.
            now = self.now()
            spans.append((now - seconds, now))


def is_reading(event: str) -> bool:
    """True for the time that Orbax has taken to read a checkpoint, or a part of it."""
    return event.startswith(("/jax/checkpoint/read/", "/jax/orbax/read/")) and "duration" in event


def _length(spans: Iterable[Span]) -> float:
    length, end = 0.0, float("-inf")
    for begin, finish in sorted(spans):
        length += max(0.0, finish - max(begin, end))
        end = max(end, finish)
    return length
