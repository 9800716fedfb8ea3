"""`make quickstart` next to what earlier runs of it have left, and next to another that runs."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo import quickstart
from demo.inputs.cache import DemoInputsError
from distillation_operator.local.folder import JobFolder

REFUSES = "import sys; print('error: spec.dataset: Invalid value'); sys.exit(1)"
COMPLETE = {
    "phase": "Complete",
    "stages": [{"name": "evaluate", "state": "Complete"}],
    "results": {
        "crossEntropyBefore": "8.0",
        "crossEntropyAfter": "4.0",
        "exportedModel": "distillation/export/a/model",
    },
}


class Here:
    """A checkout whose quickstart makes nothing but what a test has it make."""

    def __init__(self, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.storage = checkout / "build" / "quickstart"
        self.job = self.storage / quickstart.JOB
        self.example = checkout / "examples" / "quickstart.yaml"
        self.inputs: list[Path] = []
        self._monkeypatch = monkeypatch
        self.example.parent.mkdir(parents=True)
        self.example.write_bytes(quickstart.EXAMPLE.read_bytes())
        monkeypatch.setattr(quickstart, "CHECKOUT", checkout)
        monkeypatch.setattr(quickstart, "EXAMPLE", self.example)
        monkeypatch.setattr(quickstart, "STORAGE", self.storage)
        monkeypatch.setattr(quickstart, "STATUS", self.job / "status.yaml")
        monkeypatch.setattr(quickstart, "write_inputs", self.inputs.append)
        monkeypatch.setattr("distillation_operator.local.environments.prepare", lambda images, say: {})
        self.local("")

    def local(self, program: str) -> None:
        """What runs in place of `distillation-operator local`."""
        self._monkeypatch.setattr(quickstart, "command", lambda known: [sys.executable, "-c", program])

    def left(self, status: dict[str, Any]) -> None:
        """The folder of a job as an earlier run has left it."""
        with JobFolder(self.job).locked():
            (self.job / "status.yaml").write_text(yaml.safe_dump(self.known() | {"status": status}))

    def known(self) -> dict[str, Any]:
        """The example as it is kept."""
        return dict(yaml.safe_load(self.example.read_text()))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(tmp_path / "a checkout", monkeypatch)


def test_a_refused_start_reports_nothing_of_the_run_before(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.left(COMPLETE)
    here.local(REFUSES)
    assert quickstart.main() == 1
    out = capsys.readouterr().out
    assert "error: spec.dataset: Invalid value" in out
    assert "this run has made no student" in out
    assert "the student:" not in out and "cross-entropy" not in out and "Complete" not in out


def test_a_run_that_ends_well_reports_its_student_and_what_to_expect_of_it(
    here: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    here.left(COMPLETE)
    assert quickstart.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.endswith("the student:  build/quickstart/distillation/export/a/model")]
    [expectation] = [line for line in lines if "degenerate" in line]
    assert expectation.endswith("a student of this size needs thousands of steps; see the report")


def test_next_to_a_run_that_holds_the_job_nothing_is_swapped(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.left({"phase": "Running"})
    with here.example.open("a") as example:
        example.write("  suspend: true\n")
    with JobFolder(here.job).locked():
        assert quickstart.main() == 1
    assert here.inputs == []
    assert (here.job / "status.yaml").exists() and len(list(here.storage.iterdir())) == 1
    assert "is held by another `distillation-operator local`" in capsys.readouterr().out
    assert quickstart.main() == 0
    assert here.inputs == [here.storage]


def test_a_changed_example_begins_a_job_of_its_own(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.left(COMPLETE)
    here.example.write_text(here.example.read_text().replace("limit: 104", "limit: 52"))
    quickstart.main()
    [aside] = [path for path in here.storage.iterdir() if path.name.startswith("quickstart-")]
    assert (aside / "status.yaml").exists() and not here.job.exists()
    assert f"the example has changed; the job as it was is in build/quickstart/{aside.name}" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["spec: {", "kind: DistillationJob\nspec: {teacher: 3}\n", "- a list\n"])
def test_an_example_that_isnt_valid_puts_no_job_aside(here: Here, content: str) -> None:
    here.left(COMPLETE)
    here.example.write_text(content)
    here.local(REFUSES)
    assert quickstart.main() == 1
    assert (here.job / "status.yaml").exists()


@pytest.mark.parametrize("content", [b"\xff\xfe", b"status: [half", b""])
def test_a_status_that_cant_be_read_is_left_to_local_which_names_the_remedy(here: Here, content: bytes) -> None:
    here.left(COMPLETE)
    (here.job / "status.yaml").write_bytes(content)
    here.local(REFUSES)
    assert quickstart.main() == 1
    assert (here.job / "status.yaml").read_bytes() == content


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DemoInputsError("no environment"), "quickstart: no environment"),
        (OSError(28, "No space left on device", "/a/file"), "quickstart: /a/file: No space left on device"),
    ],
)
def test_inputs_that_cant_be_written_are_told_in_a_line(
    error: Exception, said: str, here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(storage: Path) -> None:
        raise error

    monkeypatch.setattr(quickstart, "write_inputs", fail)
    assert quickstart.main() == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith(said)


def test_without_a_home_directory_it_ends_in_a_line(
    here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISTILLATION_CACHE", "~nobody-of-that-name/cache")
    assert quickstart.main() == 1
    assert "quickstart: DISTILLATION_CACHE is '~nobody-of-that-name/cache'" in capsys.readouterr().out
