"""Which checkpoint counts, and what is removed."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

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


def test_a_commit_time_in_the_metadata_does_not_count(tmp_path: Path) -> None:
    """Orbax writes it before the file that is written last."""
    save_checkpoint(tmp_path, 5, whole=False)
    (tmp_path / "5" / "_CHECKPOINT_METADATA").write_text(json.dumps({"commit_timestamp_nsecs": 17}))
    assert newest_step(tmp_path) is None


@pytest.mark.parametrize(
    "moved", [["commit_success.txt", "model_params/commit_success.txt"], ["commit_success.txt"], []]
)
def test_a_rename_that_was_interrupted_leaves_no_whole_checkpoint(tmp_path: Path, moved: list[str]) -> None:
    """S2: earlier versions renamed; on a bucket without directories files move one by one, in random order."""
    save_checkpoint(tmp_path, 5)
    save_checkpoint(tmp_path, 10)
    (tmp_path / "10").rename(tmp_path / "10.orbax-checkpoint-tmp")
    for name in ("optimizer_state/manifest.ocdbt", *moved):
        move(tmp_path / "10.orbax-checkpoint-tmp" / name, tmp_path / "10" / name)
    assert steps_in(tmp_path) == [5]
    assert remove_broken(tmp_path) == ["10", "10.orbax-checkpoint-tmp"]
    assert steps_in(tmp_path) == [5]


def test_a_rename_that_was_interrupted_after_its_last_file_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 10)
    (tmp_path / "10.orbax-checkpoint-tmp" / "model_params").mkdir(parents=True)
    assert steps_in(tmp_path) == [10]
    assert remove_broken(tmp_path) == ["10.orbax-checkpoint-tmp"]
    assert steps_in(tmp_path) == [10]


def move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)


def test_a_kill_while_checkpoints_are_removed_leaves_none_that_is_believed(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        save_checkpoint(tmp_path, step)
    move(tmp_path / "5" / "optimizer_state" / "manifest.ocdbt", tmp_path / "5.orbax-checkpoint-tmp" / "left")
    with before_each_removal(lambda: steps_in(tmp_path)) as seen:
        remove_broken(tmp_path)
        # What is older than the newest is believed until the first of its files goes.
        keep_newest(tmp_path, 1)
    assert len(seen) > 15
    until = seen.index([15])
    assert seen == [[10, 15]] * until + [[15]] * (len(seen) - until)


@contextmanager
def before_each_removal(look: Callable[[], list[int]]) -> Iterator[list[list[int]]]:
    """What can be seen in this process before each file and folder that goes."""
    seen: list[list[int]] = []
    watching = [True]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event in ("os.remove", "os.rmdir"):
            seen.append(look())

    sys.addaudithook(hook)  # It stays until the process ends.
    try:
        yield seen
    finally:
        watching.clear()


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
