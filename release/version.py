"""The one version, and every place that has to write it out: ``python -m release.version 0.2.0``."""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from release import files, source
from release.errors import ReleaseError

SOURCE = Path("operator/distillation_operator/__init__.py")
"""The file that has the version; all others follow it."""
FOLDERS = ("argocd", "charts", "docs", "images")
"""Folders whose files name images, revisions or the chart."""
_NUMBER = r"(\d+\.\d+\.\d+)"
_SOURCE_LINE = re.compile(rf'^__version__ = "{_NUMBER}"$', re.MULTILINE)
# After an image, a build argument, a revision of this repository or the chart's name; and in `helm list` beside that.
_NAMED = (
    re.compile(
        r"(?:/(?:operator|fetcher|converter|teacher|trainer):|\brepository: \S+/operator, tag: |\bVERSION="
        rf"|\brev: v|\btargetRevision: v|\bdistillation-operator-){_NUMBER}"
    ),
    re.compile(rf"\bdistillation-operator-\d+\.\d+\.\d+ +{_NUMBER}"),
)
_CHART = re.compile(rf"^(?:version|appVersion): {_NUMBER}$", re.MULTILINE)
_VERSION = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}")


def current(checkout: Path) -> str:
    """The version of a checkout; raises ReleaseError where its source doesn't have exactly one."""
    found = _SOURCE_LINE.findall((checkout / SOURCE).read_text())
    if len(found) != 1:
        raise ReleaseError(f'{SOURCE} must have one line __version__ = "x.y.z"; it has {len(found)}')
    return str(found[0])


def places(checkout: Path) -> Iterator[Path]:
    """The text files of a checkout that people and machines read a version from, as git lists them. The changelog isn't
    one: it tells of older ones too. Raises ReleaseError where there is no checkout.
    """
    named = source.listed(checkout, ":(glob)*.md", ":(exclude)CHANGELOG.md", *FOLDERS)
    yield from (path for name in named if _text(path := checkout / name) is not None)


def named(checkout: Path) -> dict[str, set[str]]:
    """The versions that each place writes out, by its path in the checkout; of those that write any."""
    found = {
        str(path.relative_to(checkout)): {
            version for pattern in _patterns(path) for version in pattern.findall(_text(path) or "")
        }
        for path in places(checkout)
    }
    return {path: versions for path, versions in found.items() if versions}


def write(checkout: Path, version: str) -> list[str]:
    """Write a version into its source and all places; the paths that changed.

    Raises ReleaseError for what isn't three numbers. Stopped halfway, it is simply run again.
    """
    if not _VERSION.fullmatch(version):
        raise ReleaseError(
            f"VERSION is {version!r}; it must be three numbers such as 0.2.0, which Python, Helm and image tags share"
        )
    changed = []
    for path in (*places(checkout), checkout / SOURCE):
        text = before = path.read_text(encoding="utf-8")
        patterns = (_SOURCE_LINE,) if path == checkout / SOURCE else _patterns(path)
        for pattern in patterns:
            text = pattern.sub(lambda match: _replaced(match, version), text)
        if text != before:
            files.write(path, text)
            changed.append(str(path.relative_to(checkout)))
    return changed


def _text(path: Path) -> str | None:
    """The text of a file; None for a link, a file that isn't there any more, and what isn't text."""
    try:
        return None if path.is_symlink() else path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, FileNotFoundError):
        return None


def _patterns(path: Path) -> Sequence[re.Pattern[str]]:
    return (*_NAMED, _CHART) if path.name == "Chart.yaml" else _NAMED


def _replaced(match: re.Match[str], version: str) -> str:
    start, end = match.start(1) - match.start(), match.end(1) - match.start()
    return match[0][:start] + version + match[0][end:]


def main(arguments: Sequence[str]) -> int:
    """The exit code of ``python -m release.version VERSION``."""
    if len(arguments) != 1:
        print("release: name the version, as in: make version VERSION=0.2.0", file=sys.stderr)
        return 2
    try:
        changed = write(Path(__file__).resolve().parents[1], arguments[0])
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 2
    print("\n".join(f"release: wrote {path}" for path in changed) or f"release: everything has {arguments[0]} already")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
