"""There is one version: of the package, the chart, the images and the revision that the documents name."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from distillation_operator import __version__
from distillation_operator.cli import main

CHECKOUT = Path(__file__).resolve().parents[2]
CHART = CHECKOUT / "charts" / "distillation-operator"
NAMED = re.compile(
    r"(?:/(?:operator|fetcher|converter|teacher|trainer):|\brepository: \S+/operator, tag: |\bVERSION="
    r"|\brev: v|\btargetRevision: v|\bdistillation-operator-)(\d+\.\d+\.\d+)"
)
"""A version of ours, after an image, a build argument, a revision of this repository or the chart's name."""


def places() -> Iterator[Path]:
    """The files outside the tests that people and machines read a version from."""
    yield from sorted(CHECKOUT.glob("*.md"))
    for folder in ("argocd", "charts", "docs", "images"):
        yield from sorted(
            path for path in (CHECKOUT / folder).rglob("*") if path.is_file() and path.suffix not in (".pyc", ".png")
        )


def test_the_command_line_tells_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_code:
        main(["--version"])
    assert exit_code.value.code == 0
    assert capsys.readouterr().out == f"distillation-operator {__version__}\n"


def test_the_distribution_reads_its_version_from_the_package() -> None:
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    assert settings["project"]["dynamic"] == ["version"]
    assert f'__version__ = "{__version__}"' in (CHECKOUT / settings["tool"]["hatch"]["version"]["path"]).read_text()


def test_the_chart_has_the_version_of_the_operator_that_it_installs() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_images_and_revisions_have_that_version_wherever_they_are_named() -> None:
    named = {str(path.relative_to(CHECKOUT)): set(NAMED.findall(path.read_text())) for path in places()}
    assert sum(map(bool, named.values())) > 8, "the pattern finds them"
    assert {path: versions for path, versions in named.items() if versions - {__version__}} == {}
