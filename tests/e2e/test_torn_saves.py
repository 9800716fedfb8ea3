"""On a bucket without directories, what a killed conversion or training had saved is whole or absent.

``KILLS`` is how often each is killed, at random moments (``make test-torn``: 25); ``SEED`` chooses the moments.
"""

import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from distillation_api.contract import EXIT_DONE, ConvertProgram, Program, StageResult, StageSpec
from distillation_stages.maxtext.checkpoints import newest_step, steps_in
from distillation_stages.runtime.storage import Storage
from e2e.killed_process import Process
from e2e.stage_programs import environment, interpreter
from e2e.training_storage import MODEL, copy_of, counting_rows, packed, prepared, train_program

FLAT_BUCKET = Path(__file__).resolve().parents[1] / "support" / "flat_bucket"
KILLS = int(os.environ.get("KILLS", "1"))
SEED = os.environ.get("SEED") or str(random.SystemRandom().randrange(10**6))
LONGEST = 900.0
"""Seconds that no attempt takes."""

OUTPUT = "killed"
SAVED = f"{OUTPUT}/run/checkpoints"
STEPS = 24
OPTIMIZER = "optimizer_state"
ITEMS = ("model_params", OPTIMIZER)

pytestmark = pytest.mark.timeout(7200)


def on_a_flat_bucket(directory_rename: str) -> dict[str, str]:
    """The environment in which a program finds its storage so."""
    path = f"{FLAT_BUCKET}{os.pathsep}{environment()['PYTHONPATH']}"
    return {"PYTHONPATH": path, "DIRECTORY_RENAME": directory_rename}


@pytest.fixture(scope="module")
def source(converted_models: Storage, tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """A storage with a converted student and the sequences of a training."""
    storage = copy_of(converted_models, tmp_path_factory.mktemp("torn") / "storage")
    prepared(storage, counting_rows(16))
    packed(storage, storage.mount.with_name("packed"))
    return storage


@dataclass
class Attempts:
    """A program that is started again and again on the same storage."""

    source: Storage
    folder: Path
    python: str
    program: Program
    begun: str
    """What it prints when it is about to save."""
    started: int = 0

    def start(self, storage: Storage, variables: dict[str, str]) -> Process:
        """The next attempt."""
        self.started += 1
        spec = StageSpec(stage=OUTPUT, fingerprint="k", output=OUTPUT, program=self.program)
        return Process(spec, self.python, storage, self.folder / f"attempt-{self.started}", variables)

    def undisturbed(self, variables: dict[str, str]) -> tuple[Storage, float]:
        """What one attempt leaves, and the seconds from its first save on to its end."""
        storage = copy_of(self.source, self.folder / f"undisturbed-{self.started}")
        process = self.start(storage, variables)
        begun = self._wait_for_save(process)
        assert process.wait(LONGEST) == EXIT_DONE, process.output()
        return storage, time.monotonic() - begun

    def killed(self, kills: int, seconds: float) -> Iterator[tuple[Storage, Process, bool]]:
        """Each attempt, after it was killed at a random moment from its first save on, or has ended.

        After an end the next one is on a new storage; the last attempt is one that ends.
        """
        print(f"SEED={SEED}: {kills} kills within {seconds:.1f} s of saving", flush=True)
        moments = random.Random(SEED)
        storage = copy_of(self.source, self.folder / f"storage-{self.started}")
        while True:
            process = self.start(storage, on_a_flat_bucket("refused" if self.started % 2 else "file by file"))
            moment = moments.uniform(0, seconds) if kills else LONGEST
            try:
                code = process.wait(max(0.0, self._wait_for_save(process) + moment - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                kills -= 1
                yield storage, process, True
                continue
            assert code == EXIT_DONE, f"SEED={SEED} {process.output()}"
            yield storage, process, False
            shutil.rmtree(storage.mount)
            if not kills:
                return
            storage = copy_of(self.source, self.folder / f"storage-{self.started}")

    def _wait_for_save(self, process: Process) -> float:
        """When it was about to save, or had ended without."""
        while self.begun not in printed(process):
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            break
        return time.monotonic()


def printed(process: Process) -> str:
    """All that it has printed."""
    return (process.folder / "log").read_text(errors="replace")


def marker(storage: Storage) -> StageResult:
    """The result of the program that has ended."""
    result = storage.read_marker(OUTPUT)
    assert result is not None
    return result


READ_ALL = """
import hashlib, json, sys
import jax, numpy
from orbax.checkpoint import PyTreeCheckpointer

def digest(directory):
    told = hashlib.sha256()
    for name, value in jax.tree_util.tree_leaves_with_path(PyTreeCheckpointer().restore(directory)):
        # The others are counts, and keys of random numbers.
        if jax.numpy.issubdtype(getattr(value, "dtype", int), jax.numpy.inexact):
            told.update(jax.tree_util.keystr(name).encode() + numpy.asarray(value).tobytes())
    return told.hexdigest()

found = {}
for directory in sys.argv[1:]:
    try:
        found[directory] = digest(directory)
    except Exception as error:
        print(directory, repr(error)[:500], file=sys.stderr)
        found[directory] = ""
print("READ", json.dumps(found))
"""


def read_all(items: list[Path]) -> dict[Path, str]:
    """A digest of the weights in each item of a checkpoint, all of which Orbax reads as it is; empty where it can't."""
    command = [str(interpreter("trainer")), "-c", READ_ALL, *map(str, items)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=LONGEST, check=False)
    told = next((line for line in done.stdout.splitlines() if line.startswith("READ ")), None)
    assert told is not None, done.stderr[-4000:]
    return {Path(path): digest for path, digest in json.loads(told.removeprefix("READ ")).items()}


def content(storage: Storage, directory: str) -> str:
    """The digest of a checkpoint's item."""
    digest = read_all([storage.at(directory)])[storage.at(directory)]
    assert digest
    return digest


def converted(storage: Storage) -> Any:
    """What a conversion has made."""
    result = marker(storage)
    assert len(list(storage.at(OUTPUT).glob("work-*"))) == 1, "a killed try's work is left"
    # Not the bytes: Orbax packs the same weights into files of one size or another.
    return result.counts["parameters"], result.settings, result.metrics, content(storage, result.outputs["checkpoint"])


def test_a_conversion_ends_with_the_same_checkpoint_however_often_it_is_killed(source: Storage, tmp_path: Path) -> None:
    program = ConvertProgram(model="fetch-student", max_text_model=MODEL)
    attempts = Attempts(source, tmp_path, "converter", program, begun="reference logits after")
    storage, seconds = attempts.undisturbed({})
    expected = converted(storage)
    for storage, _, killed in attempts.killed(KILLS, seconds):
        if not killed:
            assert converted(storage) == expected
        elif storage.read_marker(OUTPUT) is not None:
            # Killed after its last write.
            assert converted(storage) == expected


def trained(storage: Storage) -> Any:
    """What a training has made: each step's loss, and the weights to the last bit."""
    result = marker(storage)
    history = [json.loads(line) for line in storage.at(result.outputs["history"]).read_text().splitlines()]
    losses = [(entry["step"], entry["loss"]) for entry in history]
    return result.counts["steps"], result.metrics["loss"], losses[-1], content(storage, result.outputs["checkpoint"])


def test_no_torn_checkpoint_of_a_training_is_believed_and_none_is_removed_that_was_whole(
    source: Storage, tmp_path: Path
) -> None:
    """S2."""
    program = train_program(steps=STEPS, checkpoint_period=2)
    attempts = Attempts(source, tmp_path, "trainer", program, begun="completed step:")
    storage, seconds = attempts.undisturbed({})
    expected = trained(storage)
    left, believed, goes_on_from = [], set[Path](), 0
    for storage, process, killed in attempts.killed(KILLS, seconds):
        if 0 < goes_on_from < STEPS:
            assert f"starting MaxText from step {goes_on_from}" in printed(process)
        if not killed:
            assert trained(storage) == expected
            goes_on_from = 0
            continue
        # The next attempt may remove any of them.
        kept = tmp_path / "left" / str(attempts.started)
        shutil.copytree(storage.at(SAVED), kept, copy_function=os.link)
        left.append(kept)
        believed |= {kept / str(step) for step in steps_in(storage.at(SAVED))}
        goes_on_from = newest_step(storage.at(SAVED)) or 0
    committed = [path.parent for kept in left for path in sorted(kept.glob("[0-9]*/commit_success.txt"))]
    digests = read_all([step / item for step in committed if step.name.isdecimal() for item in ITEMS])
    # After the last step a training drops what only a continued one needs.
    whole = {
        step
        for step in committed
        if all(digests[step / item] or (item == OPTIMIZER and step.name == str(STEPS)) for item in ITEMS)
    }
    print(f"SEED={SEED}: {len(left)} kills left {len(whole)} whole checkpoints", flush=True)
    assert believed == whole
