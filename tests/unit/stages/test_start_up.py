"""Where a start's seconds go: measured by part up to the first token or step, told while it goes on and at its end."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from distillation_api import reasons
from distillation_api.contract import StageResult, StartUp
from distillation_stages.maxtext.start_up import Listener, TrainerStart
from distillation_stages.programs.generate.engine_log import CONFIG_ENV, EngineLog, seconds_of_weights
from distillation_stages.runtime.failure import StageError, stage_failure
from distillation_stages.runtime.reporting import Reporter, termination_message
from distillation_stages.runtime.start_up import StartUpClock, seconds_of_process
from distillation_stages.runtime.storage import Storage

COMPILE, TRACE = "/jax/core/compile/backend_compile_duration", "/jax/core/compile/jaxpr_trace_duration"
READ = "/jax/orbax/read/total_duration_secs"


def clock_of(began: float, imports: float = 0, weights: float = 0, compiling: float = 0) -> StartUpClock:
    """A clock whose process has begun so many seconds ago."""
    clock = StartUpClock()
    clock._began = time.monotonic() - began
    clock._parts = {"imports": imports, "weights": weights, "compile": compiling}
    return clock


# The clock


def test_what_no_part_has_taken_is_other() -> None:
    told = clock_of(100, imports=10, weights=20, compiling=30).read()
    assert (told.imports, told.weights, told.compile) == (10, 20, 30)
    assert told.other == pytest.approx(40, abs=0.5)


def test_after_the_first_step_nothing_is_added() -> None:
    clock = clock_of(50, imports=10)
    clock.first()
    before = clock.read()
    clock.took("compile", 30)
    clock.found(1, 1)
    time.sleep(0.2)
    assert clock.read() == before


def test_parts_are_never_more_than_the_whole() -> None:
    told = clock_of(50, imports=40, weights=1000).read()
    assert (told.imports, told.compile, told.other) == (40, 0, 0)
    assert told.seconds == pytest.approx(50, abs=0.5)


def test_what_a_log_says_beyond_all_measure_breaks_nothing() -> None:
    clock = clock_of(50)
    clock.took("weights", float("inf"))
    clock.found(10**30, 10**30)
    told = clock.read()
    assert told.weights == pytest.approx(50, abs=0.5)
    assert told.cache_hits == told.cache_misses == 2**31


def test_the_process_is_as_old_as_the_kernel_says() -> None:
    assert 0 < seconds_of_process() < 24 * 3600


@pytest.mark.parametrize("content", [None, "", "1 (a b) c) S 1", "1 (x) S " + "y " * 30])
def test_an_age_that_cannot_be_known_is_none(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "stat").write_text(content)
    assert seconds_of_process(tmp_path / "stat") == 0


# What is told


def test_progress_failures_and_results_tell_it_and_markers_do_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = clock_of(60, compiling=25)
    Reporter("generate", "rows", clock).progress(0, 10)
    assert json.loads(capsys.readouterr().out)["startUp"]["compile"] == 25
    with pytest.raises(StageError) as caught, clock.attached_to_failures():
        raise StageError(reasons.OUT_OF_MEMORY, "too large")
    failure = stage_failure("generate", reasons.OUT_OF_MEMORY, "too large", caught.value.start_up)
    assert json.loads(termination_message(failure))["startUp"]["compile"] == 25
    result = StageResult(stage="train", fingerprint="f", start_up=clock.read())
    assert json.loads(termination_message(result))["startUp"]["compile"] == 25
    Storage(tmp_path).write_marker("train", result)
    # An image of before would refuse a member that it doesn't know, and train again.
    assert "startUp" not in json.loads((tmp_path / "train" / "_DONE.json").read_text())


def test_who_measures_nothing_says_nothing_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    Reporter("fetch", "bytes").progress(0, 10)
    assert "startUp" not in capsys.readouterr().out
    assert "startUp" not in termination_message(StageResult(stage="fetch", fingerprint="f"))


# The trainer's own


class Monitoring:
    """Stands for jax.monitoring."""

    def register_event_listener(self, listener: Any) -> None:
        self.event = listener

    def register_event_duration_secs_listener(self, listener: Any) -> None:
        self.lasted = listener


def listening(imports: float = 5) -> tuple[Listener, Monitoring, list[float]]:
    now, monitoring = [100.0], Monitoring()
    listener = Listener(imports, now=lambda: now[0])
    listener.listen(monitoring)
    return listener, monitoring, now


def test_events_within_events_and_in_several_threads_count_once() -> None:
    listener, jax, now = listening()
    jax.lasted(TRACE, 4.0)
    jax.lasted(TRACE, 10.0, fun_name="outer")
    now[0] = 105.0
    jax.lasted(COMPILE, 5.0)
    jax.lasted(COMPILE, 3.0)
    assert listener.read().compile == pytest.approx(15)


def test_a_read_that_compiles_is_not_counted_twice() -> None:
    listener, jax, now = listening()
    jax.lasted(COMPILE, 2.0)
    now[0] = 104.0
    jax.lasted(READ, 10.0)
    told = listener.read()
    assert [told.weights, told.compile] == pytest.approx([8, 2])


def test_other_events_are_none_of_ours() -> None:
    listener, jax, _ = listening()
    jax.lasted("/jax/orbax/write/total_duration_secs", 10.0)
    jax.lasted("/jax/compilation_cache/compile_time_saved_sec", 10.0)
    jax.event("/jax/compilation_cache/tasks_using_cache")
    assert listener.read() == TrainerStart(5, 0, 0)


def test_the_line_of_the_log_is_told_once_and_read_back() -> None:
    listener, jax, _ = listening(12.345)
    jax.lasted(COMPILE, 7.5)
    for event in ("hits", "hits", "misses"):
        jax.event(f"/jax/compilation_cache/cache_{event}")
    lines: list[str] = []
    listener.tell(lines.append)
    listener.tell(lines.append)
    [line] = lines
    assert TrainerStart.parse(f"I1127 15:45:34.069883 1401 start_up.py:71] {line}") == TrainerStart(
        12.35, 0, 7.5, hits=2, misses=1
    )


@pytest.mark.parametrize("line", ["", "start-up: imports=nan weights=1 compile=1 hits=1 misses=1", "start-up: x"])
def test_another_line_is_none(line: str) -> None:
    assert TrainerStart.parse(line) is None


# The engine's own

CPU = """1764258700.101 Loading weights took 12.50 seconds
1764258710.201 init engine (profile, create kv cache, warmup model) took 33.25 s
"""
TORCHAX = """1764258600.000 Init mesh | mesh=Mesh('data': 1, 'model': 4)
1764258640.000 Total time to load model weights from storage to TPU: 38.10 seconds.
1764258650.000 Init model | hbm=[(1.0, 2.0)]GiB
1764258910.201 init engine (profile, create kv cache, warmup model) took 250.00 s (compilation: 240.00 s)
1764258910.301 Persistent compilation cache hit for 'jit_step' with key 'a'
1764258910.401 PERSISTENT COMPILATION CACHE MISS for 'jit_other' with key 'b'
1764258910.501 PERSISTENT COMPILATION CACHE MISS for 'jit_third' with key 'c'
"""
FLAX = """1764258600.000 Init mesh | mesh=Mesh('data': 1, 'model': 4)
1764258631.500 Init model | hbm=[(1.0, 2.0)]GiB
"""


@pytest.mark.parametrize(
    ("lines", "weights", "compiling", "cache"),
    [(CPU, 12.5, 33.25, (0, 0)), (TORCHAX, 38.1, 250.0, (1, 2)), (FLAX, 31.5, 0, (0, 0)), ("", 0, 0, (0, 0))],
    ids=["CPU", "TPU by PyTorch", "TPU by JAX", "nothing"],
)
def test_the_engines_lines_tell_weights_and_compiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, weights: float, compiling: float, cache: Any
) -> None:
    monkeypatch.setenv(CONFIG_ENV, "another")
    log, clock = EngineLog(tmp_path), clock_of(1000)
    (tmp_path / "engine.log").write_text(lines)
    log.tell(clock)
    told = clock.read()
    assert [told.weights, told.compile] == pytest.approx([weights, compiling], abs=0.1)
    assert (told.cache_hits, told.cache_misses) == cache


def test_an_engine_that_says_nothing_is_all_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG_ENV, "another")
    clock = clock_of(10)
    EngineLog(tmp_path).tell(clock)
    assert clock.read().other == pytest.approx(10, abs=0.5)
    assert seconds_of_weights("1.5 Init model | first\n0.5 Init mesh | later\n") == 1.0


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), 1e9])
def test_a_start_of_no_sense_is_refused_where_it_is_read(value: float) -> None:
    with pytest.raises(ValueError, match="imports"):
        StartUp(imports=value)
