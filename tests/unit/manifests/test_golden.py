"""The exact Jobs and JobSets that the examples become. ``UPDATE_GOLDEN=1 pytest`` rewrites the files."""

import json
import os
from pathlib import Path

import pytest
import yaml

from distillation_api.resource import DistillationJob
from distillation_operator.manifests.kinds import child_manifest
from distillation_operator.manifests.settings import Installation
from distillation_operator.pipeline.graph import build_pipeline

EXAMPLES = Path(__file__).parents[3] / "examples"
GOLDEN = Path(__file__).parent / "golden"
NAMES = ("deepseek2-16b-to-llama2-7b", "smollm2-cpu")


def manifests(example: str) -> dict[str, str]:
    """The first attempt of each stage, as YAML, by file name."""
    raw = yaml.safe_load((EXAMPLES / f"{example}.yaml").read_text())
    raw["metadata"]["uid"] = "00000000-0000-0000-0000-000000000001"
    job = DistillationJob.parse(raw)
    children = {
        stage.name: child_manifest(job, stage, 0, Installation()) for stage in build_pipeline(job.spec).values()
    }
    # Through JSON, so that no two places share an object, which YAML would write as an alias.
    return {
        f"{name}.yaml": yaml.safe_dump(json.loads(json.dumps(child)), sort_keys=False, width=120)
        for name, child in children.items()
    }


@pytest.mark.parametrize("example", NAMES)
def test_an_example_becomes_exactly_these_manifests(example: str) -> None:
    folder, made = GOLDEN / example, manifests(example)
    if os.environ.get("UPDATE_GOLDEN"):
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        for name, text in made.items():
            (folder / name).write_text(text)
    kept = {path.name: path.read_text() for path in folder.iterdir()} if folder.is_dir() else {}
    hint = "run UPDATE_GOLDEN=1 pytest tests/unit/manifests and look at the difference"
    assert sorted(kept) == sorted(made), hint
    for name, text in made.items():
        assert kept[name] == text, f"{example}/{name}: {hint}"


def test_there_is_no_folder_of_an_example_that_is_gone() -> None:
    assert sorted(path.name for path in GOLDEN.iterdir()) == sorted(NAMES)
