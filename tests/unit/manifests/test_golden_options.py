"""The exact pods with chips under each profile and option of an installation.

``UPDATE_GOLDEN=1 pytest`` rewrites the files.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillation_operator.manifests.kinds import child_manifest
from distillation_operator.manifests.settings import Installation
from distillation_operator.manifests.stage_pods import StagePods
from distillation_operator.pipeline.graph import build_pipeline
from support.scenario import job_of, small_spec

GOLDEN = Path(__file__).parent / "golden_options"
V6E = {"type": "tpu-v6e-slice", "topology": "2x4"}
BUCKET = {"gcs": {"bucket": "bucket"}}
SHOWN = ("generate", "train-one")

Object = dict[str, Any]
OPTIONS: dict[str, tuple[StagePods, Object, Object]] = {
    "locked-memory": (StagePods(accelerator_profile="LockedMemory"), {}, {}),
    "grace-and-memory": (StagePods(), {"terminationGracePeriodSeconds": 1800, "resources": {"memory": "40Gi"}}, {}),
    "scratch-limit": (StagePods(scratch_limit="80Gi"), {}, {}),
    "spot": (StagePods(), {}, {"provisioning": "Spot"}),
    "privileged": (StagePods(accelerator_profile="Privileged"), {}, {}),
}
"""What the installation says, and members of the job's training and of its accelerators."""


def made(name: str) -> str:
    """The first attempts of generation and of a training, as YAML."""
    limits, training, accelerator = OPTIONS[name]
    chips = {**V6E, **accelerator}
    spec = small_spec(
        storage=BUCKET,
        generation={"accelerator": chips},
        training={"accelerator": chips, "stages": [{"name": "one", "steps": 10}], **training},
    )
    job, installation = job_of(spec), Installation(stage_pods=limits)
    stages = build_pipeline(job.spec)
    children = [child_manifest(job, stages[stage], 0, installation) for stage in SHOWN]
    return yaml.safe_dump_all(json.loads(json.dumps(children)), sort_keys=False, width=120)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_makes_exactly_these_pods(name: str) -> None:
    golden, text = GOLDEN / f"{name}.yaml", made(name)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        golden.write_text(text)
    hint = "run UPDATE_GOLDEN=1 pytest tests/unit/manifests and look at the difference"
    assert golden.exists() and golden.read_text() == text, hint


def test_there_is_no_file_of_an_option_that_is_gone() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(OPTIONS)
