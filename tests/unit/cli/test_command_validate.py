"""``validate`` on files: what it prints, and its exit code."""

import io
import json
import os
from pathlib import Path

import pytest
import yaml

from cluster.wrong_manifests import GOOD, changed, put
from distillation_operator.cli import main

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
WRONG = changed(put("spec.training.stages[0].steps", 0))


def write(folder: Path, *manifests: object) -> str:
    """A file with these documents."""
    file = folder / "jobs.yaml"
    file.write_text(yaml.safe_dump_all(manifests))
    return str(file)


def test_good_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, CONFIG_MAP, GOOD, None)
    assert main(["validate", file]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{file}, document 1: skipped, ConfigMap is not a DistillationJob",
        f"{file}, document 2: valid",
    ]


def test_a_directory_is_read_with_all_below(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a team").mkdir()
    (tmp_path / ".git").mkdir()
    good, wrong = yaml.safe_dump(GOOD), yaml.safe_dump(WRONG)
    for name, text in {
        "a team/one.yaml": good,
        "a team/two.yml": wrong,
        "three.json": json.dumps(GOOD),
        "kustomization.yaml": "resources: [three.json]\n",
        "map.yaml": yaml.safe_dump(CONFIG_MAP),
        "README.md": "no manifest",
        ".git/hidden.yaml": wrong,
    }.items():
        (tmp_path / name).write_text(text)
    assert main(["validate", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        f"{tmp_path}/kustomization.yaml, document 1: skipped, a kustomization is not a DistillationJob",
        f"{tmp_path}/map.yaml, document 1: skipped, ConfigMap is not a DistillationJob",
        f"{tmp_path}/three.json, document 1: valid",
        f"{tmp_path}/a team/one.yaml, document 1: valid",
    ]
    (fault,) = printed.err.splitlines()
    assert fault.startswith(f"{tmp_path}/a team/two.yml, document 1: spec.training.stages[0].steps: ")


def test_a_directory_without_manifests_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (f"{tmp_path} has no manifests: no file in it ends in .yaml, .yml, .json\n")


def test_a_misspelt_kind_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, changed(put("kind", "DistilationJob")))
    assert main(["validate", file]) == 1
    assert 'kind: Invalid value: "DistilationJob": ' in capsys.readouterr().err


def test_every_fault_is_told_with_its_file_and_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, GOOD, WRONG)
    assert main(["validate", file, str(tmp_path / "absent.yaml")]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{file}, document 2: spec.training.stages[0].steps: Invalid value: 0: should be greater than or equal to 1",
        f"{tmp_path / 'absent.yaml'} can't be read: No such file or directory",
    ]


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(yaml.safe_dump(GOOD)))
    assert main(["validate", "-"]) == 0
    assert capsys.readouterr().out == "standard input, document 1: valid\n"


def test_another_version_of_the_api(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, changed(put("apiVersion", "distillation.dev/v9")))
    assert main(["validate", file]) == 1
    assert "apiVersion: Invalid value" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "is not YAML: line 1, column"),
        ("a: 1\na: 2\n", "is not YAML: line 2, column 1: key a is there twice"),
        ("a: \t- b", "is not YAML"),
        ("\x00", "is not YAML"),
    ],
)
def test_bad_yaml_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, told: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    assert main(["validate", str(file)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


@pytest.mark.parametrize("text", ["[" * 100_000, "a: &a [*a]\nkind: DistillationJob\n"])
def test_what_never_ends_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    file = tmp_path / "deep.yaml"
    file.write_text(text)
    assert main(["validate", str(file)]) == 1
    assert capsys.readouterr().err == f"{file} can't be read: it is nested too deeply, or an anchor holds itself\n"


def test_a_pipe_in_a_directory_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    write(tmp_path, GOOD)
    assert main(["validate", str(tmp_path)]) == 0


def test_a_manifest_can_not_move_the_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[2J\u202e\r"
    file = write(
        tmp_path,
        {"kind": hostile},
        changed(put("metadata.labels", {hostile: 5}), put("spec.dataset", {hostile: 1, "messagesColumn": hostile})),
    )
    assert main(["validate", file]) == 1
    printed = capsys.readouterr()
    for line in (printed.out + printed.err).split("\n"):
        assert not line or line.isprintable()


def test_what_is_not_text_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"\xff\xfe\x80")
    assert main(["validate", str(file)]) == 1
    assert capsys.readouterr().err == f"{file} can't be read: it is not text in UTF-8\n"


def test_numbers_are_read_as_kubectl_reads_them(tmp_path: Path) -> None:
    """U37."""
    file = tmp_path / "job.yaml"
    text = yaml.safe_dump(changed(put("spec.training.stages[0].learningRate", "RATE"))).replace("RATE", "1e-5")
    file.write_text(text.replace("org/teacher", "org/teacher\n        revision: 2026-01-01"))
    assert main(["validate", str(file)]) == 0
