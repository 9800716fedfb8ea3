"""Fine-tune the student with MaxText's SFT trainer, and prove that it was trained.

The trainer runs as a process group of its own: a termination ends all of it. Its exit code is not believed: a stage is
done when a whole checkpoint of the last step stands and its log shows steps that had something to learn.
"""

import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from distillation_operator.api.contract import SCRATCH_MOUNT, StageResult, StageSpec, TrainProgram
from distillation_stages import checkpoints
from distillation_stages.environment import set_environment
from distillation_stages.failure import BadInput, StageError
from distillation_stages.maxtext_command import (
    RUN_NAME,
    SFT_MODULE,
    TrainingPaths,
    config_file,
    jax_cache,
    rows_per_step,
    training_arguments,
    versions,
)
from distillation_stages.maxtext_log import Step, TrainerLog
from distillation_stages.rendering import Renderer
from distillation_stages.reporting import Reporter, say
from distillation_stages.storage import Storage, publish_bytes
from distillation_stages.training_data import (
    check,
    order,
    padding_token,
    read_conversations,
    render,
    rows_needed,
    write_parts,
    write_training_tokenizer,
)

SUMMARY = "summary.json"
KEPT_WHILE_TRAINING = 2
SECONDS_BETWEEN_SUMMARIES = 10.0
SECONDS_TO_END = 5.0
STEPS_WITHOUT_WEIGHTS = 5
"""So many steps in a row with nothing to learn end the training: it would go on like that for hours."""


@dataclass(frozen=True)
class Host:
    """This process among those of the training job."""

    index: int
    count: int

    @property
    def leads(self) -> bool:
        """Host 0 cleans up, verifies and reports."""
        return self.index == 0

    @classmethod
    def from_environment(cls, slices: int) -> "Host":
        """As the JobSet's pods are told; the hosts of a TPU slice are named by GKE."""
        workers = len(os.environ.get("TPU_WORKER_HOSTNAMES", "localhost").split(","))
        in_job = int(os.environ.get("PROCESSES_IN_JOB", workers))
        index = int(os.environ.get("JOB_INDEX", "0")) * in_job + int(os.environ.get("JOB_COMPLETION_INDEX", "0"))
        return cls(index, int(os.environ.get("JAX_PROCESS_COUNT", in_job * slices)))


@dataclass(frozen=True)
class Summary:
    """What the log has told so far, kept beside the checkpoints, so that a restarted run knows its beginning."""

    steps: int = 0
    """Steps seen in the log."""
    last_step: int = 0
    first_loss: float | None = None
    last_loss: float | None = None
    trained_steps: int = 0
    """Steps that had tokens to learn."""
    starts: int = 0
    """How often MaxText was started."""
    rows: dict[str, int] = field(default_factory=dict)
    """Counts of the data."""

    def with_step(self, step: Step) -> "Summary":
        """With one more step of the log."""
        return replace(
            self,
            steps=self.steps + 1,
            last_step=step.number,
            first_loss=step.loss if self.first_loss is None else self.first_loss,
            last_loss=step.loss,
            trained_steps=self.trained_steps + (step.total_weights > 0),
        )

    @classmethod
    def read(cls, path: Path) -> "Summary":
        """The summary in that file; an empty one when there is none."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return cls()

    def write(self, path: Path) -> None:
        """Publish it."""
        publish_bytes(path, json.dumps(vars(self)).encode())


def run(spec: StageSpec, storage: Storage) -> StageResult | None:
    """Train up to the asked step, from the newest whole checkpoint when there is one."""
    program = spec.program
    assert isinstance(program, TrainProgram)
    started = time.monotonic()
    host = Host.from_environment(program.slices)
    start = storage.require_marker(program.start)
    output = storage.at(spec.output)
    run_directory = output / RUN_NAME
    saved = run_directory / "checkpoints"
    newest = checkpoints.newest_step(saved)
    if newest is None or newest < program.steps:
        if host.leads:
            for name in checkpoints.remove_broken(saved):
                say(f"removed {name}: an interrupted save")
        scratch = Path(tempfile.mkdtemp(prefix="train-", dir=os.environ.get("SCRATCH", SCRATCH_MOUNT)))
        try:
            rows = _prepare(program, storage, host, newest or 0, scratch)
            paths = TrainingPaths(
                checkpoint=storage.at(start.outputs["checkpoint"]),
                tokenizer=scratch / "tokenizer",
                data=scratch / "data",
                output=output,
                jax_cache=jax_cache(storage.mount, scratch / "jax", "tpu" if program.cpu_hosts is None else "cpu"),
            )
            command = [
                sys.executable,
                "-m",
                SFT_MODULE,
                str(config_file("post_train/sft.yml")),
                *training_arguments(program, start.settings, paths),
            ]
            say(f"inputs ready after {time.monotonic() - started:.1f} s; starting MaxText from step {newest or 0}")
            _train(spec, program, host, run_directory, command, scratch, newest or 0, rows)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    if not host.leads:
        return None
    summary = Summary.read(run_directory / SUMMARY)
    checkpoint = _proven(program, saved, summary)
    checkpoints.keep_newest(saved, 1)
    checkpoints.drop_optimizer_state(checkpoint)
    losses = {"firstLoss": summary.first_loss, "loss": summary.last_loss}
    result = StageResult(
        stage=spec.stage,
        fingerprint=spec.fingerprint,
        outputs={"checkpoint": storage.relative(checkpoint / checkpoints.ITEM)},
        counts={
            "steps": program.steps,
            "restarts": summary.starts - 1,
            # After a restart training continues from a checkpoint, so the steps since then are done twice.
            "repeatedSteps": max(0, summary.steps - program.steps),
            **summary.rows,
        },
        metrics={name: value for name, value in losses.items() if value is not None},
        settings=start.settings,
        versions=versions(),
        seconds=round(time.monotonic() - started, 1),
    )
    storage.write_marker(spec.output, result)
    return result


def _prepare(program: TrainProgram, storage: Storage, host: Host, done: int, scratch: Path) -> dict[str, int]:
    """Write this run's tokenizer and data below ``scratch``; refuse what couldn't be trained on."""
    set_environment()
    model = storage.at(storage.require_marker(program.tokenizer).outputs["model"])
    template = Renderer.load(model).tokenizer
    rows = [render(template, *conversation) for conversation in read_conversations(program.data, storage)]
    batch = rows_per_step(program)
    if len(rows) < batch:
        raise BadInput(
            "TooFewRows",
            f"{program.data.kind} has {len(rows)} rows to train on, one step needs {batch} (perDeviceBatchSize "
            f"{program.per_device_batch_size}); lower the batch size or give more rows",
        )
    tokenizer = write_training_tokenizer(model, scratch / "tokenizer")
    checked = check(rows, tokenizer, program.max_target_length)
    if padding_token(tokenizer) != padding_token(template):
        raise BadInput("BadTokenizer", f"the tokenizer in {model} changes its padding token when it is copied")
    needed = rows_needed(
        program.steps - done, batch, program.packing, program.max_target_length, checked.tokens_per_row
    )
    per_step = needed // (program.steps - done + 1)
    count = -(-needed // batch) * batch
    write_parts(rows, order(len(rows), done * per_step, count), host.count, batch // host.count, scratch / "data")
    say(
        f"{len(rows)} rows, {batch} per step; of {checked.rows} checked {checked.prompts_too_long} have a prompt that "
        f"fills maxTargetLength={program.max_target_length} and {checked.truncated} an answer that is cut there"
    )
    return {
        "rows": len(rows),
        "checkedRows": checked.rows,
        "promptTooLong": checked.prompts_too_long,
        "answerCut": checked.truncated,
    }


def _train(
    spec: StageSpec,
    program: TrainProgram,
    host: Host,
    run_directory: Path,
    command: list[str],
    scratch: Path,
    done: int,
    rows: dict[str, int],
) -> None:
    """Run the trainer to its end. Raises when its log tells why it failed."""
    summary_file = run_directory / SUMMARY
    summary = Summary.read(summary_file)
    summary = replace(summary, starts=summary.starts + 1, rows=rows)
    reporter = Reporter(spec.stage, "steps")
    if host.leads:
        summary.write(summary_file)
        reporter.progress(done, program.steps)
    log = TrainerLog()
    last_write = time.monotonic()
    without_weights = 0
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        cwd=scratch,
        env=_environment(program, scratch),
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            text = line.rstrip()
            if text and "Config param " not in text:
                say(text)
            step = log.read(text)
            if log.data_error is not None and not log.data_ended:
                # The others of several hosts would wait for this one for ever.
                break
            if step is None:
                continue
            without_weights = without_weights + 1 if step.total_weights == 0 else 0
            if without_weights == STEPS_WITHOUT_WEIGHTS:
                break
            if host.leads:
                summary = summary.with_step(step)
                metrics = {"loss": step.loss, "tokensPerSecondPerDevice": step.tokens_per_second}
                finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
                reporter.progress(min(step.number, program.steps), program.steps, finite)
                removed = checkpoints.keep_newest(run_directory / "checkpoints", KEPT_WHILE_TRAINING)
                if removed or summary.steps == 1 or time.monotonic() - last_write > SECONDS_BETWEEN_SUMMARIES:
                    summary.write(summary_file)
                    last_write = time.monotonic()
        exit_code = process.wait() if without_weights < STEPS_WITHOUT_WEIGHTS and not _refused(log) else None
    finally:
        end_group(process)
        if host.leads:
            summary.write(summary_file)
    if without_weights == STEPS_WITHOUT_WEIGHTS:
        last = log.last_step()
        raise BadInput(
            "NoTrainableTokens",
            f"{STEPS_WITHOUT_WEIGHTS} steps in a row, up to step {last.number if last else 0}, had no token to learn: "
            f"prompts fill maxTargetLength={program.max_target_length}; raise it",
        )
    failure = log.failure(exit_code if exit_code is not None else 1, program.steps)
    if failure is not None:
        raise failure


def _refused(log: TrainerLog) -> bool:
    return log.data_error is not None and not log.data_ended


def end_group(process: "subprocess.Popen[str]") -> None:
    """End the trainer and all it has started, and wait for it."""
    signals = (signal.SIGTERM, signal.SIGKILL) if process.poll() is None else (signal.SIGKILL,)
    for number in signals:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_END)


def _environment(program: TrainProgram, scratch: Path) -> dict[str, str]:
    """The trainer's environment: everything it writes on the side goes to the scratch folder."""
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(scratch / "huggingface"),
        "HF_DATASETS_CACHE": str(scratch / "huggingface" / "datasets"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONUNBUFFERED": "1",
    }
    if program.cpu_hosts is not None:
        environment["JAX_PLATFORMS"] = "cpu"
    return environment


def _proven(program: TrainProgram, saved: Path, summary: Summary) -> Path:
    """The checkpoint of the last step. Raises when the training did not come that far or learnt nothing."""
    newest = checkpoints.newest_step(saved)
    if newest is None:
        raise StageError("NoTrainingSteps", f"MaxText ended without a checkpoint of any of {program.steps} steps")
    # Killed right after its last save, a run may have saved more than its log had told; what it told must be right.
    if summary.steps and not summary.trained_steps:
        raise BadInput(
            "NoTrainableTokens", f"none of {summary.steps} steps had a token to learn; raise maxTargetLength"
        )
    if summary.last_loss is not None and not math.isfinite(summary.last_loss):
        raise BadInput("LossNotFinite", f"the last loss is {summary.last_loss}; lower the learning rate")
    if newest != program.steps:
        raise StageError(
            "StoppedEarly",
            f"asked for {program.steps} steps, the newest whole checkpoint is of step {newest} (the log's last step: "
            f"{summary.last_step})",
        )
    return saved / str(newest)
