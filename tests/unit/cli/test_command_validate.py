"""``validate`` on files: what it prints, and its exit code."""

import io
import json
import os
from pathlib import Path

import pytest
import yaml

from cluster.wrong_manifests import GOOD, changed, put
from distillation_operator.cli import main
from distillation_operator.commands.parsing import values

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
        ("a: [", "is not YAML: line "),
        ("a: 1\na: 2\n", "is not YAML: line 2, column 1: key a is there twice"),
        ("a: \t- b", "is not YAML"),
        ("\x00", "is not YAML"),
        ("a: !!int 0x_", "is not YAML: line 1, column 4: 0x_ can't be read as int"),
        ("a: !!int abc", "abc can't be read as int"),
        ("a: !!int ''", "can't be read as int"),
        (f"a: {'9' * 5000}", "9... can't be read as int"),
        (f"a: 0x{'f' * 5000}", "f... can't be read as int"),
        ("a: !!int 1:59", "1:59 can't be read as int"),
        ("a: !!bool x", "x can't be read as bool"),
        ("a: !!timestamp x", "x can't be read as timestamp"),
        ("a: !!float x", "x can't be read as float"),
        ('a: "\\UFFFFFFFF"', "is not YAML"),
        (f"%YAML 1.{'9' * 5000}\n---\na: 1", "is not YAML"),
        ('{"a": 1,\n "a": 2}', "is not JSON: key a is there twice"),
        ('{"a": [1,', "is not YAML"),
        ('{"a": ' + "9" * 5000 + "}", "can't be read as int"),
    ],
)
def test_bad_yaml_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, told: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    assert main(["validate", str(file)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_one_bad_file_does_not_hide_those_after_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "first.yaml").write_text("a: !!bool x")
    write(tmp_path, GOOD)
    assert main(["validate", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert "first.yaml is not YAML" in printed.err
    assert printed.out == f"{tmp_path}/jobs.yaml, document 1: valid\n"


LISTS = "[" + ", ".join(["*a{0}"] * 10) + "]"
MERGED = "{{<<: [" + ", ".join(["*a{0}"] * 10) + "], k{0}: 1}}"


@pytest.mark.parametrize("member", [LISTS, MERGED])
@pytest.mark.parametrize("command", ["validate", "plan", "local"])
def test_aliases_that_unfold_to_billions_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, member: str
) -> None:
    file = tmp_path / "bomb.yaml"
    lines = ["kind: DistillationJob", "a0: &a0 {k: 1}"]
    file.write_text("\n".join([*lines, *(f"a{n}: &a{n} {member.format(n - 1)}" for n in range(1, 10))]))
    more = ["--storage", str(tmp_path)] if command == "local" else []
    assert main([command, str(file), *more]) == 1
    assert f"{file} can't be read: it holds more than 300,000 values, or itself" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["- a\n" * 400_000, json.dumps({"a": [1] * 400_000})])
def test_no_text_has_values_without_number(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    file = tmp_path / "long.yaml"
    file.write_text(text)
    assert main(["validate", str(file)]) == 1
    assert capsys.readouterr().err == f"{file} can't be read: it holds more than 300,000 values, or itself\n"


@pytest.mark.parametrize("depth", [150, 5_000])
@pytest.mark.parametrize("command", ["validate", "plan"])
def test_what_is_nested_too_deeply_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, depth: int
) -> None:
    file = tmp_path / "deep.json"
    file.write_text('{"kind": "DistillationJob", "a": ' + "[" * depth + "]" * depth + "}")
    assert main([command, str(file)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{file} " in line and "nest" in line


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "large.yaml"
    with file.open("wb") as sparse:
        sparse.truncate((64 << 20) + 1)
    assert main(["validate", str(file)]) == 1
    assert "can't be read: it has more than 67,108,864 bytes" in capsys.readouterr().err


def test_json_has_tabs_and_a_mark_of_its_encoding(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps(GOOD, indent="\t"))
    assert main(["validate", str(file)]) == 0
    file.write_text(json.dumps(GOOD), encoding="utf-8-sig")
    assert main(["validate", str(file)]) == 0


@pytest.mark.parametrize("number", ["NaN", "Infinity"])
def test_what_is_no_number_of_json_is_none_here(tmp_path: Path, number: str) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps(changed(put("spec.training.stages[0].learningRate", float(number)))))
    assert main(["validate", str(file)]) == 1


@pytest.mark.parametrize("text", ["[" * 100_000, "a: &a [*a]\nkind: DistillationJob\n"])
def test_what_never_ends_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    file = tmp_path / "deep.yaml"
    file.write_text(text)
    assert main(["validate", str(file)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{file} ") and "nest" in line


def test_a_pipe_in_a_directory_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    write(tmp_path, GOOD)
    assert main(["validate", str(tmp_path)]) == 0


def test_a_path_of_which_the_system_does_not_tell_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, GOOD)
    long = str(tmp_path / ("x" * 300))
    assert main(["validate", long, file]) == 1
    printed = capsys.readouterr()
    assert printed.err == f"{long} can't be read: File name too long\n"
    assert printed.out == f"{file}, document 1: valid\n"


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


@pytest.mark.parametrize(
    "version", ["distilation.dev/v1alpha1", "v1alpha1", "Distillation.dev/v1alpha1", "distillation.io/v1alpha1"]
)
@pytest.mark.parametrize("kind", ["DistillationJob", "DistilationJob"])
def test_a_misspelt_group_is_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], version: str, kind: str
) -> None:
    file = write(tmp_path, changed(put("apiVersion", version), put("kind", kind)))
    assert main(["validate", file]) == 1
    assert f"apiVersion: Invalid value: \"{version}\": should be 'distillation.dev/v1alpha1'" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["Job", "JobSet", "TrainJob", "PyTorchJob", "DistillationJobTemplate"])
def test_kinds_of_others_are_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    file = write(tmp_path, {"apiVersion": "example.org/v1", "kind": kind, "metadata": {"name": "x"}})
    assert main(["validate", file]) == 0
    assert f"skipped, {kind} is not a DistillationJob" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n---\n", "[1, 2]", "a: 1"])
def test_standard_input_without_an_object_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert main(["validate", "-"]) == 1
    assert capsys.readouterr().err.startswith("standard input holds no Kubernetes object: ")


def test_an_empty_file_that_is_named_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.yaml").write_text("# later\n")
    assert main(["validate", str(tmp_path / "empty.yaml")]) == 1
    assert capsys.readouterr().err == f"{tmp_path}/empty.yaml is empty: it holds no document\n"
    write(tmp_path, GOOD)
    assert main(["validate", str(tmp_path)]) == 0


def test_other_kinds_alone_are_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", write(tmp_path, CONFIG_MAP)]) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(yaml.safe_dump(CONFIG_MAP)))
    assert main(["validate", "-"]) == 0
    assert capsys.readouterr().out.endswith("standard input: no DistillationJob in it\n")


BARE = {name: value for name, value in WRONG.items() if name not in ("apiVersion", "kind")}


@pytest.mark.parametrize(
    "listed",
    [
        {"apiVersion": "v1", "kind": "List", "items": [CONFIG_MAP, WRONG]},
        {"apiVersion": "distillation.dev/v1alpha1", "kind": "DistillationJobList", "items": [GOOD, WRONG]},
        {"apiVersion": "distillation.dev/v1alpha1", "kind": "DistillationJobList", "items": [GOOD, BARE]},
        {"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "List", "items": [WRONG]}]},
    ],
)
def test_a_list_is_its_items(tmp_path: Path, capsys: pytest.CaptureFixture[str], listed: dict[str, object]) -> None:
    file = write(tmp_path, listed)
    assert main(["validate", file]) == 1
    (fault,) = capsys.readouterr().err.splitlines()
    assert fault.startswith(f"{file}, document 1, item ")
    assert ": spec.training.stages[0].steps: Invalid value: 0: " in fault


def test_a_list_without_items_has_no_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = {"apiVersion": "distillation.dev/v1alpha1", "kind": "DistillationJobList", "items": []}
    assert main(["validate", write(tmp_path, empty)]) == 0
    assert main(["validate", write(tmp_path, {**empty, "items": "x"})]) == 1
    assert "items: Invalid value: should be a list" in capsys.readouterr().err


def test_plan_takes_the_jobs_of_a_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, {"apiVersion": "v1", "kind": "List", "items": [CONFIG_MAP, GOOD]})
    assert main(["plan", "--summary", file]) == 0
    assert "DistillationJob default/good: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1:30", "1:30"), ("1:30.5", "1:30.5"), ("0o20", 16), ("020", 16), ("0x1F", 31), ("0b11", 3), ("-0B11", -3),
        ("1_000", 1000), ("+7", 7), ("0", 0), ("08", 8.0), ("0x_", "0x_"), ("0o8", "0o8"), ("1e3", 1000.0), (".5", 0.5),
        ("1_0.5", 10.5), ("1.", 1.0), ("1.2.3", "1.2.3"), ("2026-01-01", "2026-01-01"), ("1e5x", "1e5x"),
        ("-.inf", float("-inf")),
    ],
)  # fmt: skip
def test_a_number_is_one_where_kubectl_reads_one(written: str, read: object) -> None:
    """Read by goyaml.v2, which kubectl reads manifests with."""
    assert list(values("text", f"a: {written}")) == [{"a": read}]
    ((found,),) = [list(content.values()) for content in values("text", f"a: {written}")]
    assert type(found) is type(read)


def test_a_time_is_no_number_of_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(changed(put("spec.training.stages[0].steps", "STEPS"))).replace("STEPS", "1:30"))
    assert main(["validate", str(file)]) == 1
    assert 'steps: Invalid value: "1:30": should be a whole number' in capsys.readouterr().err
