"""checkov, a scanner for misconfigurations that nobody here wrote, and how its findings are read."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from testbed import environments, toolchain
from testbed.console import silence


class Finding(NamedTuple):
    """What one check found on one object."""

    check: str
    file: str
    """Name of the scanned file, without its suffix."""
    kind: str
    told: str
    """What the check asks for."""


def scan(folder: Path) -> tuple[set[Finding], int]:
    """The findings on the manifests of a folder, and how many checks passed.

    Nothing is asked of a network: the checks are those of the package.
    """
    toolchain.build(silence, ["scanner"])
    program = environments.folder("scanner") / "bin" / "checkov"
    command = [str(program), "--directory", str(folder), "--framework", "kubernetes", "--skip-download"]
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [*command, "--output", "json"], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert told["summary"]["parsing_errors"] == 0
    found = {
        Finding(
            check["check_id"],
            Path(check["file_path"]).stem,
            check["resource"].split(".")[0],
            check["check_name"],
        )
        for check in told["results"]["failed_checks"]
    }
    return found, int(told["summary"]["passed"])


def jobs_of(child: dict[str, Any]) -> list[dict[str, Any]]:
    """The Jobs that JobSet makes of a JobSet, whose kind the scanner doesn't know; a Job as it is."""
    if child["kind"] == "Job":
        return [child]
    return [
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {**child["metadata"], "name": f"{child['metadata']['name']}-{replicated['name']}-0"},
            "spec": replicated["template"]["spec"],
        }
        for replicated in child["spec"]["replicatedJobs"]
    ]


def write_objects(path: Path, objects: list[dict[str, Any]]) -> None:
    """Objects as a file that the scanner reads."""
    path.write_text(yaml.safe_dump_all(objects, sort_keys=False))
