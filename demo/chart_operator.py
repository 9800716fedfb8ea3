"""The operator as its chart installs it: a Deployment, from an image made of this checkout."""

import os
import subprocess
from pathlib import Path

from demo.kubectl import Kubectl
from demo.places import NAMESPACE, Place
from testbed.errors import TestbedError
from testbed.helm import CHART, IMAGES, helm

RELEASE = "distillation-operator"
SYSTEM = "distillation-system"
_VALUES = {
    "FETCHER_IMAGE": "stageImages.fetcher",
    "CONVERTER_IMAGE": "stageImages.converter",
    "TEACHER_IMAGE": "stageImages.teacher",
    "TRAINER_IMAGE": "stageImages.trainer",
}
"""Environment variables that name the images on a cluster of the user's own."""


class ChartOperator:
    """Installs and uninstalls the release; what its pod has printed is kept in ``log``."""

    def __init__(self, place: Place, log: Path) -> None:
        self._kubeconfig = place.kubeconfig
        self._kubectl = Kubectl(place.kubectl.program, place.kubeconfig, SYSTEM)
        self._log = log

    def start(self) -> None:
        """Install it and wait until it is ready."""
        values = list(IMAGES)
        if "OPERATOR_IMAGE" in os.environ:
            repository, _, tag = os.environ["OPERATOR_IMAGE"].rpartition(":")
            values += ["--set", f"image.repository={repository},image.tag={tag}"]
        for variable, value in _VALUES.items():
            if variable in os.environ:
                values += ["--set", f"{value}={os.environ[variable]}"]
        self._helm(
            "upgrade", "--install", RELEASE, str(CHART), "--create-namespace", "--wait", "--timeout", "120s",
            "--set", f"namespaces={{{NAMESPACE}}}", "--set", "logFormat=text",
            "--set", "stagePods.sharedCompileCache=true", *values,
        )  # fmt: skip

    def stop(self) -> None:
        """Keep its log and uninstall it."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._log.write_text(self._kubectl("logs", f"deployment/{RELEASE}"))
        except subprocess.CalledProcessError as error:
            self._log.write_text(str(error.stderr))
        self._helm("uninstall", RELEASE, "--wait")

    def _helm(self, *arguments: str) -> None:
        done = helm(*arguments, "--namespace", SYSTEM, kubeconfig=self._kubeconfig)
        if done.returncode:
            raise TestbedError(f"helm {arguments[0]}: {done.stderr.strip()}")
