"""The operator as a process of this machine, started from this checkout."""

import os
import signal
import subprocess
import sys
from pathlib import Path

IMAGE_VARIABLES = {
    "FETCHER_IMAGE": "--fetcher-image",
    "CONVERTER_IMAGE": "--converter-image",
    "TEACHER_IMAGE": "--teacher-image",
    "TRAINER_IMAGE": "--trainer-image",
}
"""Environment variables that name the stage images on a cluster of the user's own."""


STAGE_PODS = '{"sharedCompileCache": true}'
"""Its storage has one team."""


class OperatorProcess:
    """Starts, kills and ends ``distillation-operator run``; its log is appended to ``log``."""

    def __init__(self, kubeconfig: Path, log: Path, namespace: str) -> None:
        self._command = [
            sys.executable, "-m", "distillation_operator", "run", "--kubeconfig", str(kubeconfig),
            "--namespace", namespace, "--log-format", "text", "--stage-pods", STAGE_PODS,
        ]  # fmt: skip
        for variable, flag in IMAGE_VARIABLES.items():
            if variable in os.environ:
                self._command += [flag, os.environ[variable]]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that doesn't help."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
