"""Helm as tests call it."""

import subprocess
from collections.abc import Callable

from testbed.layout import CHECKOUT

Helm = Callable[..., subprocess.CompletedProcess[str]]

BUILT = ("--values", str(CHECKOUT / "tests" / "chart" / "images.yaml"))
"""Values that name images as somebody's own; the chart isn't rendered without any."""
