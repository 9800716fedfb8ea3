"""``python -m demo.pictures``: write the pictures in docs/pictures anew."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from demo.pictures.dataflow import dataflow
from demo.pictures.reported import NoBrowser, browser, photograph, reported
from demo.pictures.watched import watched

CHECKOUT = Path(__file__).resolve().parents[2]
RECORDED = Path(__file__).with_name("recorded")
PICTURES = CHECKOUT / "docs" / "pictures"
PHOTOGRAPH = "report.png"


def drawn() -> Mapping[str, str]:
    """The pictures that are the same whoever makes them, by file name."""
    return {
        "dataflow.svg": dataflow(CHECKOUT / "examples" / "deepseek2-16b-to-llama2-7b.yaml"),
        "watch.svg": watched(RECORDED / "status.yaml"),
    }


def main() -> int:
    """Write all; returns the exit code. Without a browser nothing is written."""
    try:
        browser()
    except NoBrowser as error:
        print(f"pictures: {error}", file=sys.stderr)
        return 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, svg in drawn().items():
        (PICTURES / name).write_text(svg)
        print(PICTURES / name)
    try:
        photograph(reported(RECORDED / "facts.json", RECORDED / "samples.json"), PICTURES / PHOTOGRAPH)
    except subprocess.SubprocessError as error:
        words = str(getattr(error, "stderr", None) or "").strip().splitlines()
        print(f"pictures: the browser made no {PHOTOGRAPH}: {' '.join([str(error), *words[-3:]])}", file=sys.stderr)
        return 1
    print(PICTURES / PHOTOGRAPH)
    return 0


if __name__ == "__main__":
    sys.exit(main())
