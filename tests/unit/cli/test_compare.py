"""``compare`` of files and folders: what the table and the JSON say."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from distillation_operator.cli import main
from distillation_operator.commands.compare.comparison import Comparison
from distillation_operator.commands.compare.sources import find
from distillation_operator.commands.compare.terminal import show
from unit.cli.compared_runs import condition, facts, job, rows, spec, stage, write_facts, write_json


def no_cluster(name: str, namespace: str | None) -> dict[str, Any]:
    raise AssertionError(f"{namespace}/{name} is a file")


def on_terminal(width: int, *paths: Path) -> str:
    screen = io.StringIO()
    found = find([str(path) for path in paths], no_cluster, None)
    show(Comparison.of(found.runs), Console(file=screen, width=width, force_terminal=True, color_system=None))
    return screen.getvalue()


@pytest.fixture
def two(tmp_path: Path) -> list[str]:
    """A status file and a folder of ``local``'s, of runs that differ in one field."""
    first = write_json(tmp_path / "first.json", job("first", after=3.25))
    second = tmp_path / "runs" / "second"
    second.mkdir(parents=True)
    (second / "status.yaml").write_text(yaml.safe_dump(job("second", after=2.75, spec=spec(2e-4))))
    return [str(first), str(second)]


def test_one_table_of_specs_scores_tokens_time_and_cost(two: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *two]) == 0
    told = rows(capsys.readouterr().out)
    assert told["first"] == ["second"]
    assert told["state"] == ["Complete", "Complete"]
    assert told["training.stages[teacher-data].learningRate"] == ["0.0001", "0.0002"]
    assert told["cross-entropy, before"] == ["5.5", "5.5"]
    assert told["cross-entropy, after"] == ["3.25", "2.75 *"]
    assert told["cross-entropy, relative drop"] == ["40.9%", "50.0% *"]
    assert told["tokens of the teacher"] == ["38,412", "38,412"]
    assert told["tokens, train-teacher-data"] == ["122,880", "122,880"]
    assert told["time, start to end"] == ["14 min 30 s", "14 min 30 s"]
    assert told["chip-hours"] == ["1.5", "1.5"]
    assert told["last loss, train-teacher-data"] == ["3.4", "3.4"]
    assert [name for name in told if name.startswith(("training.", "dataset.", "retries."))] == [
        "training.stages[teacher-data].learningRate"
    ]


def test_the_order_is_as_given_and_the_best_first_when_asked(
    two: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def order(*options: str) -> list[str]:
        assert main(["compare", *two, "--json", *options]) == 0
        return [run["name"] for run in json.loads(capsys.readouterr().out)["runs"]]

    assert order() == ["first", "second"]
    assert order("--sort", "crossEntropyAfter") == ["second", "first"]
    assert order("--sort", "crossEntropyDrop") == ["second", "first"]
    assert order("--sort", "crossEntropyBefore") == ["first", "second"]


def test_an_unknown_figure_to_sort_by_names_those_that_there_are(
    two: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *two, "--sort", "accuracy"]) == 1
    told = capsys.readouterr().err
    assert "--sort accuracy: no run has it; there are crossEntropyBefore, crossEntropyAfter" in told


def test_runs_without_the_figure_are_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running = job("running", status={"phase": "Running", "results": {}, "stages": [], "conditions": []})
    broken = job("broken")
    broken["status"]["stages"][-1]["metrics"]["crossEntropyAfter"] = "nan"
    broken["status"]["results"]["crossEntropyAfter"] = "nan"
    files = [
        str(write_json(tmp_path / f"{number}.json", one)) for number, one in enumerate([running, broken, job("done")])
    ]
    assert main(["compare", *files, "--json", "--sort", "crossEntropyAfter"]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [run["name"] for run in runs] == ["done", "running", "broken"]
    assert runs[2]["figures"]["crossEntropyAfter"] is None
    assert main(["compare", *files]) == 0
    assert rows(capsys.readouterr().out)["cross-entropy, after"] == ["-", "nan", "3.25"]


def test_the_json_has_curves_and_both_values_of_each_difference(
    tmp_path: Path, two: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    report = write_facts(tmp_path / "report", facts(steps=3))
    assert main(["compare", *two, str(report), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["runs"][2]["curves"]["train-teacher-data"]["loss"]["steps"] == [1, 2, 3]
    assert told["differences"] == [
        {
            "path": "training.stages[teacher-data].learningRate",
            "values": [1e-4, 2e-4, 1e-4],
            "known": [True, True, True],
        }
    ]
    assert told["runs"][0]["spec"]["retries"] == {"failures": 2, "disruptions": 100}


def test_a_report_tells_scores_after_each_stage_and_the_teachers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(write_facts(tmp_path / name, facts(after))) for name, after in (("a", 3.0), ("b", 2.5))]
    assert main(["compare", *paths]) == 0
    told = rows(capsys.readouterr().out)
    assert told["cross-entropy, after teacher-data"] == ["2.9", "2.4 *"]
    assert told["cross-entropy, after"] == ["3", "2.5 *"]
    assert told["cross-entropy, teacher"] == ["1.1", "1.1"]
    assert told["time of the stages, added up"] == ["7 min 40 s", "7 min 40 s"]


def test_chip_hours_of_pods_and_of_finished_work_are_two_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A status counts the running time of all pods, failed and waiting ones too, and nothing for what it found done; a
    report adds up the runs that finished the stages."""
    status, report = write_json(tmp_path / "first.json", job("first")), write_facts(tmp_path / "report")
    assert main(["compare", str(status), str(report)]) == 0
    told = rows(capsys.readouterr().out)
    assert told["chip-hours"] == ["1.5", "-"]
    assert told["chip-hours of the stages, added up"] == ["-", "0.7"]
    assert main(["compare", str(status), str(report), "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["runs"]
    assert (first["figures"]["chipHours"], second["figures"].get("chipHours")) == (1.5, None)
    assert (first["figures"].get("workChipHours"), second["figures"]["workChipHours"]) == (None, 0.7)
    generated = {"name": "generate", "state": "Complete", "reused": False}
    assert first["stages"][0] == {
        **generated, "seconds": 180.0, "chipHours": 0.75, "workSeconds": None, "workChipHours": None,
    }  # fmt: skip
    assert second["stages"][0] == {
        **generated, "seconds": None, "chipHours": None, "workSeconds": 170.0, "workChipHours": 0.7,
    }  # fmt: skip


def test_a_status_with_its_report_has_both_chip_hours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = str(write_json(tmp_path / "first.json", job("first")))
    write_facts(tmp_path / "storage" / "distillation" / "evaluate" / ("f" * 16), facts(steps=5))
    assert main(["compare", status, "--storage", str(tmp_path / "storage")]) == 0
    told = rows(capsys.readouterr().out)
    assert told["chip-hours"] == ["1.5"]
    assert told["chip-hours of the stages, added up"] == ["0.7"]


def test_the_storage_gives_a_status_its_curves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = str(write_json(tmp_path / "first.json", job("first")))
    write_facts(tmp_path / "storage" / "distillation" / "evaluate" / ("f" * 16), facts(steps=5))
    assert main(["compare", status, "--json"]) == 0
    (bare,) = json.loads(capsys.readouterr().out)["runs"]
    assert bare["curves"] == {}
    assert bare["notes"] == [
        "its curves are missing, only the last losses are known: --storage DIR names a folder that has them"
    ]
    assert main(["compare", status, "--json", "--storage", str(tmp_path / "storage")]) == 0
    (whole,) = json.loads(capsys.readouterr().out)["runs"]
    assert len(whole["curves"]["train-teacher-data"]["loss"]["values"]) == 5
    assert whole["scores"]["crossEntropy"]["after teacher-data"] == 3.15
    assert whole["notes"] == []


def test_trainings_without_a_report_have_their_curves_from_their_own_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = job("first", status={"results": {}, "phase": "Failed"})
    del failed["status"]["stages"][-1]
    history = tmp_path / "distillation" / "train-teacher-data" / ("f" * 16) / "run" / "history.jsonl"
    history.parent.mkdir(parents=True)
    history.write_text('{"step": 1, "loss": 6.0}\n{"step": 2, "loss": NaN}\n{"step": 3, "loss": 4.5}\n{"step": 4, "lo')
    assert main(["compare", str(write_json(tmp_path / "f.json", failed)), "--json", "--storage", str(tmp_path)]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run["curves"] == {"train-teacher-data": {"loss": {"steps": [1, 3], "values": [6.0, 4.5]}}}


def test_a_failed_and_a_running_job_are_shown_as_far_as_they_came(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = {
        "phase": "Failed",
        "results": {},
        "conditions": [condition("Failed", True, "OutOfMemory", "Stage train-teacher-data: no memory is left")],
        "stages": [stage("generate", "01:00", "04:00")],
    }
    begun: dict[str, Any] = {
        "phase": "Running",
        "completionTime": None,
        "results": {},
        "conditions": [],
        "stages": [stage("generate", "01:00", "04:00"), stage("train-teacher-data", "05:00", None)],
    }
    files = [str(write_json(tmp_path / f"{name}.json", job(name, status=status))) for name, status in
             (("broken", ended), ("begun", begun))]  # fmt: skip
    assert main(["compare", *files]) == 0
    out = capsys.readouterr().out
    told = rows(out)
    assert told["state"] == ["Failed", "Running"]
    assert told["time, start to end"] == ["14 min 30 s", "5 min 0 s so far"]
    assert told["chip-hours"] == ["1.5", "1.5 so far"]
    assert "broken: OutOfMemory: Stage train-teacher-data: no memory is left" in out


def test_a_status_of_anything_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of an older operator, of a newer one, and edited by hand."""
    statuses: list[Any] = [
        None,
        {},
        [],
        "Running",
        {"stages": {"a": 1}, "results": [], "conditions": None, "startTime": 5},
        {"stages": [None, "x", {"name": None, "metrics": [], "counts": {"tokens": "many"}}], "chipHours": "lots"},
        {"startTime": "yesterday", "completionTime": "2026-11-20T08:00:00", "loss": "-Infinity", "phase": 7},
        {"startTime": "2026-11-20T08:00:00Z", "completionTime": "1026-11-20T08:00:00Z"},
    ]
    files = []
    for number, status in enumerate(statuses):
        whole = {**job(f"run-{number}"), "status": status}
        files.append(str(write_json(tmp_path / f"{number}.json", whole)))
    assert main(["compare", *files, "--html", str(tmp_path / "page.html")]) == 0
    assert "run-0: it has no status: no operator has seen it yet" in capsys.readouterr().out
    assert main(["compare", *files, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == len(statuses)


def test_control_characters_and_markup_do_nothing_on_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = job("one")
    hostile["metadata"]["name"] = "\x1b[2Jone\x07\u202e[bold red]"
    hostile["spec"]["student"]["chatTemplate"] = "a\x1b]0;title\x07\r\nb\x9b31m"
    files = [str(write_json(tmp_path / "a.json", hostile)), str(write_json(tmp_path / "b.json", job("two")))]
    assert main(["compare", *files]) == 0
    out = capsys.readouterr().out
    assert not [letter for letter in out if ord(letter) < 32 and letter != "\n"]
    assert not any(letter in out for letter in "\x7f\x9b\u202e")
    assert "[2Jone[bold red]" in out
    assert rows(out)["student.chatTemplate"] == ["a]0;title b31m", "-"]


@pytest.mark.parametrize(
    ("folders", "labels"),
    [
        (["tries/first", "tries/second"], ["same (first)", "same (second)"]),
        (["first/same", "second/same"], ["same (first)", "same (second)"]),
        (["first/same", "second/other"], ["same (first/same)", "same (second/other)"]),
        (["a/x/same", "b/x/same", "c/y/same"], ["same (a/x)", "same (b/x)", "same (c/y)"]),
    ],
)
def test_runs_of_one_name_are_told_apart_by_the_end_of_their_folders(
    folders: list[str], labels: list[str], tmp_path: Path
) -> None:
    """A whole path as a heading makes tables wider than any screen."""
    paths = [write_json(tmp_path / folder / "status.yaml", job("same", uid=folder)).parent for folder in folders]
    found = find([str(path) for path in paths], no_cluster, None)
    assert Comparison.of(found.runs).labels == labels


@pytest.mark.parametrize("runs", [1, 2, 3, 4, 12, 50])
def test_each_number_of_runs_fits_80_columns(tmp_path: Path, runs: int) -> None:
    paths = [
        write_json(tmp_path / f"{number}.json", job(f"run-{number}-of-a-long-series", after=3 + number / 100))
        for number in range(runs)
    ]
    text = on_terminal(80, *paths)
    assert max(map(len, text.splitlines())) <= 80
    after = [f"{3 + number / 100:.4g}" for number in range(runs)]
    assert all(value in text for value in after)


def test_many_runs_are_grouped_by_the_values_of_a_field(tmp_path: Path) -> None:
    paths = [
        write_json(tmp_path / f"{number}.json", job(f"run-{number}", spec=spec(1e-4 if number < 8 else 2e-4)))
        for number in range(10)
    ]
    lines = on_terminal(80, *paths).splitlines()
    place = lines.index("training.stages[teacher-data].learningRate")
    assert [line.strip() for line in lines[place + 1 : place + 3]] == ["0.0001: 1-8", "0.0002: 9, 10"]


def test_equal_specs_are_said_to_be_equal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(write_json(tmp_path / f"{name}.json", job(name))) for name in ("one", "two")]
    assert main(["compare", *files]) == 0
    assert "The specs don't differ, as far as they are known." in capsys.readouterr().out


def test_a_recorded_run_and_its_report_tell_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a real distillation has left them."""
    recorded = Path(__file__).parent / "recorded"
    assert main(["compare", str(recorded / "status.yaml"), str(recorded / "facts.json"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    status, report = told["runs"]
    assert told["differences"] == []
    assert (status["phase"], report["phase"]) == ("Complete", "Evaluated")
    for key in ("crossEntropyAfter", "crossEntropyDrop", "klAfter", "loss/train-teacher-data", "endsByItselfTeacher"):
        assert status["figures"][key] == pytest.approx(report["figures"][key], rel=1e-3), key
    for key in ("generatedTokens", "tokens/train-teacher-data"):
        assert status["figures"][key] == report["figures"][key] > 0, key
    assert report["figures"]["crossEntropyTeacher"] == pytest.approx(0.858, abs=0.001)
    assert len(report["curves"]["train-teacher-data"]["loss"]["values"]) == 19
    assert main(["compare", str(recorded / "status.yaml"), str(recorded / "facts.json")]) == 0
    shown = rows(capsys.readouterr().out)
    assert shown["cross-entropy, after"] == ["6.807", "6.807"]
