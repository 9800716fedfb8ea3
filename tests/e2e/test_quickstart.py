"""The quickstart's job by `distillation-operator local`, killed at random moments: the same end as without."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from demo.inputs.__main__ import write_inputs
from demo.quickstart import EXAMPLE, JOB, closing_lines, read_status
from demo.result import result_of
from distillation_stages.data.tables import parts_of, read_rows
from distillation_stages.runtime.storage import Storage, sha256_of

CHECKOUT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("KILLS", "10"))
LONGEST = 3600.0
"""Seconds that no run takes."""
NOT_PROMISED = {
    "restarts", "repeatedSteps", "compileCacheHits", "compileCacheMisses",
    "completionTokens", "tokens", "trainedTokens", "klTokens", "comparedWithSampled", "answerCut",
}  # fmt: skip
"""Counts of interruptions and caches, and those that follow the teacher's words: batches of another size may change
these in a bit."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(3 * LONGEST)]


def start(storage: Path) -> subprocess.Popen[bytes]:
    """The job on this folder, from where it is."""
    command = [sys.executable, "-m", "distillation_operator", "local", str(EXAMPLE), "--storage", str(storage)]
    path = os.pathsep.join(str(CHECKOUT / folder) for folder in ("operator", "images"))
    with (storage / "output").open("ab") as output:
        return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stdout=output, stderr=output)


def to_its_end(storage: Path) -> None:
    """Run the job to its end, which is the student's."""
    code = start(storage).wait(LONGEST)
    assert code == 0, (storage / "output").read_text()[-4000:]


def folder_with_inputs(path: Path) -> Path:
    path.mkdir()
    write_inputs(path)
    return path


def outcome(folder: Path) -> dict[str, Any]:
    """What the job has made, but for what no two runs have in common: times, speeds, and weights to the last bit."""
    job = read_status(folder / JOB / "status.yaml")
    storage = Storage(folder)
    stages = {stage["name"]: stage for stage in job["status"]["stages"]}
    rows = [row for part in outputs(storage, "generate") for row in read_rows(parts_of(storage.at(part)))]
    student = folder / result_of(job)["exportedModel"]
    return {
        "states": {name: stage["state"] for name, stage in stages.items()},
        "counts": {name: repeatable(stage.get("counts") or {}) for name, stage in stages.items()},
        "data": [list(read_rows(parts_of(storage.at(part)))) for part in outputs(storage, "prepare-dataset")],
        "answered": sorted((row["row"], row["sample"]) for row in rows),
        "student": sorted(path.name for path in student.iterdir()),
        "weights": sum(path.stat().st_size for path in student.glob("*.safetensors")),
        "as it came": {path.name: sha256_of(path) for path in student.iterdir() if path.name.startswith("tokenizer")},
    }


def repeatable(counts: dict[str, int]) -> dict[str, int]:
    """Counts that no kill changes."""
    # Orbax packs the same weights in files of this or that size.
    leave = NOT_PROMISED | ({"bytes"} if "parameters" in counts else set())
    return {name: count for name, count in counts.items() if name not in leave}


def outputs(storage: Storage, stage: str) -> list[str]:
    """The folders of rows that the stage, which was done once, has left."""
    [folder] = (storage.mount / "distillation" / stage).iterdir()
    directory = folder.relative_to(storage.mount).as_posix()
    if stage == "generate":
        return [f"{directory}/{shard.name}" for shard in sorted(folder.glob("shard-*"))]
    marker = storage.require_marker(directory)
    return [marker.outputs[name] for name in ("train", "holdout")]


def test_killed_at_random_moments_it_ends_with_what_an_undisturbed_run_ends_with(tmp_path: Path) -> None:
    undisturbed = folder_with_inputs(tmp_path / "undisturbed")
    began = time.monotonic()
    to_its_end(undisturbed)
    seconds = time.monotonic() - began
    expected = outcome(undisturbed)

    killed = folder_with_inputs(tmp_path / "killed often")
    moments = random.Random()
    for _ in range(KILLS):
        process = start(killed)
        # All of them together are shorter than the run. Its stages' programs live on: the next start ends them.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(moments.uniform(0, seconds / KILLS))
        process.kill()
        process.wait()
    to_its_end(killed)

    assert outcome(killed) == expected
    job = read_status(killed / JOB / "status.yaml")
    result = result_of(job)
    assert result["crossEntropyAfter"] < 0.6 * result["crossEntropyBefore"]
    assert f"the student:  killed often/{result['exportedModel']}" in closing_lines(job, killed, tmp_path)
