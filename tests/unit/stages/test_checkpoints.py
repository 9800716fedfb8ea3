"""Which checkpoint counts, and what is removed."""

import json
from pathlib import Path

from distillation_stages.maxtext.checkpoints import (
    drop_optimizer_state,
    keep_newest,
    newest_step,
    remove_broken,
    steps_in,
)
from unit.stages.training_inputs import save_checkpoint


def test_steps_are_sorted_as_numbers(tmp_path: Path) -> None:
    for step in (10, 9, 1, 100):
        save_checkpoint(tmp_path, step)
    assert steps_in(tmp_path) == [1, 9, 10, 100]
    assert newest_step(tmp_path) == 100


def test_a_run_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert newest_step(tmp_path / "missing") is None
    assert newest_step(tmp_path) is None


def test_what_was_not_committed_does_not_count(tmp_path: Path) -> None:
    """S2."""
    save_checkpoint(tmp_path, 5)
    save_checkpoint(tmp_path, 10, whole=False)
    (tmp_path / "15.orbax-checkpoint-tmp" / "model_params.orbax-checkpoint-tmp").mkdir(parents=True)
    (tmp_path / "20").mkdir()
    assert newest_step(tmp_path) == 5


def test_a_commit_time_in_the_metadata_counts_too(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 5, whole=False)
    (tmp_path / "5" / "_CHECKPOINT_METADATA").write_text(json.dumps({"commit_timestamp_nsecs": 17}))
    assert newest_step(tmp_path) == 5


def test_a_checkpoint_whose_commit_time_is_unset_does_not_count(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 5, whole=False)
    (tmp_path / "5" / "_CHECKPOINT_METADATA").write_text(json.dumps({"commit_timestamp_nsecs": None}))
    assert newest_step(tmp_path) is None


def test_the_untrained_model_does_not_count(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 0)
    assert newest_step(tmp_path) is None


def test_interrupted_saves_are_removed_and_whole_ones_kept(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 5)
    save_checkpoint(tmp_path, 10, whole=False)
    (tmp_path / "15.orbax-checkpoint-tmp").mkdir()
    assert remove_broken(tmp_path) == ["10", "15.orbax-checkpoint-tmp"]
    assert [path.name for path in tmp_path.iterdir()] == ["5"]


def test_old_checkpoints_make_room(tmp_path: Path) -> None:
    for step in (1, 5, 10, 15):
        save_checkpoint(tmp_path, step)
    assert keep_newest(tmp_path, 2) == [1, 5]
    assert steps_in(tmp_path) == [10, 15]
    assert keep_newest(tmp_path, 2) == []


def test_a_checkpoint_without_optimizer_state_is_still_whole(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 5)
    drop_optimizer_state(tmp_path / "5")
    assert not (tmp_path / "5" / "optimizer_state").exists()
    assert newest_step(tmp_path) == 5
