"""buildah: builds the Dockerfiles of this checkout and writes what it built as archives that containerd imports."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from image_build import base
from testbed import debian
from testbed.layout import CHECKOUT, cache

BASE = "localhost/distillation-base:3.12"
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def buildah(*arguments: str, timeout: float = 3600) -> str:
    """One command, with a storage of its own; its output. Raises CalledProcessError."""
    storage = cache() / "buildah"
    options = ["--root", str(storage / "root"), "--runroot", str(storage / "run"), "--storage-driver", "overlay"]
    environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(_temporary())}
    done = subprocess.run(
        ["buildah", *options, *arguments], cwd=CHECKOUT, env=environment, capture_output=True, text=True,
        timeout=timeout, check=False,
    )  # fmt: skip
    if done.returncode:
        tail = (done.stdout + done.stderr)[-3000:]
        raise RuntimeError(f"buildah {arguments[0]} ended with {done.returncode}: {tail}")
    return done.stdout


def prepare() -> None:
    """Install buildah, and make the base image, unless they are there."""
    log = cache() / "logs" / "debian.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    debian.install(("buildah",), log)
    if BASE in buildah("images", "--format", "{{.Name}}:{{.Tag}}"):
        return
    with tempfile.TemporaryDirectory(dir=_temporary()) as folder:
        root = Path(folder) / "root"
        root.mkdir()
        base.make(root, Path(folder) / "downloads")
        container = buildah("from", "scratch").strip()
        buildah("copy", container, str(root), "/")
        buildah("commit", "--rm", container, BASE)


def build(name: str, *arguments: str) -> str:
    """Build ``images/NAME/Dockerfile``; the image's reference."""
    reference = f"docker.io/distillation-operator/{name}:built"
    options = ["--build-arg", f"BASE={BASE}", *arguments, "--layers=false"]
    if Path(_CERTIFICATES).exists():
        # A machine may reach its package index through a proxy with certificates of its own.
        options += ["--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro", "--env", f"PIP_CERT={_CERTIFICATES}"]
    for variable in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        if variable in os.environ:
            options += ["--env", f"{variable}={os.environ[variable]}"]
    buildah("bud", "--file", f"images/{name}/Dockerfile", *options, "--tag", reference, ".")
    return reference


def archive(reference: str, target: Path) -> Path:
    """The image as an OCI archive."""
    target.unlink(missing_ok=True)
    buildah("push", reference, f"oci-archive:{target}:{reference}")
    return target


def inspect(reference: str, template: str) -> str:
    """A part of the image's configuration, by a Go template."""
    return buildah("inspect", "--type", "image", "--format", template, reference).strip()


def size(reference: str) -> int:
    """Bytes of the image's files."""
    container = buildah("from", "--pull-never", reference).strip()
    try:
        mount = Path(buildah("mount", container).strip())
        return sum(path.lstat().st_size for path in mount.rglob("*") if path.is_file() and not path.is_symlink())
    finally:
        buildah("rm", container)


def read(reference: str, path: str) -> str:
    """A text file of the image."""
    container = buildah("from", "--pull-never", reference).strip()
    try:
        return (Path(buildah("mount", container).strip()) / path.lstrip("/")).read_text()
    finally:
        buildah("rm", container)


def remove_storage() -> None:
    """Everything that was built."""
    if shutil.which("buildah"):
        buildah("rmi", "--all", "--force")


def _temporary() -> Path:
    folder = cache() / "buildah" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
