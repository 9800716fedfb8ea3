"""The time that pods have between SIGTERM and SIGKILL, and what a trainer makes of it."""

from typing import Any

import pytest

from distillation_operator.manifests.kinds import child_manifest
from distillation_operator.manifests.settings import Installation
from distillation_operator.pipeline.graph import build_pipeline
from distillation_stages.programs.train.trainer_process import seconds_to_save
from support.scenario import job_of, small_spec

Object = dict[str, Any]
V6E = {"type": "tpu-v6e-slice", "topology": "2x4"}


def pods(accelerator: Object | None, **training: Any) -> dict[str, Object]:
    """The pod of each stage."""
    chips = {} if accelerator is None else {"accelerator": accelerator}
    members = {"stages": [{"name": "one", "steps": 10}], **chips, **training}
    job = job_of(small_spec(generation=chips, training=members))
    made = {name: child_manifest(job, one, 0, Installation())["spec"] for name, one in build_pipeline(job.spec).items()}
    return {
        name: (spec if "template" in spec else spec["replicatedJobs"][0]["template"]["spec"])["template"]["spec"]
        for name, spec in made.items()
    }


def told(pod: Object, monkeypatch: pytest.MonkeyPatch) -> float:
    """How long the trainer of that pod takes to save."""
    monkeypatch.delenv("GRACE_SECONDS", raising=False)
    for variable in pod["containers"][0]["env"]:
        if variable["name"] == "GRACE_SECONDS":
            monkeypatch.setenv("GRACE_SECONDS", variable["value"])
    return seconds_to_save()


@pytest.mark.parametrize(
    ("accelerator", "asked", "generation", "training", "to_save"),
    [
        (None, None, 60, 60, 45),
        (V6E, None, 60, 600, 585),
        ({**V6E, "provisioning": "Spot"}, None, 15, 15, 10),
        ({**V6E, "provisioning": "Reservation", "reservationName": "r"}, None, 60, 600, 585),
        ({**V6E, "provisioning": "FlexStart"}, None, 60, 600, 585),
        ({**V6E, "provisioning": "Spot"}, 120, 15, 120, 105),
        (V6E, 3600, 60, 3600, 3585),
        (None, 300, 60, 300, 285),
    ],
)
def test_the_grace_follows_from_the_provisioning_and_the_trainer_follows_it(
    accelerator: Object | None,
    asked: int | None,
    generation: int,
    training: int,
    to_save: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = pods(accelerator, **({} if asked is None else {"terminationGracePeriodSeconds": asked}))
    assert made["generate"]["terminationGracePeriodSeconds"] == generation
    assert made["train-one"]["terminationGracePeriodSeconds"] == training
    assert told(made["train-one"], monkeypatch) == to_save
    assert made["evaluate"]["terminationGracePeriodSeconds"] == 60


def test_it_is_no_part_of_what_determines_results() -> None:
    def fingerprints(**training: Any) -> dict[str, str]:
        members = {"stages": [{"name": "one", "steps": 10}], **training}
        job = job_of(small_spec(training=members))
        return {name: stage.fingerprint for name, stage in build_pipeline(job.spec).items()}

    assert fingerprints(terminationGracePeriodSeconds=900) == fingerprints()
