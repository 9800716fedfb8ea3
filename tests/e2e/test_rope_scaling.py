"""Both trainers with Llamas that scale RoPE by numbers of their own; Llama 3.1 teaches 3.2 in one process."""

import json
import subprocess
from pathlib import Path

import pytest

from distillation_api.contract import ConvertProgram, LogitMatching, Objective, StageSpec, SupervisedFineTuning
from distillation_stages.runtime.storage import Storage
from e2e.small_family import SHORT
from e2e.stage_programs import environment, interpreter, run_stage
from e2e.training_storage import Training, made_model, packed, prepared, train_program

NAME = "llama3.1-8b"
LENGTHS = {"student": SHORT, "teacher": 16}
QUESTION = {"role": "user", "content": "Count to 12."}
ANSWER = ", ".join(map(str, range(1, 13)))


def by_transformers(storage: Storage) -> tuple[float, float]:
    """The student's KL to the teacher, and its loss."""
    command = [interpreter("converter"), Path(__file__).with_name("matched_by_transformers.py")]
    models = [storage.mount / f"fetch-{role}" / "model" for role in ("student", "teacher")]
    conversation = json.dumps([QUESTION, {"role": "assistant", "content": ANSWER}])
    done = subprocess.run(
        [*map(str, command), *map(str, models)],
        input=conversation,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=300,
        check=True,
    )
    kl, loss = map(float, done.stdout.splitlines()[-1].split())
    return kl, loss


@pytest.mark.timeout(900)
def test_teacher_and_student_scale_rope_each_by_its_own_numbers(tmp_path: Path) -> None:
    """U01. Both have the same weights, so that all that lies between them is the scaling."""
    storage = Storage(tmp_path / "storage")
    for role, length in LENGTHS.items():
        made_model(storage, role, "small_family.py", "llama", str(length))
        program = ConvertProgram(model=f"fetch-{role}", max_text_model=NAME, trained=role == "student")
        spec = StageSpec(stage=f"convert-{role}", fingerprint="c", output=f"convert-{role}", program=program)
        run_stage(interpreter("converter"), spec, storage.mount, tmp_path / f"convert-{role}")
    prepared(storage, [{"row": row, "prompt": [QUESTION], "reference": ANSWER} for row in range(1, 5)])
    packed(storage, tmp_path / "packed")
    kl, loss = by_transformers(storage)
    assert kl > 0.1
    matching = LogitMatching(teacher="convert-teacher", alpha=1.0, temperature=1.0, beta=0.0)
    assert first_step(storage, tmp_path, matching)["klToTeacher"] == pytest.approx(kl, rel=0.01)
    assert first_step(storage, tmp_path, SupervisedFineTuning())["loss"] == pytest.approx(loss, rel=0.001)


def first_step(storage: Storage, folder: Path, objective: Objective) -> dict[str, float]:
    name = f"train-{objective.kind}"
    training = Training(storage, folder, train_program(steps=1, objective=objective), name)
    told: dict[str, float] = json.loads(storage.at(training.run().outputs["history"]).read_text().splitlines()[0])
    return told
