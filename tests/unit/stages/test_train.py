"""When a training stage counts as done, how it resumes, and that it leaves nothing running."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distillation_api.contract import (
    EXIT_TERMINATED,
    Measurements,
    Objective,
    StageResult,
    StageSpec,
    SupervisedFineTuning,
    TrainProgram,
)
from distillation_stages.maxtext import distillation_config
from distillation_stages.maxtext.checkpoints import steps_in
from distillation_stages.maxtext.log import Devices
from distillation_stages.maxtext.packed_batches import Reading
from distillation_stages.programs.train import inputs as train_inputs
from distillation_stages.programs.train import training as train
from distillation_stages.programs.train.inputs import Host
from distillation_stages.programs.train.record import Summary
from distillation_stages.programs.train.trainer_process import TrainerProcess
from distillation_stages.runtime.claim import Pace, claimed
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.start_up import StartUpClock
from distillation_stages.runtime.storage import Storage
from unit.stages.stage_inputs import finish
from unit.stages.training_inputs import logit_matching, save_checkpoint, train_program

STEPS = 20
OUTPUT = "train"
COUNTS = {"steps": 20, "restarts": 0, "repeatedSteps": 0, "rows": 80, "answers": 90, "promptTooLong": 1}
"""Those of its rows are told again by what was trained on them."""
TESTS = Path(__file__).resolve().parents[2]


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A storage with a converted student, and MaxText replaced."""
    storage = Storage(tmp_path / "storage")
    replace_maxtext(monkeypatch)
    converted = StageResult(
        stage="convert",
        fingerprint="f0",
        outputs={"checkpoint": "convert/0/items"},
        settings={"model_name": "llama2-7b"},
    )
    storage.write_marker("convert", converted)
    storage.write_marker("convert-teacher", converted.model_copy(update={"stage": "convert-teacher"}))
    finish(storage, "student", model="student/model")
    counts = {"steps": STEPS, "rows": 80, "answers": 90, "promptTooLong": 1, "sequences": 80, "tokens": 900}
    packed = StageResult(stage="pack", fingerprint="f2", outputs={"sequences": "packed/sequences"}, counts=counts)
    storage.write_marker("packed", packed)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return storage


def replace_maxtext(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_inputs, "TRAINER_MODULE", "unit.stages.fake_trainer")
    for module in (train_inputs, distillation_config):
        monkeypatch.setattr(module, "config_file", lambda name: Path(name))


def spec(program: TrainProgram | None = None) -> StageSpec:
    return StageSpec(stage="train-x", fingerprint="f1", output=OUTPUT, program=program or train_program())


def run(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, program: TrainProgram | None = None, **plan: object
) -> StageResult | None:
    monkeypatch.setenv("FAKE_TRAINER", json.dumps(plan))
    return train.run(spec(program), storage)


def history(storage: Storage) -> list[dict[str, float]]:
    lines = (storage.at(OUTPUT) / "run" / "history.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def saved(storage: Storage) -> Path:
    return storage.at(OUTPUT) / "run" / "checkpoints"


# Done


def test_the_result_names_the_last_checkpoint_and_passes_the_settings_on(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(storage, monkeypatch)
    assert result is not None
    assert result.outputs == {
        "checkpoint": "train/run/checkpoints/20/model_params",
        "history": "train/run/history.jsonl",
    }
    assert result.settings == {"model_name": "llama2-7b"}
    assert result.metrics == {"firstLoss": 10.0, "loss": 0.5}
    assert result.counts == COUNTS
    assert storage.read_marker(OUTPUT) == result.model_copy(update={"start_up": None})


def test_only_the_last_checkpoint_is_kept_without_its_optimizer(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(storage, monkeypatch)
    assert steps_in(saved(storage)) == [STEPS]
    assert not (saved(storage) / "20" / "optimizer_state").exists()


def test_progress_is_told_in_steps(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(storage, monkeypatch)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (lines[0]["done"], lines[-1]["done"], lines[-1]["total"], lines[-1]["unit"]) == (0, 20, 20, "steps")
    assert lines[-1]["metrics"] == {"loss": 0.5, "tokensPerSecondPerDevice": 409.6}


def test_where_its_start_went_is_told_with_every_step_and_at_the_end(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "I1127 09:05 start_up.py:71] start-up: imports=0.10 weights=0.10 compile=0.20 hits=3 misses=1"
    result = run(storage, monkeypatch, start=line)
    assert result is not None
    told = result.start_up
    assert told is not None
    assert (told.weights, told.compile, told.cache_hits, told.cache_misses) == (0.1, 0.2, 3, 1)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["startUp"] == told.to_json_dict()
    assert json.loads((storage.at(OUTPUT) / "_START_UP.json").read_text()) == told.to_json_dict()


def test_one_that_fails_before_its_first_step_tells_how_far_it_came(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StageError) as caught:
        run(storage, monkeypatch, stop_at=0, exit=1)
    assert caught.value.start_up is not None
    assert caught.value.start_up.seconds > 0
    assert run(storage, monkeypatch) is not None


def test_work_that_was_found_done_tells_of_no_start(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    run(storage, monkeypatch)
    again = run(storage, monkeypatch)
    assert again is not None
    assert (again.reused, again.start_up) == (True, None)


def test_another_host_than_the_first_writes_nothing(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "1")
    assert run(storage, monkeypatch) is None
    assert storage.read_marker(OUTPUT) is None


def test_the_history_has_every_step_once(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    run(storage, monkeypatch)
    lines = history(storage)
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert lines[1] == {"step": 2, "loss": 5.0, "learningRate": 0.002, "tokensPerSecondPerDevice": 409.6}


# Logit matching

MATCHING = train_program(objective=logit_matching())


def test_logit_matching_ends_after_its_steps_and_tells_the_distance_to_the_teacher(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """M5: the distillation trainer ignores the steps."""
    result = run(storage, monkeypatch, MATCHING)
    assert result is not None
    assert result.outputs["checkpoint"] == "train/run/checkpoints/20/model_params"
    # 4 rows of 128 tokens in 2 seconds.
    told = {"loss": 0.5, "tokensPerSecondPerDevice": 256.0, "klToTeacher": 1.25}
    assert history(storage)[-1] == {"step": 20, "learningRate": 0.0003, **told}
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["metrics"] == told


@pytest.mark.parametrize(("accumulation", "batches"), [(1, 20), (3, 60)])
def test_every_step_of_gradient_accumulation_has_several_batches(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, accumulation: int, batches: int
) -> None:
    program = MATCHING.model_copy(update={"gradient_accumulation_steps": accumulation})
    training = TrainerProcess("train-x", program, STEPS, 0, None, StartUpClock())
    assert training._environment(Path("/tmp"))["TRAINING_BATCHES"] == str(batches)


def test_logit_matching_goes_on_from_its_checkpoint(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StageError):
        run(storage, monkeypatch, MATCHING, stop_at=12, exit=1)
    result = run(storage, monkeypatch, MATCHING)
    assert result is not None
    assert result.counts["repeatedSteps"] == 2
    assert [line["step"] for line in history(storage)] == list(range(1, STEPS + 1))


def test_the_teacher_must_be_converted_first(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    program = train_program(objective=logit_matching(teacher="not-yet"))
    with pytest.raises(StageError, match="not-yet"):
        run(storage, monkeypatch, program)


# Not done, though the trainer says so


@pytest.mark.parametrize(
    ("plan", "reason", "named"),
    [
        ({"stop_at": 0}, "NoTrainingSteps", "without a checkpoint of any of 20 steps"),
        ({"stop_at": 12}, "StoppedEarly", "20 steps, the newest whole checkpoint is of step 10"),
        ({"weights": 0}, "NoTrainableTokens", "maxTargetLength=128"),
        ({"loss": "nan"}, "LossNotFinite", "NaN"),
        ({"stop_at": 3, "say": "Exception in load_next_train_batch: bad row"}, "TrainingDataRefused", "bad row"),
        ({"stop_at": 3, "say": "ValueError: boom", "exit": 1}, "MaxTextFailed", "boom"),
    ],
)
@pytest.mark.parametrize("matching", [SupervisedFineTuning(), logit_matching()], ids=["sft", "logits"])
def test_a_training_that_did_not_happen_fails(
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
    matching: Objective,
    plan: dict[str, object],
    reason: str,
    named: str,
) -> None:
    """M1, M2, M3, M13, M18: the trainer ends with exit code 0 all the same."""
    with pytest.raises(StageError, match=named) as caught:
        run(storage, monkeypatch, train_program(objective=matching), **plan)
    assert caught.value.reason.name == reason
    assert storage.read_marker(OUTPUT) is None


def test_bad_data_is_a_permanent_failure_and_a_crash_is_not(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StageError) as bad_data:
        run(storage, monkeypatch, say="Exception in load_next_train_batch: bad row", stop_at=1)
    with pytest.raises(StageError) as crash:
        run(storage, monkeypatch, exit=1, stop_at=1)
    assert bad_data.value.reason.is_final
    assert not crash.value.reason.is_final


# Again


def test_a_restart_goes_on_from_the_newest_whole_checkpoint(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """M6, M7: what was lost is reported, and an interrupted save never chosen."""
    with pytest.raises(StageError):
        run(storage, monkeypatch, stop_at=12, exit=1)
    save_checkpoint(saved(storage), 15, whole=False)
    result = run(storage, monkeypatch)
    assert result is not None
    assert result.metrics["firstLoss"] == 10.0
    assert result.counts["restarts"] == 1
    assert result.counts["repeatedSteps"] == 2, "steps 11 and 12"
    assert [line["step"] for line in history(storage)] == list(range(1, STEPS + 1)), "the repeated ones once"


@pytest.mark.parametrize("matching", [SupervisedFineTuning(), logit_matching()], ids=["sft", "logits"])
def test_data_goes_on_where_the_training_does(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, matching: Objective
) -> None:
    """M4, M21: MaxText would read from the first row again."""
    save_checkpoint(saved(storage), 10)
    run(storage, monkeypatch, train_program(objective=matching), note=str(tmp_path / "note"))
    reading = Reading.parse((tmp_path / "note").read_text())
    assert reading == Reading(str(storage.at("packed/sequences")), first_step=10, steps=STEPS, sequences_per_step=4)


def test_what_is_trained_on_must_be_packed_first(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StageError, match="not-yet"):
        run(storage, monkeypatch, train_program(data="not-yet"))


def test_a_run_that_had_ended_before_its_marker_is_finished_without_training(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(storage, monkeypatch)
    (storage.at(OUTPUT) / "_DONE.json").unlink()
    result = run(storage, monkeypatch, exit=1, say="must not be started")
    assert result is not None
    assert result.counts == COUNTS


def test_a_run_killed_between_its_last_save_and_its_last_line_is_finished(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(saved(storage), STEPS)
    Summary(starts=1, steps=17, trained_steps=17, first_loss=9.0, last_loss=1.0).write(
        saved(storage).parent / "summary.json"
    )
    result = run(storage, monkeypatch, exit=1, say="must not be started")
    assert result is not None
    assert result.metrics == {"firstLoss": 9.0, "loss": 1.0}


# Termination

GRACE = 8


@pytest.mark.parametrize("deaf", [False, True], ids=["it ends at once", "it hangs"])
def test_a_termination_ends_the_trainer_and_its_workers_within_the_pods_grace(
    storage: Storage, tmp_path: Path, deaf: bool
) -> None:
    note = tmp_path / "worker"
    program = (
        "import sys; sys.argv = ['x']; from unit.stages.test_train import serve; sys.exit(serve())"  # As in a pod.
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ
        | {
            "FAKE_TRAINER": json.dumps({"hang": str(note), "deaf": deaf}),
            "GRACE_SECONDS": str(GRACE),
            "STAGE_SPEC": spec().model_dump_json(by_alias=True),
            "STORAGE_MOUNT": str(storage.mount),
            "TERMINATION_LOG": str(tmp_path / "log"),
        },
    )
    try:
        wait_until(note.exists)
        process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        assert process.wait(GRACE + 10) == EXIT_TERMINATED
        # A pod of a minute would have waited for 45 seconds.
        assert time.monotonic() - begun < GRACE + 5
        worker = int(note.read_text())
        wait_until(lambda: not alive(worker))
    finally:
        process.kill()
    assert not list((tmp_path / "scratch").iterdir())


def test_a_lost_claim_kills_the_trainer_at_once_and_nothing_is_written_any_more(
    storage: Storage, tmp_path: Path
) -> None:
    """The folder is another job's now: a save would go between its own."""
    note = tmp_path / "worker"
    program = "import sys; sys.argv = ['x']; from unit.stages.test_train import serve; sys.exit(serve())"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ
        | {
            # A real one saves after a SIGTERM: one that is deaf would go on for the whole grace.
            "FAKE_TRAINER": json.dumps({"hang": str(note), "deaf": True}),
            "GRACE_SECONDS": "600",
            "STAGE_SPEC": spec().model_dump_json(by_alias=True),
            "STORAGE_MOUNT": str(storage.mount),
            "TERMINATION_LOG": str(tmp_path / "log"),
            "WRITER": "ours",
        },
    )
    try:
        kept = saved(storage).parent / "summary.json"
        wait_until(lambda: note.exists() and Summary.read(kept).last_step == STEPS)
        kept.write_text("theirs")
        claim = json.dumps({"writer": "theirs", "time": time.time()})
        (storage.at(OUTPUT) / "_CLAIM.json").write_text(claim)
        # Two beats of the claim, on a machine that does other things too.
        assert process.wait(60) == EXIT_TERMINATED
        wait_until(lambda: not alive(int(note.read_text())))
    finally:
        process.kill()
    assert kept.read_text() == "theirs"
    assert (storage.at(OUTPUT) / "_CLAIM.json").read_text() == claim
    assert not (tmp_path / "log").exists(), "as after any termination: the next attempt costs no retry"
    assert storage.read_marker(OUTPUT) is None


def serve() -> int:
    """The stage program's main, with MaxText replaced; runs in the process of the tests above."""
    from distillation_stages.__main__ import main

    quick = functools.partial(claimed, pace=Pace(beat=0.2, alive=5, settle=0))
    with pytest.MonkeyPatch.context() as patch:
        replace_maxtext(patch)
        patch.setattr(train, "claimed", quick)
        return main()


def alive(process: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def wait_until(condition: object, seconds: float = 20) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


# Hosts


@pytest.mark.parametrize(
    ("environment", "slices", "host"),
    [
        ({}, 1, Host(0, 1)),
        ({"JAX_PROCESS_COUNT": "2", "PROCESSES_IN_JOB": "2", "JOB_COMPLETION_INDEX": "1"}, 1, Host(1, 2)),
        ({"TPU_WORKER_HOSTNAMES": "a,b,c,d", "JOB_INDEX": "1", "JOB_COMPLETION_INDEX": "2"}, 2, Host(6, 8)),
    ],
)
def test_a_host_knows_its_place(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], slices: int, host: Host
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Host.from_environment(slices) == host


# A preview


def test_a_preview_measures_a_step_without_the_first_and_the_devices(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = str(Devices(8, 3 << 30))
    result = run(storage, monkeypatch, train_program(measures=True), say=f"I1125 max_logging.py:1] {told}")
    assert result is not None
    found = Measurements.read({name: f"{value:.12g}" for name, value in result.metrics.items()})
    assert (found.units, found.unit_seconds) == (STEPS, 1.25)
    assert (found.devices, found.device_memory) == (8, 3 << 30)
    assert found.host_memory is not None and found.host_memory > 1 << 20


def test_where_jax_knows_no_memory_none_is_told(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(storage, monkeypatch, train_program(measures=True), say=str(Devices(1, None)))
    assert result is not None
    assert result.metrics["measured.devices"] == 1
    assert "measured.deviceMemory" not in result.metrics


@pytest.mark.parametrize(
    ("objective", "step_seconds"),
    [pytest.param(None, 1.25, id="as MaxText tells"), pytest.param("matching", 2.0, id="by us")],
)
def test_a_preview_that_was_killed_after_its_last_save_tells_the_step_time_of_its_history(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, objective: str | None, step_seconds: float
) -> None:
    program = (MATCHING if objective else train_program()).model_copy(update={"measures": True})
    run(storage, monkeypatch, program)
    (storage.at(OUTPUT) / "_DONE.json").unlink()
    result = run(storage, monkeypatch, program, exit=1, say="must not be started")
    assert result is not None
    found = Measurements.read({name: f"{value:.12g}" for name, value in result.metrics.items()})
    # The estimate adds what the units take that this attempt hasn't done to the seconds of this attempt.
    assert (found.units, found.unit_seconds) == (0, step_seconds)
    assert (found.uid, found.devices) == (os.getuid(), None)
    assert found.host_memory is not None and found.locked_memory is not None


def test_a_preview_with_one_step_left_tells_the_step_time_of_those_before(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only step of an attempt is the one that compiles."""
    program = train_program(measures=True, checkpoint_period=STEPS - 1)
    with pytest.raises(StageError):
        run(storage, monkeypatch, program, stop_at=STEPS - 1, exit=1)
    result = run(storage, monkeypatch, program)
    assert result is not None
    assert (result.metrics["measured.units"], result.metrics["measured.unitSeconds"]) == (1, 1.25)


def test_without_a_history_a_preview_tells_no_step_time(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(saved(storage), STEPS)
    result = run(storage, monkeypatch, train_program(measures=True), exit=1, say="must not be started")
    assert result is not None
    assert "measured.unitSeconds" not in result.metrics
    assert result.metrics["measured.uid"] == os.getuid()
