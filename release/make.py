"""From a commit to the folder of a version."""

import platform
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path

from release import buildah, changelog, chart, distributions, files, images, provenance, source, version
from release.errors import ReleaseError

NOTES, PROVENANCE, SUMS = "RELEASE_NOTES.md", "provenance.json", "SHA256SUMS"


@dataclass(frozen=True)
class Wanted:
    """What is to be made."""

    output: Path
    """The version's folder is made in it."""
    images: tuple[str, ...] = ()
    base: str = buildah.BASE
    """Base image; another than ours must be given by digest."""
    repository: str | None = None
    builder: str = provenance.BUILDER
    dry_run: bool = False
    """Whether uncommitted changes are taken too, and the changelog's unreleased part."""


def release(checkout: Path, wanted: Wanted) -> Path:
    """Make a release of what is checked out; the folder with its files, which replaces one of the same version.

    Raises ReleaseError, with what to do, before anything is built where that can be known.
    """
    current = version.current(checkout)
    made_of = source.read(checkout)
    if not wanted.dry_run:
        source.require_clean(made_of)
    _require_one_version(checkout, current)
    if wanted.base != buildah.BASE and "@sha256:" not in wanted.base:
        raise ReleaseError(f"--base is {wanted.base!r}; name it by digest, as IMAGE@sha256:...: a tag can be moved")
    notes = _notes(checkout, current, wanted.dry_run)

    wanted.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=wanted.output, prefix=".making-") as folder:
        tree, target = Path(folder, "source"), Path(folder, "release")
        tree.mkdir()
        target.mkdir()
        source.export(checkout, made_of.epoch, tree)
        distributions.build(tree, made_of.epoch, target)
        chart.package(tree, made_of.epoch, target)
        built, materials = _images(wanted, current, made_of.commit, tree, target)
        files.write(target / NOTES, _with_digests(notes, built))
        subjects = {path.name: files.sha256(path) for path in target.iterdir() if path.name != NOTES}
        subjects |= {f"distillation-operator/{image.name}": image.digest.removeprefix("sha256:") for image in built}
        build = provenance.Build(
            version=current,
            commit=made_of.commit,
            uncommitted=bool(made_of.changes),
            repository=wanted.repository,
            images=wanted.images,
            materials=materials,
            tools=_tools(bool(built)),
            builder=wanted.builder,
        )
        files.write(target / PROVENANCE, provenance.rendered(build, subjects))
        files.write(target / SUMS, files.checksums(target))
        return _replace(wanted.output / current, target)


def _require_one_version(checkout: Path, current: str) -> None:
    others = {path: found - {current} for path, found in version.named(checkout).items() if found != {current}}
    if others:
        named = ", ".join(f"{path} ({', '.join(sorted(found))})" for path, found in sorted(others.items()))
        raise ReleaseError(
            f"the version is {current}, but not in {named}: write it everywhere by `make version VERSION={current}`"
        )


def _notes(checkout: Path, current: str, dry_run: bool) -> str:
    text = (checkout / "CHANGELOG.md").read_text(encoding="utf-8")
    found = changelog.sections(text)
    return changelog.notes(text, changelog.UNRELEASED if dry_run and current not in found else current)


def _images(
    wanted: Wanted, current: str, commit: str, tree: Path, target: Path
) -> tuple[list[images.Image], dict[str, str]]:
    """The images, and the digest of their base by its name."""
    if not wanted.images:
        return [], {}
    images.prepare(wanted.base)
    built = [images.build(name, current, commit, tree, wanted.base, target) for name in wanted.images]
    name, _, digest = wanted.base.partition("@")
    return built, {f"base {name}": (digest or buildah.digest(name)).removeprefix("sha256:")}


def _with_digests(notes: str, built: list[images.Image]) -> str:
    rows = [f"| {image.name} | `{image.digest}` |" for image in built]
    table = ["", "## Images", "", "| image | digest |", "| --- | --- |", *rows] if rows else []
    return "\n".join([notes, *table]) + "\n"


def _tools(with_images: bool) -> dict[str, str]:
    tools = {"python": platform.python_version(), "hatchling": installed("hatchling"), "helm": chart.helm_version()}
    return tools | ({"buildah": buildah.version()} if with_images else {})


def _replace(folder: Path, made: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    made.rename(folder)
    return folder
