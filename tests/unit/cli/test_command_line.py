"""The command line around the commands: usage, ``crd``, and the flags of ``run``."""

import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from cluster.wrong_manifests import changed, put
from distillation_api.schemas.crd import custom_resource_definition
from distillation_operator.cli import main
from distillation_operator.controller.settings import ControllerSettings
from distillation_operator.manifests.settings import Installation


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[ControllerSettings]:
    """The settings with which ``run`` started the controller, which is only pretended here."""
    settings: list[ControllerSettings] = []
    app = ModuleType("distillation_operator.controller.process")
    app.run = settings.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, app.__name__, app)
    monkeypatch.setattr(sys.modules["distillation_operator.controller"], "process", app, raising=False)
    return settings


def test_crd_prints_the_definition(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crd"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == custom_resource_definition()


def test_run_with_defaults(started: list[ControllerSettings]) -> None:
    assert main(["run"]) == 0
    assert started == [ControllerSettings()]


def test_run_with_everything(started: list[ControllerSettings]) -> None:
    flags = ["--namespace", "a", "--namespace", "b", "--kubeconfig", "file", "--log-format", "text"]
    images = [
        "--fetcher-image", "f", "--converter-image", "c", "--teacher-image", "t", "--trainer-image", "r",
        "--teacher-tpu-image", "p",
    ]  # fmt: skip
    assert main(["run", *flags, *images]) == 0
    assert started == [
        ControllerSettings(
            namespaces=("a", "b"),
            installation=Installation("f", "c", "t", "r", "p"),
            kubeconfig="file",
            log_format="text",
        )
    ]


def test_run_lets_jobs_set_what_is_not_listed(started: list[ControllerSettings]) -> None:
    assert main(["run", "--allow-unlisted-maxtext-settings"]) == 0
    assert started == [ControllerSettings(installation=Installation(allow_unlisted_max_text=True))]


@pytest.mark.parametrize("argv", [[], ["dance"], ["validate"], ["run", "--log-format", "xml"]])
def test_wrong_usage_exits_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_code:
        main(argv)
    assert exit_code.value.code == 2
    assert "usage: distillation-operator" in capsys.readouterr().err


def test_the_help_lists_each_command_in_the_group_of_those_who_use_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_code:
        main(["--help"])
    assert exit_code.value.code == 0
    text = capsys.readouterr().out
    groups = {
        title: re.findall(r"^  ([a-z-]+) ", lines, re.MULTILINE)
        for title, lines in re.findall(r"^([a-z, -]+):\n((?:  .*\n)+)", text, re.MULTILINE)
    }
    assert {"validate", "plan", "schema"} <= set(groups["distillations, without a cluster"])
    assert {"watch"} <= set(groups["distillations on a cluster"])
    assert groups["the operator and its installation"] == ["run", "ready", "crd"]
    listed = [command for group in groups.values() for command in group]
    for command in listed:
        with pytest.raises(SystemExit) as exit_code:
            main([command, "--help"])
        assert exit_code.value.code == 0, "what is listed exists"


@pytest.mark.parametrize("command", ["plan", "watch", "dashboard", "local"])
def test_no_error_moves_the_cursor(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = f"{tmp_path}/\x1b[2J\x9b31m\u202e\r"
    options = {"dashboard": ["--file", hostile], "local": [hostile, "--storage", str(tmp_path)]}
    assert main([command, *options.get(command, [hostile])]) == 1
    printed = capsys.readouterr()
    assert "[2J" in printed.err
    for line in (printed.out + printed.err).split("\n"):
        assert not line or line.isprintable()


def test_a_fault_of_several_lines_is_printed_in_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = changed(put("spec.training.stages[0].steps", 0), put("spec.dataset", {"\x1b[2J\r": 5}))
    (tmp_path / "job.json").write_text(json.dumps(wrong))
    assert main(["plan", str(tmp_path / "job.json")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 1 and all(line.isprintable() for line in lines)
