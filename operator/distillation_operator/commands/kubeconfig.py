"""The files that say which cluster is meant, named where they aren't there."""

import os
from pathlib import Path

from distillation_operator.commands.errors import CommandError

_DEFAULT = "~/.kube/config"


def require_kubeconfig(given: str | None) -> None:
    """Require that a kubeconfig is there that the option, $KUBECONFIG or the home names, but for a pod.

    Raises CommandError that names what is missing.
    """
    if given:
        if not _is_there(given):
            raise CommandError(f"no cluster: --kubeconfig {given}: there is no such file")
        return
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return
    named = os.environ.get("KUBECONFIG", "")
    if any(map(_is_there, named.split(os.pathsep) if named else [_DEFAULT])):
        return
    missing = f"$KUBECONFIG is {named}, and there is no such file" if named else f"there is no {_DEFAULT}"
    raise CommandError(f"no cluster: {missing} (--kubeconfig FILE or $KUBECONFIG names one)")


def _is_there(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        # Let the client say what is wrong with it.
        return True
