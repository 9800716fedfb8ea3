"""There is one version: of the package, the chart, the images and the revision that the documents name."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from distillation_operator import __version__
from distillation_operator.cli import main
from release import version
from release.errors import ReleaseError

CHECKOUT = Path(__file__).resolve().parents[2]
CHART = CHECKOUT / "charts" / "distillation-operator"


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
    named = version.named(CHECKOUT)
    assert len(named) > 8, "the patterns find them"
    assert {path: versions for path, versions in named.items() if versions != {__version__}} == {}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Of the checkout, the files that have a version, in a repository of their own."""
    for path in (*version.places(CHECKOUT), CHECKOUT / version.SOURCE):
        copied = tmp_path / path.relative_to(CHECKOUT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copied)
    (tmp_path / ".gitignore").write_text("build/\n")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


def test_another_version_is_written_everywhere_and_changes_nothing_else(copy: Path) -> None:
    changed = version.write(copy, "12.30.4")
    assert set(changed) == {*version.named(CHECKOUT), str(version.SOURCE)}
    assert version.current(copy) == "12.30.4"
    assert all(versions == {"12.30.4"} for versions in version.named(copy).values())
    listed = (copy / "docs" / "first-hour.md").read_text()
    assert "distillation-operator-12.30.4   12.30.4" in listed
    for path in changed:
        assert (copy / path).read_text().replace("12.30.4", __version__) == (CHECKOUT / path).read_text()
        assert (copy / path).stat().st_mode == (CHECKOUT / path).stat().st_mode
    assert version.write(copy, "12.30.4") == []
    version.write(copy, __version__)
    assert version.named(copy) == version.named(CHECKOUT)


def test_what_is_no_text_or_not_gits_is_passed_over(copy: Path) -> None:
    tag = f"/operator:{__version__}"
    binary, left, link = copy / "docs" / "picture", copy / "docs" / "build" / "page.md", copy / "docs" / "link.md"
    binary.write_bytes(b"\xff\xfe" + tag.encode())
    left.parent.mkdir()
    left.write_text(tag)
    link.symlink_to("../nowhere")
    assert not {binary, left, link} & {*version.places(copy)}
    version.write(copy, "12.30.4")
    assert left.read_text() == tag and binary.read_bytes().endswith(tag.encode())


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(ReleaseError, match="git ls-files failed"):
        version.write(tmp_path, "12.30.4")


@pytest.mark.parametrize("wrong", ["", "1.2", "v1.2.3", "1.2.3-rc.1", "01.2.3", "1.2.3\n", "1.2.3; rm", "1.2\u0661.3"])
def test_what_is_no_version_is_refused_before_anything_is_written(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ReleaseError, match=r"VERSION is .*three numbers such as"):
        version.write(tmp_path, wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_changelog_keeps_the_versions_that_it_tells_of(copy: Path) -> None:
    history = f"## 0.0.9\nThe chart distillation-operator-{__version__} was withdrawn.\n"
    (copy / "CHANGELOG.md").write_text(history)
    version.write(copy, "12.30.4")
    assert (copy / "CHANGELOG.md").read_text() == history
