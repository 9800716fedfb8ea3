"""Two writers of one stage: one's work is used, and nothing of the other's is left to be mistaken for it."""

from pathlib import Path

from distillation_operator.api.contract import StageResult
from distillation_stages.storage import Storage


def write(storage: Storage, text: str, fingerprint: str = "f1") -> tuple[StageResult, Path]:
    """A writer's work just before its end."""
    workspace = storage.workspace("out")
    (workspace / "part").write_text(text)
    outputs = {"part": storage.relative(workspace / "part")}
    return StageResult(stage="s", fingerprint=fingerprint, outputs=outputs), workspace


def test_the_first_writer_to_end_is_the_one_whose_work_is_used(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    slow, slow_workspace = write(storage, "slow")
    quick, quick_workspace = write(storage, "quick")
    assert storage.conclude("out", quick, quick_workspace) == quick
    told = storage.conclude("out", slow, slow_workspace)
    assert told.outputs == quick.outputs and told.reused
    assert storage.read_marker("out") == quick
    assert quick_workspace.exists() and not slow_workspace.exists()


def test_a_marker_whose_outputs_are_gone_is_replaced(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    lost, lost_workspace = write(storage, "lost")
    storage.conclude("out", lost, lost_workspace)
    (lost_workspace / "part").unlink()
    again, workspace = write(storage, "again")
    assert storage.conclude("out", again, workspace) == again
    assert storage.read_marker("out") == again
