"""Helm, built as a Go tool, with a configuration and caches of its own."""

import subprocess
from pathlib import Path

from testbed import binaries, toolchain
from testbed.console import silence
from testbed.layout import CHECKOUT, cache

CHART = CHECKOUT / "charts" / "distillation-operator"
IMAGES = (
    "--set", "image.repository=distillation-operator/operator", "--set", "image.tag=dev",
    "--set", "stageImages.fetcher=distillation-operator/fetcher:dev",
    "--set", "stageImages.converter=distillation-operator/converter:dev",
    "--set", "stageImages.teacher=distillation-operator/teacher:dev",
    "--set", "stageImages.trainer=distillation-operator/trainer:dev",
)  # fmt: skip
"""Values that name the testbed's own images."""


def helm(*arguments: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
    """One command, with what came of it."""
    toolchain.build(silence, ["helm"])
    environment = {"HOME": str(cache() / "helm"), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    command = [str(binaries.HELM.path), *arguments]
    if kubeconfig is not None:
        command += ["--kubeconfig", str(kubeconfig)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
