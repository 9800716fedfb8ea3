"""Options that name nothing, files that aren't there, and an output that can't be written."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.wrong_manifests import GOOD
from distillation_operator.cli import main
from distillation_operator.local.storage import require_usable
from support.local_place import CHECKOUT, JOB, Place

EXAMPLE = str(CHECKOUT / "examples" / "smollm2-cpu.yaml")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("argv", [["validate", EXAMPLE], ["plan", EXAMPLE], ["schema"], ["crd"]])
def test_a_full_disk_is_one_line(argv: list[str], unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered, "PYTHONPATH": str(CHECKOUT / "operator")}
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "distillation_operator", *argv],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            check=False,
        )
    assert ended.stderr == ("distillation-operator: standard output can't be written: No space left on device\n")
    assert ended.returncode == 1


@pytest.mark.parametrize(
    "argv",
    [
        ["local", EXAMPLE, "--storage", ""],
        ["local", EXAMPLE, "--storage", " "],
        ["compare", "a", "--storage", ""],
        ["compare", "a", "--html", ""],
        ["dashboard", "--file", ""],
        ["plan", EXAMPLE, "--fetcher-image", ""],
        ["run", "--teacher-image", ""],
    ],
)
def test_an_option_that_is_empty_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert f"argument {argv[-2]}: {argv[-1]!r} is empty; is a variable not set?" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["plan", EXAMPLE], ["watch", "x"], ["compare", "x"]])
@pytest.mark.parametrize("name", ["Bad NS", "a" * 64, "-a", "a_b"])
def test_a_namespace_that_can_not_be_is_refused(
    command: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*command, f"--namespace={name}"])
    assert f"{name!r} is no namespace" in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["1e-320", "1e300", "1e-7"])
def test_a_rate_that_no_stage_has_is_refused(rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["plan", "--rate", f"generate={rate}", EXAMPLE])
    assert "no stage is so slow or fast; give from 1e-06 to 1000000000" in capsys.readouterr().err


def test_the_storage_is_looked_at_before_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISTILLATION_CACHE", str(tmp_path / "no environments"))
    place = Place(tmp_path)
    assert main(["local", str(place.file), "--storage", str(place.file)]) == 1
    assert capsys.readouterr().err == (f"distillation-operator: {place.file} can't be written: Not a directory\n")


def test_a_storage_that_is_not_there_yet_is_not_made_by_the_check(tmp_path: Path) -> None:
    require_usable(tmp_path / "one" / "two")
    assert not (tmp_path / "one").exists()


@pytest.mark.parametrize(
    "url", ["foo", "localhost:8080/readyz", "ftp://host/x", "http://", "http://a:x/", "http://a b/"]
)
def test_ready_asks_nothing_of_what_is_no_url(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    begin = time.monotonic()
    assert main(["ready", url]) == 1
    assert time.monotonic() - begin < 5
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"distillation-operator: {url}") and line.endswith("give http://HOST:PORT/readyz")


def test_watch_takes_the_status_file_for_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(tmp_path)
    ended: dict[str, object] = {"type": "Complete", "status": "True", "reason": "Completed", "message": "done"}
    ended |= {"observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    with place.folder.locked():
        metadata = {"name": JOB, "namespace": "ml", "uid": "1"}
        place.folder.write({**GOOD, "metadata": metadata, "status": {"phase": "Complete", "conditions": [ended]}})
    printed = []
    monkeypatch.chdir(place.folder.path)
    for name in (str(place.folder.path), str(place.folder.status_file), "status.yaml", "."):
        assert main(["watch", name]) == 0
        printed.append(capsys.readouterr().out)
    assert len(set(printed)) == 1 and "Complete" in printed[0]


@pytest.mark.parametrize("command", [["watch", "foo"], ["dashboard", "--port", "0"], ["compare", "foo"]])
def test_a_kubeconfig_that_is_not_there_is_named(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    missing = str(tmp_path / "none")
    monkeypatch.setenv("KUBECONFIG", missing)
    assert main(command) == 1
    printed = capsys.readouterr()
    assert not printed.out
    (line,) = printed.err.splitlines()
    assert f"no cluster: $KUBECONFIG is {missing}, and there is no such file" in line
    assert main([*command, "--kubeconfig", f"{missing}-2"]) == 1
    assert f"no cluster: --kubeconfig {missing}-2: there is no such file" in capsys.readouterr().err
