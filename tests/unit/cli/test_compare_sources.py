"""Where ``compare`` finds runs, and what it says where there is none."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillation_operator.cli import main
from distillation_operator.commands.compare.sources import find
from distillation_operator.commands.errors import CommandError
from unit.cli.compared_runs import facts, job, write_facts, write_json


class Jobs:
    """The jobs of a cluster."""

    def __init__(self, *jobs: dict[str, Any]) -> None:
        self._jobs = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in jobs}

    def __call__(self, name: str, namespace: str | None) -> dict[str, Any]:
        """The job, by default of namespace ml."""
        place = namespace or "ml"
        if (place, name) not in self._jobs:
            raise CommandError(f"there is no DistillationJob {name} in namespace {place}")
        return self._jobs[place, name]


def origins(names: list[str], *jobs: dict[str, Any]) -> list[str]:
    return [run.origin for run in find(names, Jobs(*jobs), None).runs]


def elsewhere(name: str) -> dict[str, Any]:
    one = job(name, uid=f"other-{name}")
    one["metadata"]["namespace"] = "team"
    return one


def test_files_folders_and_jobs_are_mixed_in_the_order_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_json(Path("status.json"), job("filed"))
    write_facts(Path("report"))
    write_json(Path("runs/local-one/status.yaml"), job("local-one"))
    names = ["clustered", "report", "status.json", "team/clustered", "runs/local-one"]
    assert origins(names, job("clustered"), elsewhere("clustered")) == [
        "cluster ml/clustered",
        "report/facts.json",
        "status.json",
        "cluster team/clustered",
        "runs/local-one/status.yaml",
    ]


def test_a_list_and_a_folder_of_locals_are_all_of_their_runs(tmp_path: Path) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": [job("a"), {"kind": "ConfigMap"}, job("b")]}
    (tmp_path / "list.yaml").write_text(yaml.safe_dump(listed))
    for name in ("d", "c"):
        write_json(tmp_path / "runs" / name / "status.yaml", job(name))
    found = find([str(tmp_path / "list.yaml"), str(tmp_path / "runs")], Jobs(), None)
    assert [run.name for run in found.runs] == ["a", "b", "c", "d"]


def test_a_pipe_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in (json.dumps(job("piped")), yaml.safe_dump(job("piped"))):
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        assert [(run.name, run.origin) for run in find(["-"], Jobs(), None).runs] == [("piped", "standard input")]


def test_the_page_of_a_report_stands_for_its_folder(tmp_path: Path) -> None:
    folder = write_facts(tmp_path / "report")
    (folder / "report.html").write_text("<html>")
    assert [run.name for run in find([str(folder / "report.html")], Jobs(), None).runs] == ["reported"]


def test_what_local_has_made_lies_beside_its_status(tmp_path: Path) -> None:
    write_json(tmp_path / "first" / "status.yaml", job("first"))
    write_facts(tmp_path / "distillation" / "evaluate" / ("f" * 16), facts(steps=4))
    (run,) = find([str(tmp_path / "first")], Jobs(), None).runs
    assert len(run.curves["train-teacher-data"]["loss"]) == 4


def test_a_file_goes_before_a_job_and_a_prefix_asks_for_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_json(Path("both"), job("both", uid="other"))
    names = ["both", "cluster:both", "cluster:team/both"]
    assert origins(names, job("both"), elsewhere("both")) == ["both", "cluster ml/both", "cluster team/both"]


def test_a_folder_without_a_run_is_passed_over_among_others(tmp_path: Path) -> None:
    """As in ``compare runs/*``: the results of all jobs lie among the folders of `local`'s jobs."""
    for name in ("first", "second"):
        write_json(tmp_path / name / "status.yaml", job(name))
    (tmp_path / "distillation" / "evaluate").mkdir(parents=True)
    found = find(sorted(map(str, tmp_path.iterdir())), Jobs(), None)
    assert [run.name for run in found.runs] == ["first", "second"]
    (remark,) = found.remarks
    assert remark.startswith(f"{tmp_path / 'distillation'} is a folder without status.yaml (of local) or facts.json")


def test_a_folder_never_stands_for_a_job_of_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demo").mkdir()
    with pytest.raises(CommandError) as error:
        origins(["demo"], job("demo"))
    assert str(error.value) == (
        "demo is a folder without status.yaml (of local) or facts.json (of a report); cluster:demo is the job of the "
        "cluster"
    )
    assert origins(["demo", "cluster:demo"], job("demo")) == ["cluster ml/demo"]


@pytest.mark.parametrize("place", ["{}", "{}/status.yaml", "{}/report.html"])
def test_a_path_of_which_the_system_does_not_tell_is_named(tmp_path: Path, place: str) -> None:
    name = str(tmp_path / place.format("x" * 300))
    with pytest.raises(CommandError) as error:
        find([name], Jobs(), None)
    assert str(error.value) == f"{name} can't be read: File name too long"


def test_a_page_of_too_long_a_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = str(write_json(tmp_path / "one.json", job("one")))
    for name in ("x" * 300, "x" * 253, "circle"):
        page = tmp_path / name
        if name == "circle":
            page.symlink_to(page)
        assert main(["compare", one, "--html", str(page)]) == 1
        assert f"--html {page}: " in capsys.readouterr().err
    assert main(["compare", one, "--storage", str(tmp_path / ("x" * 300))]) == 1
    assert "File name too long" in capsys.readouterr().err


def test_the_same_run_twice_is_shown_once_and_its_older_status_beside_it(tmp_path: Path) -> None:
    older = job("one", status={"phase": "Running", "conditions": []})
    names = ["one", str(write_json(tmp_path / "one.json", job("one"))), str(write_json(tmp_path / "old.json", older))]
    found = find(names, Jobs(job("one")), None)
    assert [run.phase for run in found.runs] == ["Complete", "Running"]
    assert list(found.remarks) == [f"{tmp_path / 'one.json'} is the same run as cluster ml/one: shown once"]


def test_every_run_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "broken.yaml").write_text("a: [")
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "pods.json").write_text(json.dumps({"kind": "Pod"}))
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "facts.json").write_text('{"scores": [')
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "facts.json").write_text('{"scores": []}')
    (tmp_path / "page.html").write_text("<html>")
    (tmp_path / "nothing here").mkdir()
    (tmp_path / "deep.json").write_text("[" * 100_000)
    names = ["binary", "broken.yaml", "empty.json", "pods.json", "half", "wrong", "page.html", "nothing here"]
    names += ["No Job!", "deep.json"]
    assert main(["compare", *(str(tmp_path / name) for name in names)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == len(names)
    for line, name in zip(lines, names, strict=True):
        assert str(tmp_path / name) in line
    told = captured.err
    for right in (
        "it is not text in UTF-8",
        "is not YAML",
        "has no DistillationJob: give what `kubectl get dj NAME -o json` prints",
        "is it half copied?",
        "give the folder that evaluate has written",
        "there is no facts.json beside it",
        "is a folder without status.yaml (of local) or facts.json (of a report)",
        "a job of the cluster is NAME or NAMESPACE/NAME",
        "exceeded maximum nesting depth",
    ):
        assert right in told


def test_aliases_that_unfold_to_billions_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (tmp_path / "bomb.yaml").write_text("\n".join(["kind: DistillationJob", *lines]))
    with pytest.raises(CommandError, match="holds more than 300,000 values, or itself"):
        find([str(tmp_path / "bomb.yaml")], Jobs(), None)


def test_a_report_outside_of_the_storage_is_not_read(tmp_path: Path) -> None:
    secret = write_facts(tmp_path / "secret")
    storage = tmp_path / "storage"
    storage.mkdir()
    (storage / "link").symlink_to(secret)
    for path in ("../secret/report.html", str(secret / "report.html"), "link/report.html", "a\0b/report.html"):
        outside = job("one", status={"results": {}})
        outside["status"]["results"] = {"report": path}
        name = str(write_json(tmp_path / "one.json", outside))
        (run,) = find([name], Jobs(), storage).runs
        assert run.curves == {}
        assert "doesn't hold them" in run.notes[0]


def test_a_run_that_failed_at_its_gate_has_the_curves_of_its_report(tmp_path: Path) -> None:
    failed = job("first", status={"phase": "Failed", "results": {}})
    failed["status"]["stages"][-1] |= {"state": "Failed", "outputs": {}, "directory": "distillation/evaluate/abc"}
    write_facts(tmp_path / "distillation" / "evaluate" / "abc" / "work-1", facts(steps=7))
    (run,) = find([str(write_json(tmp_path / "one.json", failed))], Jobs(), tmp_path).runs
    assert len(run.curves["train-teacher-data"]["loss"]) == 7
    failed["status"]["stages"][-1]["directory"] = "/etc"
    (run,) = find([str(write_json(tmp_path / "one.json", failed))], Jobs(), tmp_path).runs
    assert run.curves == {}


def test_broken_facts_in_the_storage_leave_the_run_its_status(tmp_path: Path) -> None:
    write_json(tmp_path / "distillation" / "evaluate" / ("f" * 16) / "facts.json", {"scores": "none"})
    (run,) = find([str(write_json(tmp_path / "one.json", job("first")))], Jobs(), tmp_path).runs
    assert run.scores["crossEntropy"]["after"] == 3.25
    assert "its curves are missing" in run.notes[0]


def test_no_message_moves_the_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = facts()
    told["stages"][0]["counts"] = {"\x1b[2J\x9b31m": "many"}
    assert main(["compare", str(write_facts(tmp_path / "report", told)), str(tmp_path / "\x1b[31mnone")]) == 1
    err = capsys.readouterr().err
    assert "isn't facts.json of a report" in err
    assert not [letter for letter in err if not letter.isprintable() and letter != "\n"]


def test_storage_and_page_name_places_that_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = str(write_json(tmp_path / "one.json", job("one")))
    assert main(["compare", one, "--storage", str(tmp_path / "none")]) == 1
    assert "there is no such folder; give the one that holds the storage's files" in capsys.readouterr().err
    assert main(["compare", one, "--html", str(tmp_path / "none" / "page.html")]) == 1
    assert "name a file in a folder that exists" in capsys.readouterr().err
    assert main(["compare", one, "--html", str(tmp_path)]) == 1
    assert "it is no file; name one, such as runs.html" in capsys.readouterr().err


def test_without_a_cluster_a_name_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "none"
    assert main(["compare", "somejob", "--kubeconfig", str(config)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("distillation-operator: somejob: no cluster: ")
    assert line.endswith("; nor is there such a file or folder")
