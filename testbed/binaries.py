"""The Go programs of the testbed, built once per content of their sources.

Kubernetes can't be installed with `go install` (its go.mod replaces its staging modules by local folders), so
`kube/` is a module of ours that requires it and names those modules' releases. One main dispatches to etcd and all
Kubernetes commands: what they share is compiled and linked once. JobSet, Kueue, Helm and fake-gcs-server (which answers
Google's own client as a bucket does) are tools of the same module, and CoreDNS is a package of it: all compile against
the same versions of the same libraries, so that none of these is compiled twice. Separate modules took more than twice
as long. JobSet's and Kueue's manifests are taken from their modules and nothing of them is copied here.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from testbed.commands import logged, output
from testbed.errors import TestbedError
from testbed.layout import SOURCES, cache

# Nothing but the sources may decide what a binary is: no toolchain download, no version control stamp, no C compiler.
_ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local", "GOWORK": "off"}


@dataclass(frozen=True)
class Binary:
    """One Go program: the package to build, seen from the folder of its module."""

    name: str
    module: str
    package: str = "."

    @property
    def folder(self) -> Path:
        """The Go module's folder in this checkout."""
        return SOURCES / self.module

    @property
    def digest(self) -> str:
        """Twelve hex digits of everything the build reads: sources, go.mod, go.sum and flags."""
        content = hashlib.sha256(" ".join(self.flags()).encode())
        for file in sorted([*self.folder.rglob("*.go"), *self.folder.glob("go.*")]):
            content.update(str(file.relative_to(self.folder)).encode() + b"\0" + file.read_bytes())
        return content.hexdigest()[:12]

    @property
    def path(self) -> Path:
        """Where the built program is, or will be."""
        return cache() / "bin" / f"{self.name}-{self.digest}"

    def flags(self) -> list[str]:
        """The build flags; Kubernetes is told its version this way, as its own build does."""
        # Google's client of buckets has ways around its servers' load balancers that no test takes, and that are large.
        flags = ["-trimpath", "-tags", "providerless,disable_grpc_modules"]
        linker = "-s -w"
        if self.name == "kube":
            version = _kubernetes_version(self.folder)
            major, minor, _ = version.removeprefix("v").split(".")
            facts = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean",
                     "gitCommit": "0" * 40, "buildDate": "1970-01-01T00:00:00Z"}  # fmt: skip
            for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
                linker += "".join(f" -X {package}.{key}={value}" for key, value in facts.items())
        return [*flags, "-ldflags", linker]

    def build(self, log: Path) -> None:
        """Build unless it is there; a build that is interrupted leaves nothing under the final name."""
        if self.path.exists():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        command = ["go", "build", "-p", "2", *self.flags(), "-o", str(unfinished), self.package]
        try:
            logged(command, log, timeout=3600, cwd=self.folder, env=_ENVIRONMENT)
            unfinished.rename(self.path)
        finally:
            unfinished.unlink(missing_ok=True)


KUBE = Binary("kube", "kube")
JOBSET = Binary("jobset", "kube", "sigs.k8s.io/jobset")
KUEUE = Binary("kueue", "kube", "sigs.k8s.io/kueue/cmd/kueue")
HELM = Binary("helm", "kube", "helm.sh/helm/v3/cmd/helm")
COREDNS = Binary("coredns", "kube", "./coredns")
PAUSE = Binary("pause", "pause")
GCS = Binary("gcs", "kube", "github.com/fsouza/fake-gcs-server")
UPSTREAM = {JOBSET: "sigs.k8s.io/jobset", KUEUE: "sigs.k8s.io/kueue"}
"""Controllers with manifests of their own, and the modules that have them."""


def manifests(program: Binary) -> Path:
    """A controller's own manifests (CRDs, RBAC, webhooks, Deployment) as a JSON list.

    Rendered at build time, so that going up needs no network, nor the seconds Python takes to read CRDs as YAML.
    """
    return cache() / "manifests" / f"{program.name}-{program.digest}.json"


def missing(wanted: tuple[Binary, ...]) -> list[str]:
    """The names of what `build` would have to make."""
    files = {binary.name: binary.path for binary in wanted}
    files |= {f"{program.name} manifests": manifests(program) for program in wanted if program in UPSTREAM}
    return [name for name, path in files.items() if not path.exists()]


def build(wanted: tuple[Binary, ...], log: Path, step: Callable[[str], None]) -> None:
    """Make every wanted binary, and its manifests, unless they are there; `step` is told what is being made."""
    for binary in wanted:
        if not binary.path.exists():
            step(f"go build {binary.name}")
            binary.build(log)
        if binary in UPSTREAM and not manifests(binary).exists():
            step(f"{binary.name} manifests")
            _render_manifests(binary)


def _render_manifests(program: Binary) -> None:
    # Here: what is missing must be known before there is any package.
    import yaml

    go = ["env", *(f"{key}={value}" for key, value in _ENVIRONMENT.items()), "go"]
    listed = [*go, "list", "-m", "-f", "{{.Dir}}", UPSTREAM[program]]
    module = output(listed, cwd=program.folder, timeout=300).strip()
    rendered = output([str(KUBE.path), "kubectl", "kustomize", f"{module}/config/default"])
    target = manifests(program)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    unfinished.write_text(json.dumps([document for document in yaml.safe_load_all(rendered) if document]))
    unfinished.rename(target)


def _kubernetes_version(folder: Path) -> str:
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)$", (folder / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise TestbedError(f"{folder}/go.mod doesn't require k8s.io/kubernetes")
    return found[1]
