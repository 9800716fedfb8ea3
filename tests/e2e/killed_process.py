"""A stage program in a PID namespace of its own, as in its container: with it ends all that it has started."""

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from distillation_api.contract import StageSpec
from distillation_stages.runtime.storage import Storage
from e2e import compiled_programs
from e2e.stage_programs import environment, interpreter


@dataclass
class Process:
    """A started program, the first process of its namespace."""

    spec: StageSpec
    python: str
    storage: Storage
    folder: Path
    variables: dict[str, str]

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        compiled_programs.lend(self.storage.mount)
        variables = {
            "STAGE_SPEC": self.spec.model_dump_json(by_alias=True),
            "STORAGE_MOUNT": str(self.storage.mount),
            "TERMINATION_LOG": str(self.folder / "termination"),
            "SCRATCH": str(self.folder),
            "HOME": str(self.folder),
            "JOB_COMPLETION_INDEX": "0",
            "WRITER": "job",
            **self.variables,
        }
        program = [str(interpreter(self.python)), "-m", "distillation_stages"]
        command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=KILL", "--", *program]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment(**variables), stdout=log, stderr=log, cwd=self.folder
            )

    def wait(self, seconds: float) -> int:
        """Its exit code; TimeoutExpired when it is at work still."""
        code = self._process.wait(seconds)
        if code == 0:
            compiled_programs.keep(self.storage.mount)
        return code

    def kill(self) -> None:
        """End it and all that it started; returns when nothing of it is left."""
        compiled_programs.about_to_kill(self.storage.mount)
        init = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in map(int, init):
            os.kill(pid, signal.SIGKILL)
        self._process.wait(60)

    def output(self) -> str:
        """What it printed last."""
        return (self.folder / "log").read_text()[-4000:]
