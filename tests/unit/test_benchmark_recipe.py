"""What the benchmark of the small recipe runs by hand, and what it makes of the times."""

from pathlib import Path

import pytest
import yaml

from benchmarks.recipe import EXAMPLE, Command, Recipe, Timed, figures, job_of, split_rows, until_export
from distillation_api.resource import DistillationJob
from distillation_stages.maxtext.families import Settings

EXAMPLE_JOB = yaml.safe_load(EXAMPLE.read_text())
SETTINGS: Settings = {"model_name": "llama3.1-8b", "base_num_decoder_layers": 6}


def commands(tmp_path: Path, rows: int | None = None, steps: int | None = None) -> dict[str, Command]:
    recipe = Recipe.of(job_of(EXAMPLE_JOB, rows, steps))
    config = tmp_path / "configs" / "post_train" / "sft.yml"
    found = recipe.commands(tmp_path / "storage", tmp_path, config, SETTINGS)
    return {command.name: command for command in found}


def test_the_job_is_the_quickstarts_without_its_gate() -> None:
    whole = job_of(EXAMPLE_JOB, None, None)
    assert "require" not in whole["spec"]["evaluation"]
    assert {name: part for name, part in whole["spec"].items() if name != "evaluation"} == {
        name: part for name, part in EXAMPLE_JOB["spec"].items() if name != "evaluation"
    }
    smaller = DistillationJob.parse(job_of(EXAMPLE_JOB, 24, 3)).spec
    assert smaller.dataset.limit == 24 and smaller.training.stages[0].steps == 3
    assert "require" in EXAMPLE_JOB["spec"]["evaluation"], "the example itself is left as it is"


def test_each_command_reads_what_the_one_before_it_writes(tmp_path: Path) -> None:
    found = commands(tmp_path, steps=7)
    assert list(found) == ["convert", "generate", "train", "export", "evaluate"]
    converted, trained, exported = (tmp_path / name for name in ("converted", "trained", "exported"))
    assert f"base_output_directory={converted}" in found["convert"].line
    assert f"load_parameters_path={converted}/0/items" in found["train"].line
    assert f"base_output_directory={trained}" in found["train"].line
    assert f"load_parameters_path={trained}/run/checkpoints/7/model_params" in found["export"].line
    assert str(exported) in found["evaluate"].line


def test_the_training_has_the_stages_settings_and_the_answers_as_data(tmp_path: Path) -> None:
    line = commands(tmp_path)["train"].line
    for setting in ("steps=32", "per_device_batch_size=4.0", "max_target_length=112", "learning_rate=0.0003"):
        assert setting in line
    assert f"hf_train_files={tmp_path}/train/answers.parquet" in line and "num_epoch=2" in line
    assert line[:2] == ["-m", "maxtext.trainers.post_train.sft.train_sft"]


def test_what_is_scored_is_not_trained_on() -> None:
    recipe = Recipe.of(job_of(EXAMPLE_JOB, None, None))
    parts = split_rows([str(number) for number in range(200)], recipe)
    assert parts["train"] == [str(number) for number in range(88)]
    assert parts["holdout"] == [str(number) for number in range(88, 104)]


def test_the_ratios_are_the_operators_time_over_the_scripts() -> None:
    operator = [Timed(80.0, 60.0, {"export": 10.0}, (5.0, 2.0)), Timed(90.0, 70.0, {}, (5.0, 2.0))]
    script = [Timed(100.0, 90.0, {"export": 9.0}, (5.0, 2.1)), Timed(100.0, 95.0, {}, (5.0, 2.1))]
    told = figures(operator, script)
    assert told["ratio"] == 0.85
    assert told["ratioToTheStudent"] == pytest.approx(65 / 92.5, abs=0.001)
    assert told["seconds"] == {"operator": [80.0, 90.0], "script": [100.0, 100.0]}


def test_the_student_is_there_when_the_export_has_ended() -> None:
    stages = [{"name": "train", "completionTime": "1970-01-01T00:16:41Z"}, {"name": "export"}]
    stages[1]["completionTime"] = "1970-01-01T00:17:20Z"
    assert until_export({"stages": stages}, 1000.0) == 40.0
