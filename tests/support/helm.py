"""Helm as tests call it."""

import subprocess
from collections.abc import Callable

Helm = Callable[..., subprocess.CompletedProcess[str]]
