"""The dashboard as tests run it: a process of its own, ended as a user ends it."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from support.browser import Window
from support.objects import CHECKOUT

MANY = 500
"""Jobs on a full page."""


class Dashboard:
    """The dashboard as a process."""

    def __init__(self, kubeconfig: Path, *arguments: str) -> None:
        self._ended: tuple[int, str] | None = None
        command = [sys.executable, "-m", "distillation_operator", "dashboard", "--port", "0"]
        self._process = subprocess.Popen(
            [*command, "--kubeconfig", str(kubeconfig), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT / "operator",
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found is not None, self.end()
        self.address = found[0]

    def end(self) -> tuple[int, str]:
        """End it as Ctrl-C does; its exit code and what it wrote to standard error."""
        if self._ended is not None:
            return self._ended
        self._process.send_signal(signal.SIGINT)
        try:
            _, errors = self._process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        self._ended = self._process.returncode, errors
        return self._ended


Start = Callable[..., Dashboard]
Open = Callable[..., Window]
