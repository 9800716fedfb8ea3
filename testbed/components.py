"""A component is one long-running process of a testbed: its files, its command line and how to tell that it works."""

import os
import signal
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from testbed.errors import TestbedError
from testbed.site import Site
from testbed.waiting import Probe, until


@dataclass(frozen=True)
class Component:
    """What to run and what to wait for. Building one starts nothing."""

    name: str
    argv: list[str]
    ready: Probe
    files: Mapping[Path, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 120


@dataclass(frozen=True)
class Processes:
    """Starts, watches and ends the components of one testbed; their pids are in files of the run folder."""

    site: Site

    def start(self, component: Component) -> None:
        """Start a component unless it runs; doesn't wait for it."""
        if self.alive(component.name):
            return
        for file, content in component.files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        log, pid = self.site.folder.log(component.name), self.site.folder.pid(component.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        pid.parent.mkdir(parents=True, exist_ok=True)
        pid.write_text(f"{self.site.namespace.spawn(component.argv, log, component.env)}\n")

    def wait(self, component: Component) -> float:
        """Wait until a started component works; returns the seconds."""
        name = component.name
        return until(f"{name} ready", component.ready, timeout=component.timeout, log=self.site.folder.log(name),
                     alive=lambda: self.alive(name))  # fmt: skip

    def pid(self, name: str) -> int | None:
        """The host pid of a component's process, or None if it was never started."""
        try:
            return int(self.site.folder.pid(name).read_text())
        except FileNotFoundError:
            return None

    def alive(self, name: str) -> bool:
        """Whether a component's process runs."""
        pid = self.pid(name)
        return pid is not None and self.site.namespace.has(pid)

    def kill(self, name: str, number: int) -> None:
        """Send a signal to a component's process, and wait for its end if the signal is one that can't be refused."""
        pid = self.pid(name)
        if pid is None or not self.alive(name):
            raise TestbedError(f"{name} isn't running")
        os.kill(pid, number)
        if number == signal.SIGKILL:
            until(f"end of {name}", lambda: not self.alive(name), timeout=10)

    def stop(self, name: str, patience: float = 3) -> None:
        """End a component: politely first, then with force.

        The patience is short because the API server and etcd take ten seconds to say goodbye to their clients.
        """
        if not self.alive(name):
            return
        self.kill(name, signal.SIGTERM)
        try:
            until(f"end of {name}", lambda: not self.alive(name), timeout=patience)
        except TestbedError:
            self.kill(name, signal.SIGKILL)


def answers(url: str) -> bool:
    """Whether a health address answers 200.

    A component that serves it over HTTPS makes its own certificate at each start, so there is nothing to verify.
    """
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=2, context=unverified) as response:
            return bool(response.status == 200)
    except OSError:
        return False
