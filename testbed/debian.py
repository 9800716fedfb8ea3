"""The Debian packages a testbed needs: the control plane two that most machines have, a node a container runtime; and
the browser in which tests look at pages."""

from pathlib import Path

from testbed.commands import logged, output
from testbed.errors import TestbedError
from testbed.layout import cache, locked

CONTROL_PLANE = ("iproute2", "openssl")
NODE = ("containerd", "runc", "containernetworking-plugins", "iptables", "conntrack")
# With a font, or a page has no text that could be measured.
BROWSER = ("chromium", "fonts-dejavu-core")


def missing(wanted: tuple[str, ...]) -> list[str]:
    """The packages that `install` would have to install."""
    if not wanted:
        return []
    # dpkg-query fails for a package it has never heard of, so ask for all and keep what is installed.
    known = output(["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n"])
    installed = {line.split()[0] for line in known.splitlines() if line.endswith(" installed")}
    return [package for package in wanted if package not in installed]


def install(wanted: tuple[str, ...], log: Path) -> None:
    """Install what is missing, and nothing when nothing is."""
    if not missing(wanted):
        return
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    # apt-get doesn't wait for another one: it ends.
    with locked(cache() / ".apt.lock"):
        if packages := missing(wanted):
            logged(["apt-get", "update"], log, timeout=300, env=quiet)
            logged(["apt-get", "install", "--yes", "--no-install-recommends", *packages], log, timeout=600, env=quiet)
    if absent := missing(wanted):
        raise TestbedError(f"still not installed: {' '.join(absent)} (see {log})")
