"""A report's first screen, photographed by a browser from recorded facts and samples."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from distillation_api.contract import ReportFacts
from distillation_stages.programs.evaluate.report import render_report
from distillation_stages.programs.evaluate.samples import Sample

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1200, 900
SECONDS = 120


class NoBrowser(Exception):
    """There is none to take a photograph with."""


def browser() -> str:
    """A browser that runs without a screen. Raises NoBrowser."""
    for name in BROWSERS:
        if (found := shutil.which(name)) is not None:
            return found
    raise NoBrowser(f"none of {', '.join(BROWSERS)} is on the PATH: apt-get install chromium")


def reported(facts: Path, samples: Path) -> str:
    """The page that the stage evaluate writes for these."""
    answers = [Sample(**row) for row in json.loads(samples.read_text())]
    return render_report(ReportFacts.model_validate_json(facts.read_text()), answers)


def photograph(page: str, picture: Path) -> None:
    """A PNG of what a window shows of the page. Raises NoBrowser, or CalledProcessError with the browser's words."""
    program = browser()
    with tempfile.TemporaryDirectory() as folder:
        path, taken = Path(folder) / "report.html", Path(folder) / "report.png"
        path.write_text(page)
        command = [
            program,
            "--headless",
            # Only our own page is opened, and root, as in a container, can't have Chromium's sandbox.
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
            f"--user-data-dir={folder}/profile",
            f"--window-size={WIDTH},{HEIGHT}",
            f"--screenshot={taken}",
            path.as_uri(),
        ]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)
        picture.write_bytes(taken.read_bytes())
