"""kubectl, as a user would call it."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any


def shell_variables(kubeconfig: Path) -> str:
    """A line for a shell in any folder: kubectl and helm are found in ``bin``, next to the file."""
    kubeconfig = kubeconfig.absolute()
    programs = kubeconfig.parent / "bin"
    return f"export KUBECONFIG={shlex.quote(str(kubeconfig))} PATH={shlex.quote(str(programs))}:$PATH"


class Kubectl:
    """kubectl against one cluster, in one namespace."""

    def __init__(self, program: Path | str, kubeconfig: Path, namespace: str) -> None:
        self.program = program
        self._prefix = [str(program), "--kubeconfig", str(kubeconfig), "--namespace", namespace]

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run it; its standard output. Raises CalledProcessError with the message in ``stderr``."""
        done = subprocess.run(
            [*self._prefix, *arguments], input=stdin, text=True, capture_output=True, timeout=120, check=False
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, arguments, done.stdout, done.stderr.strip())
        return done.stdout

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """An object, None when it doesn't exist."""
        text = self("get", kind, name, "--ignore-not-found", "-o", "json")
        return dict(json.loads(text)) if text.strip() else None

    def list(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """All objects of a kind in the namespace."""
        return list(json.loads(self("get", kind, "-l", selector, "-o", "json"))["items"])
