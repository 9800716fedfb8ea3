"""Where a training's start goes up to its first step, on this machine, in one run: imports, weights, compiling and the
rest, with an empty and with a filled cache of compiled programs; and what imports take with and without TensorFlow.

The model is small, so weights take next to nothing here. Imports take turns, so that ups and downs of the machine fall
on both. The last line printed is JSON.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

from distillation_api.contract import StageResult, StartUp
from distillation_stages.runtime.storage import Storage
from e2e.stage_programs import environment, interpreter
from e2e.training_storage import Training, convert, counting_rows, packed, prepared, small_model, train_program

ROUNDS = 2
STEPS = 2
IMPORT = """
import contextlib, sys, time
from distillation_stages.maxtext import start
start.patch_imports()
with start.without_tensorflow() if sys.argv[1] == "without" else contextlib.nullcontext():
    start.TRAINERS["sft"]()
print(time.process_time())
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="starts of each kind")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        storage = Storage(folder / "storage")
        small_model(storage, "student", 0)
        convert(storage, "student", folder / "convert")
        prepared(storage, counting_rows(8))
        packed(storage, folder / "packed")
        starts = {
            # Each cold start has a cache of its own, which its warm one finds.
            kind: [start_of(storage, folder, kind, turn) for turn in range(rounds)]
            for kind in ("cold", "warm")
        }
        imports: dict[str, list[float]] = {"with": [], "without": []}
        for turn in range(rounds):
            for kind in ("with", "without") if turn % 2 == 0 else ("without", "with"):
                imports[kind].append(seconds_of_imports(folder, kind))
    cold, warm = (middle(starts[kind]) for kind in ("cold", "warm"))
    told = {
        "rounds": rounds,
        "shares": {kind: shares(start) for kind, start in (("cold", cold), ("warm", warm))},
        "secondsToFirstStep": {kind: [round(one.seconds, 1) for one in starts[kind]] for kind in starts},
        "warmOverCold": round(warm.seconds / cold.seconds, 3),
        "compileWarmOverCold": round(warm.compile / cold.compile, 3),
        "cacheHits": {kind: [one.cache_hits for one in starts[kind]] for kind in starts},
        "cacheMisses": {kind: [one.cache_misses for one in starts[kind]] for kind in starts},
        "processorSecondsOfImports": imports,
        "importsWithoutOverWithTensorFlow": round(
            statistics.median(imports["without"]) / statistics.median(imports["with"]), 3
        ),
    }
    print(json.dumps(told))


def start_of(storage: Storage, folder: Path, kind: str, turn: int) -> StartUp:
    """What a training that runs to its end says of its start."""
    name = f"train-{kind}-{turn}"
    training = Training(storage, folder, train_program(STEPS), name, {"COMPILE_CACHE": f"cache-{turn}"})
    training.run()
    told = StageResult.model_validate_json(training.log.read_text()).start_up
    assert told is not None, training.output()
    return told


def middle(starts: list[StartUp]) -> StartUp:
    """The one of median length."""
    return sorted(starts, key=lambda start: start.seconds)[len(starts) // 2]


def shares(start: StartUp) -> dict[str, float]:
    """Of the whole, by part."""
    parts = {"imports": start.imports, "weights": start.weights, "compile": start.compile, "other": start.other}
    return {name: round(seconds / start.seconds, 3) for name, seconds in parts.items()}


def seconds_of_imports(folder: Path, kind: str) -> float:
    """Of the processor, from the start of a process until the trainer is imported: other work on the machine makes the
    clock's time longer, and that of both kinds differently.
    """
    command = [str(interpreter("trainer")), "-c", IMPORT, kind]
    variables = environment(HOME=str(folder))
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=variables, cwd=folder, timeout=600)
    return round(float(done.stdout.splitlines()[-1]), 1)


if __name__ == "__main__":
    main()
