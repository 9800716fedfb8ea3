"""The images of the testbed: named as the real ones, with this checkout's code in them, and a few kilobytes in size.

What makes a stage image large is Python, its packages and the system's libraries. All of that is on this machine
already, so containerd's base specification mounts it read-only into every container, and an image holds only the
source files and its configuration. Pods can't tell the difference and their manifests are those of a real cluster:
no host-path volume, no extra environment. What an image has under a mounted folder is hidden, hence absolute commands.
"""

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed import binaries, environments
from testbed.commands import output
from testbed.layout import CHECKOUT
from testbed.site import Site

# The name that the container runtime gives to `distillation-operator/...`: an image is found by its full name only.
REPOSITORY = "docker.io/distillation-operator"
PAUSE = f"{REPOSITORY}/pause:dev"

USER = 65532
_API = "operator/distillation_api"
_PROGRAMS = {"operator": "operator/distillation_operator"}
"""The package that an image runs; every other one runs the stage programs."""
_ACCOUNTS = {
    "etc/passwd": f"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:{USER}:{USER}:nonroot:/tmp:/sbin/nologin\n",
    "etc/group": f"root:x:0:\nnonroot:x:{USER}:\n",
}
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/ssl", "/etc/alternatives")


@dataclass(frozen=True)
class Image:
    """One image: a name, one layer and the configuration."""

    reference: str
    layer: bytes
    config: dict[str, Any] = field(default_factory=dict)


def stage_reference(name: str) -> str:
    """How pods name an image: `distillation-operator/trainer:dev`."""
    return f"distillation-operator/{name}:dev"


def load(site: Site) -> list[str]:
    """Make all images from the checkout as it is now, give them to containerd, and return their names.

    Running pods keep what they have; pods started from now on get the new ones.
    """
    images = [pause_image(), *(product_image(name) for name in environments.NAMES)]
    archive = site.folder.path / "images.tar"
    archive.write_bytes(archive_of(images))
    site.namespace.output(["ctr", "--namespace", "k8s.io", "images", "import", str(archive)], timeout=60)
    archive.unlink()
    return [image.reference for image in images]


def product_image(name: str) -> Image:
    """The image of one environment, with the code of this checkout at /app."""
    source = _PROGRAMS.get(name, "images/distillation_stages")
    program = Path(source).name
    layer = _Layer()
    layer.folder("tmp", 0o1777)
    for root in (CHECKOUT / _API, CHECKOUT / source):
        for file in sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc"):
            layer.file(f"app/{root.name}/{file.relative_to(root)}", file.read_bytes())
    for target, text in _ACCOUNTS.items():
        layer.file(target, text.encode())
    config = {
        "Entrypoint": [str(environments.python(name)), "-m", program],
        "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "PYTHONPATH=/app", "PYTHONUNBUFFERED=1", "HOME=/tmp",
                "PYTHONDONTWRITEBYTECODE=1"],
        "User": f"{USER}:{USER}",
        "WorkingDir": "/app",
    }  # fmt: skip
    return Image(f"{REPOSITORY}/{name}:dev", layer.bytes(), config)


def pause_image() -> Image:
    """The image that holds a pod's namespaces."""
    layer = _Layer()
    layer.file("pause", binaries.PAUSE.path.read_bytes(), 0o755)
    return Image(PAUSE, layer.bytes(), {"Entrypoint": ["/pause"], "User": f"{USER}:{USER}"})


def base_specification() -> dict[str, Any]:
    """What containerd starts every container's specification from: its default, and the mounts."""
    specification: dict[str, Any] = json.loads(output(["ctr", "oci", "spec"]))
    # The default's PATH would win over the image's, and its limit of 1024 open files over the machine's.
    specification["process"]["env"] = []
    specification["process"]["rlimits"] = []
    for folder in _mounted():
        options = ["rbind", "ro", "nosuid", "nodev"]
        specification["mounts"].append({"destination": folder, "type": "bind", "source": folder, "options": options})
    return specification


def archive_of(images: list[Image]) -> bytes:
    """An OCI image layout as a tar, which containerd imports."""
    blobs: dict[str, bytes] = {}

    def blob(content: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    entries = []
    for image in images:
        layer = blob(image.layer, "layer.v1.tar")
        config = {"architecture": "amd64", "os": "linux", "config": image.config,
                  "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}  # fmt: skip
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": blob(json.dumps(config).encode(), "config.v1+json"), "layers": [layer]}  # fmt: skip
        entry = blob(json.dumps(manifest).encode(), "manifest.v1+json")
        entries.append({**entry, "annotations": {"io.containerd.image.name": image.reference}})
    layout = _Layer()
    layout.file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    layout.file("index.json", json.dumps({"schemaVersion": 2, "manifests": entries}).encode())
    for name, content in blobs.items():
        layout.file(name, content)
    return layout.bytes()


def _mounted() -> list[str]:
    installation = environments.interpreter().parent.parent
    folders = [Path(folder) for folder in _SYSTEM]
    # A Python from the distribution is under /usr and comes with it.
    if not installation.is_relative_to("/usr"):
        folders.append(installation)
    folders += [environments.folder(name) for name in environments.NAMES]
    return [str(folder) for folder in folders if folder.exists()]


class _Layer:
    """A tar in memory whose bytes depend on nothing but the content."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.GNU_FORMAT)  # noqa: SIM115

    def folder(self, name: str, mode: int = 0o755) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode = tarfile.DIRTYPE, mode
        self._tar.addfile(entry)

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), mode
        self._tar.addfile(entry, io.BytesIO(content))

    def bytes(self) -> bytes:
        self._tar.close()
        return self._buffer.getvalue()
