"""The training stage's data: how long the trainer takes to its first step with few and with many rows, and whether it
learns what MaxText's own pipeline would.

All in one run on this machine; the last line printed is JSON. Starts take turns, so that ups and downs of the machine
fall on both sizes. The loss is that of the first twenty steps on conversations of one turn, from the same checkpoint.
"""

import argparse
import json
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.own_pipeline import sft_arguments, written_rows
from distillation_api.contract import StageResult
from distillation_stages.data.tables import Row
from distillation_stages.maxtext.command import TRAINER_MODULE
from distillation_stages.runtime.storage import Storage
from e2e.stage_programs import environment, interpreter
from e2e.training_storage import Training, convert, packed, prepared, small_model, train_program

FEW, MANY = 2_000, 200_000
ROUNDS = 2
STEPS = 20
LOSS = re.compile(r"completed step: (\d+),.* loss: ([0-9.]+)")


def rows_of(count: int) -> list[Row]:
    """Short conversations of one turn."""
    return [
        {"row": row, "prompt": [{"role": "user", "content": f"Double {row}."}], "reference": f"It is {2 * row}."}
        for row in range(count)
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many", type=int, default=MANY, help="rows of the larger dataset")
    many = parser.parse_args().many
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        storage = Storage(folder / "storage")
        small_model(storage, "student", 0)
        converted = convert(storage, "student", folder / "convert")
        seconds_to_pack = {}
        for name, count in (("few", FEW), ("many", many)):
            prepared(storage, rows_of(count))
            started = time.monotonic()
            packed(storage, folder / name, name, epochs=1, steps=count // 4)
            seconds_to_pack[name] = round(time.monotonic() - started, 1)
        starts: dict[str, list[float]] = {"few": [], "many": []}
        for turn in range(ROUNDS):
            for name in ("few", "many") if turn % 2 == 0 else ("many", "few"):
                starts[name].append(seconds_to_first_step(storage, folder, name, turn))
        prepared(storage, rows_of(STEPS * 4))
        packed(storage, folder / "compared", "compared", epochs=1)
        ours, own = our_losses(storage, folder), own_losses(storage, folder, converted)
    medians = {name: statistics.median(values) for name, values in starts.items()}
    told = {
        "rows": {"few": FEW, "many": many},
        "secondsToPack": seconds_to_pack,
        "secondsToFirstStep": starts,
        "ratio": round(medians["many"] / medians["few"], 3),
        "steps": len(ours),
        "firstAndLastLoss": [ours[0], ours[-1]],
        "greatestDifferenceOfLoss": max(abs(a - b) for a, b in zip(ours, own, strict=True)),
    }
    print(json.dumps(told))


def seconds_to_first_step(storage: Storage, folder: Path, name: str, turn: int) -> float:
    """From the start of the stage's program, which then ends."""
    training = Training(storage, folder, train_program(FEW // 4, name), f"train-{name}-{turn}")
    told: list[float] = []

    def first(line: str) -> bool:
        if "completed step: 1," in line:
            told.append(time.monotonic())
        return bool(told)

    started = time.monotonic()
    training.run_until(first)
    return round(told[0] - started, 2)


def our_losses(storage: Storage, folder: Path) -> list[float]:
    """Of the stage as it runs."""
    training = Training(storage, folder, train_program(STEPS, "compared"), "train-compared")
    history = storage.at(training.run().outputs["history"]).read_text().splitlines()
    return [json.loads(line)["loss"] for line in history]


def own_losses(storage: Storage, folder: Path, converted: StageResult) -> list[float]:
    """The same trainer with MaxText's own pipeline."""
    rows = written_rows(storage, folder / "own")
    program = train_program(STEPS, "compared")
    arguments = sft_arguments(storage, program, STEPS, converted, rows, folder / "own-output")
    command = [str(interpreter("trainer")), "-m", TRAINER_MODULE, "sft", *arguments]
    variables = environment(HOME=str(folder))
    done = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=folder, check=False)
    found = [float(loss) for _, loss in LOSS.findall(done.stdout + done.stderr)]
    assert len(found) == STEPS, (done.stdout + done.stderr)[-3000:]
    return found


if __name__ == "__main__":
    main()
