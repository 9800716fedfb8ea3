"""What stays of a run when it is restarted."""

import json
from pathlib import Path

import pytest

from distillation_stages.maxtext.log import parse_step
from distillation_stages.programs.train.record import History, Record, Summary
from unit.stages.training_inputs import distill_line, step_line


@pytest.mark.parametrize("text", ["", "{", '{"unknown": 1}'])
def test_a_broken_summary_is_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "summary.json").write_text(text)
    assert Summary.read(tmp_path / "summary.json") == Summary()


def record_of(directory: Path, done: int, lines: list[str]) -> Record:
    record = Record(directory, done)
    record.start()
    for line in lines:
        step = parse_step(line)
        assert step is not None
        record.add(step)
    record.write()
    return record


def steps(directory: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (directory / "history.jsonl").read_text().splitlines()]


def test_a_restarted_run_continues_its_history_without_duplicates(tmp_path: Path) -> None:
    record_of(tmp_path, 0, [step_line(step) for step in range(1, 8)])
    record = record_of(tmp_path, 5, [step_line(step) for step in range(6, 9)])
    assert steps(tmp_path) == list(range(1, 9))
    assert (record.summary.starts, record.summary.steps, record.summary.last_step) == (2, 10, 8)


def test_a_step_told_twice_stands_once(tmp_path: Path) -> None:
    record_of(tmp_path, 0, [step_line(1), step_line(2, "9.0"), step_line(2, "8.0")])
    assert steps(tmp_path) == [1, 2]
    assert json.loads((tmp_path / "history.jsonl").read_text().splitlines()[1])["loss"] == 8.0


def test_lines_that_were_cut_off_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text('{"step": 1}\n[]\n{"step": 2, "loss"')
    History.read(file, 9).write(file)
    assert file.read_text() == '{"step": 1}\n'


def test_only_what_was_told_is_in_the_history(tmp_path: Path) -> None:
    record_of(tmp_path, 0, [distill_line(1, loss="inf")])
    assert json.loads((tmp_path / "history.jsonl").read_text()) == {
        "step": 1,
        "learningRate": 0.0003,
        "klToTeacher": 1.25,
    }


def test_writing_pauses_in_proportion_to_what_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 19.0, 21.5, 21.5, 21.5])
    monkeypatch.setattr("distillation_stages.programs.train.record.time.monotonic", lambda: next(clock))
    record = Record(tmp_path, 0)
    record.write()
    (tmp_path / "history.jsonl").unlink()
    record.write_when_due()
    assert not (tmp_path / "history.jsonl").exists(), "18 seconds after a write of one second"
    record.write_when_due()
    assert (tmp_path / "history.jsonl").exists()


def test_the_rates_are_those_of_the_steps_that_told_one(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text(
        '{"step": 1, "tokensPerSecondPerDevice": 8}\n{"step": 2}\n{"step": 3, "tokensPerSecondPerDevice": 0}\n'
        '{"step": 4, "tokensPerSecondPerDevice": "fast"}\n{"step": 5, "tokensPerSecondPerDevice": 64.5}\n'
    )
    assert History.read(tmp_path / "history.jsonl", 9).token_rates() == {1: 8, 5: 64.5}
