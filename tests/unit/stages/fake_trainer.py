"""Stands for MaxText: ``python -m unit.stages.fake_trainer {sft,distill} CONFIG key=value ...`` does what
``$FAKE_TRAINER`` says.

It resumes, logs and saves as MaxText does, and can be told to fail in the ways that MaxText was seen to.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from distillation_stages.maxtext.checkpoints import newest_step
from distillation_stages.maxtext.packed_batches import SETTING
from distillation_stages.maxtext.start import BATCHES_ENV
from unit.stages.training_inputs import distill_line, save_checkpoint, step_line


def settings_of(trainer: str, config: str, arguments: list[str]) -> dict[str, Any]:
    if trainer == "distill":
        return {**yaml.safe_load(Path(config).read_text()), **settings_of("sft", "", arguments)}
    return dict(argument.split("=", 1) for argument in arguments)


def main() -> int:
    trainer, config, *arguments = sys.argv[1:]
    settings = settings_of(trainer, config, arguments)
    plan = json.loads(os.environ["FAKE_TRAINER"])
    checkpoints = Path(settings["base_output_directory"]) / settings["run_name"] / "checkpoints"
    start, steps = newest_step(checkpoints) or 0, int(settings["steps"])
    if trainer == "distill":
        # It ignores the steps: its batches are its bound.
        steps = start + int(os.environ[BATCHES_ENV])
    line = distill_line if trainer == "distill" else step_line
    period = int(settings["checkpoint_period"])
    for step in range(start + 1, min(steps, plan.get("stop_at", steps)) + 1):
        if plan.get("start") and step == start + 1:
            print(plan["start"], flush=True)
        if trainer == "sft":
            print(f"learning rate of step {step}: {step / 1000:.6g}", flush=True)
        print(line(step, loss=plan.get("loss", f"{10 / step:.3f}"), weights=plan.get("weights", 90)), flush=True)
        if step == 1 or step % period == 0 or step == steps:
            save_checkpoint(checkpoints, step)
    if plan.get("note"):
        Path(plan["note"]).write_text(settings[SETTING])
    if plan.get("say"):
        print(plan["say"], flush=True)
    if plan.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if plan.get("hang"):
        worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        Path(plan["hang"]).write_text(str(worker.pid))
        time.sleep(60)
    return int(plan.get("exit", 0))


if __name__ == "__main__":
    sys.exit(main())
