"""``python -m release``: all that a version consists of, in one folder. RELEASE.md tells when and how."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from release import images, make
from release.buildah import BASE
from release.errors import ReleaseError
from release.provenance import BUILDER
from testbed.errors import TestbedError

CHECKOUT = Path(__file__).resolve().parents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 with one sentence of why there is no release."""
    options = _parser().parse_args(arguments)
    wanted = make.Wanted(
        output=options.output,
        images=images.chosen(options.images),
        base=options.base,
        repository=options.repository,
        builder=options.builder,
        dry_run=options.dry_run,
    )
    try:
        made = make.release(CHECKOUT, wanted)
    except (ReleaseError, TestbedError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    for path in sorted(made.iterdir()):
        print(f"release: {path}")
    if not wanted.images:
        print("release: no images (--images operator or all makes them)")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="release", description="Make all that a version consists of.", allow_abbrev=False
    )
    parser.add_argument(
        "--output", type=Path, default=CHECKOUT / "build" / "release", metavar="DIR",
        help="where the folder of the version is made (default: build/release)",
    )  # fmt: skip
    parser.add_argument(
        "--images", choices=images.CHOICES,
        help="images to build with buildah (default: operator where there is a buildah, else none); all: some 100 GB",
    )  # fmt: skip
    parser.add_argument(
        "--base", default=BASE, metavar="IMAGE@sha256:...",
        help="base of the images, by digest (default: one that is made here of Debian's packages)",
    )  # fmt: skip
    parser.add_argument("--repository", type=_url, metavar="URL", help="where the source is, for the provenance")
    parser.add_argument(
        "--builder", default=BUILDER, metavar="URI", help="who builds, for the provenance (default: %(default)s)"
    )
    parser.add_argument(
        "--dry-run", action="store_true",
        help="take uncommitted changes too, and the notes of what is unreleased where the version has none",
    )  # fmt: skip
    return parser


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or parts.username is not None:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be an https URL without a user, such as https://example.com/a.git"
        )
    return text


if __name__ == "__main__":
    sys.exit(main())
