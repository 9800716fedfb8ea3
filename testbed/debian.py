"""The Debian packages a testbed needs: the control plane two that most machines have, a node a container runtime."""

from pathlib import Path

from testbed.commands import logged, output
from testbed.errors import TestbedError

CONTROL_PLANE = ("iproute2", "openssl")
ALL = (*CONTROL_PLANE, "containerd", "runc", "containernetworking-plugins", "iptables", "conntrack")


def missing(wanted: tuple[str, ...]) -> list[str]:
    """The packages that `install` would have to install."""
    # dpkg-query fails for a package it has never heard of, so ask for all and keep what is installed.
    known = output(["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n"])
    installed = {line.split()[0] for line in known.splitlines() if line.endswith(" installed")}
    return [package for package in wanted if package not in installed]


def install(wanted: tuple[str, ...], log: Path) -> None:
    """Install what is missing, and nothing when nothing is."""
    packages = missing(wanted)
    if not packages:
        return
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    logged(["apt-get", "update"], log, timeout=300, env=quiet)
    logged(["apt-get", "install", "--yes", "--no-install-recommends", *packages], log, timeout=600, env=quiet)
    if absent := missing(wanted):
        raise TestbedError(f"still not installed: {' '.join(absent)} (see {log})")
