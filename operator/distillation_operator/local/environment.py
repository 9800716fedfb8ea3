"""The environment of a stage's process: what its pod would have, and of this machine's what reaches its network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distillation_api.contract import SCRATCH_MOUNT

Object = Mapping[str, Any]
Secrets = Mapping[tuple[str, str], str]
"""Values by the name and key of a Secret."""

PROCESS_ENV = "DISTILLATION_LOCAL_PROCESS"
"""Marks a process and all that it starts: with the folder of its job, and its name."""
_KEPT = (
    "PATH", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH", "HF_ENDPOINT", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
)  # fmt: skip
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")


def variables(
    container: Object,
    own: Mapping[str, str],
    secrets: Secrets,
    storage: Path,
    scratch: Path,
    cores: int,
) -> dict[str, str]:
    """The variables of a process.

    ``container``: the pod's; ``own``: the variables of this process, of which networks, locale and paths are kept and
    nothing else, so that no token gets where the manifest gives none; ``secrets``: those that the manifest names, or a
    KeyError is raised; ``cores``: threads that libraries begin at most, where the manifest says nothing else.
    """
    found = {
        name: value
        for name, value in own.items()
        if name in _KEPT or name.startswith("LC_") or name.lower() in _PROXIES
    }
    found |= {
        "OMP_NUM_THREADS": str(cores),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        # setproctitle, by which vLLM names its engine, writes over the environment, and so over the mark in it.
        "SPT_NOENV": "1",
        "STORAGE_MOUNT": str(storage),
        "SCRATCH": str(scratch),
        "TMPDIR": str(scratch),
        "TERMINATION_LOG": str(scratch / "termination-log"),
    }
    for variable in container["env"]:
        value = _value(variable, secrets)
        found[variable["name"]] = str(scratch) if (variable["name"], value) == ("HOME", SCRATCH_MOUNT) else value
    return found


def _value(variable: Object, secrets: Secrets) -> str:
    if "valueFrom" in variable:
        reference = variable["valueFrom"]["secretKeyRef"]
        return secrets[reference["name"], reference["key"]]
    # As the kubelet does; a reference to another variable is in none that the operator writes.
    return str(variable["value"]).replace("$$", "$")
