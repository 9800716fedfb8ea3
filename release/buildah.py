"""buildah: builds the Dockerfiles of this checkout and writes what it built as archives that containerd imports."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from release import base_image
from testbed import debian
from testbed.layout import CHECKOUT, build_log, cache

BASE = "localhost/distillation-base:3.12"
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def buildah(*arguments: str, timeout: float = 3600, folder: Path = CHECKOUT) -> str:
    """One command in a folder, with a storage of its own; its output. Raises RuntimeError with the end of its words."""
    storage = cache() / "buildah"
    options = ["--root", str(storage / "root"), "--runroot", str(storage / "run"), "--storage-driver", "overlay"]
    environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(_temporary())}
    done = subprocess.run(
        ["buildah", *options, *arguments], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=timeout, check=False,
    )  # fmt: skip
    if done.returncode:
        tail = (done.stdout + done.stderr)[-3000:]
        raise RuntimeError(f"buildah {arguments[0]} ended with {done.returncode}: {tail}")
    return done.stdout


def prepare(base: str = BASE) -> None:
    """Install buildah, and make the base image, unless they are there. Another base is pulled by the build."""
    debian.install(("buildah",), build_log("debian"))
    if base != BASE:
        return
    if BASE in buildah("images", "--format", "{{.Name}}:{{.Tag}}"):
        return
    with tempfile.TemporaryDirectory(dir=_temporary()) as folder:
        root = Path(folder) / "root"
        root.mkdir()
        base_image.make(root, Path(folder) / "downloads")
        container = buildah("from", "scratch").strip()
        buildah("copy", container, str(root), "/")
        buildah("commit", "--rm", container, BASE)


def build(name: str, *arguments: str, base: str = BASE, source: Path = CHECKOUT, reference: str | None = None) -> str:
    """Build ``images/NAME/Dockerfile`` of a source tree on a base image; the image's reference."""
    reference = reference or f"docker.io/distillation-operator/{name}:built"
    options = ["--build-arg", f"BASE={base}", *arguments, "--layers=false"]
    # How this machine reaches its package index is no part of the image: it is mounted while it is built.
    settings = _temporary() / "pip.conf"
    settings.write_text(_pip_settings())
    options += ["--volume", f"{settings}:/etc/pip.conf:ro"]
    if Path(_CERTIFICATES).exists():
        options += ["--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro"]
    buildah("bud", "--file", f"images/{name}/Dockerfile", *options, "--tag", reference, ".", folder=source)
    return reference


def _pip_settings() -> str:
    lines = ["[global]", "disable-pip-version-check = true"]
    if Path(_CERTIFICATES).exists():
        lines.append(f"cert = {_CERTIFICATES}")
    for option in ("index-url", "extra-index-url"):
        value = os.environ.get(f"PIP_{option.upper().replace('-', '_')}")
        if value:
            lines.append(f"{option} = {value}")
    return "\n".join(lines) + "\n"


def archive(reference: str, target: Path) -> Path:
    """The image as an OCI archive. It is read once and removed: compressing gigabytes for that takes minutes."""
    target.unlink(missing_ok=True)
    buildah("push", "--disable-compression", reference, f"oci-archive:{target}:{reference}")
    return target


def publishable(reference: str, target: Path, tag: str) -> str:
    """Write the image as an OCI archive with compressed layers; the digest that it has in a registry too.

    ``skopeo copy --preserve-digests oci-archive:TARGET docker://...`` keeps that digest.
    """
    target.unlink(missing_ok=True)
    told = target.with_name(f"{target.name}.digest")
    try:
        buildah("push", "--digestfile", str(told), reference, f"oci-archive:{target}:{tag}")
        return told.read_text().strip()
    finally:
        told.unlink(missing_ok=True)


def version() -> str:
    """The version of buildah itself."""
    return buildah("--version").split()[2]


def digest(reference: str) -> str:
    """The digest of an image's manifest in buildah's storage."""
    return buildah("inspect", "--type", "image", "--format", "{{.FromImageDigest}}", reference).strip()


def remove(reference: str) -> None:
    """Remove an image, and what builds that failed have left."""
    buildah("rmi", "--force", reference)
    buildah("rmi", "--prune", "--force")


def configuration(reference: str) -> dict[str, Any]:
    """The image's configuration: User, Entrypoint, Labels, Env."""
    told = json.loads(buildah("inspect", "--type", "image", reference))
    return dict(told["OCIv1"]["config"])


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


def _temporary() -> Path:
    folder = cache() / "buildah" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
