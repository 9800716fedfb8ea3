"""Fingerprints: what determines the outputs changes them, there and in all that reads them; nothing else does."""

from typing import Any

import pytest

from distillation_api.spec import DistillationJobSpec
from distillation_operator.pipeline.graph import build_pipeline
from support.scenario import ALL, BEFORE_TRAINING, small_spec

TRAINED = {"train-one", "export-one", "train-two", "export", "evaluate"}
AFTER_GENERATE = {"generate", "pack-one", *TRAINED}
LAST = {"train-two", "export", "evaluate"}


def marks(**members: Any) -> dict[str, str]:
    spec = DistillationJobSpec.model_validate(small_spec(**members))
    return {stage.name: stage.fingerprint for stage in build_pipeline(spec).values()}


def changed(**members: Any) -> set[str]:
    """The stages that do their work again when these members change."""
    before, after = marks(), marks(**members)
    return {name for name in before if before[name] != after[name]}


def stages(**members: Any) -> dict[str, Any]:
    """The small spec's training with other settings of its second stage."""
    first, second = small_spec()["training"]["stages"]
    return {"stages": [first, {**second, **members}]}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"learningRate": 0.5}, LAST),
        ({"steps": 11}, {"pack-two", *LAST}),
        ({"perDeviceBatchSize": 1}, {"pack-two", *LAST}),
        ({"maxText": {"remat_policy": "full"}}, LAST),
        ({"packing": False}, {"pack-two", *LAST}),
    ],
)
def test_a_training_setting_changes_its_stage_and_those_after(members: dict[str, Any], expected: set[str]) -> None:
    assert changed(training=stages(**members)) == expected


def test_learning_every_turn_is_looked_at_before_and_the_default_changes_nothing() -> None:
    every = stages(trainOn="EveryAssistantTurn")
    assert changed(training=every) == {"preflight", "pack-two", *LAST}
    assert changed(training=stages(trainOn="LastAssistantTurn")) == set()


@pytest.mark.parametrize(
    "members",
    [
        {"suspend": True},
        {"queue": {"name": "tpu", "topology": "cloud.google.com/gke-nodepool"}},
        {"retries": {"failures": 9, "disruptions": 9}},
        {"ttlSecondsAfterFinished": 1},
        {"pod": {"serviceAccountName": "other", "priorityClassName": "low"}},
        {"pod": {"nodeSelector": {"a": "b"}, "labels": {"a": "b"}, "annotations": {"a": "b"}}},
        {"pod": {"tolerations": [{"key": "a", "value": "b"}], "env": [{"name": "HF_ENDPOINT", "value": "b"}]}},
        {"huggingFaceToken": {"secretName": "token", "key": "token"}},
        {"generation": {"resources": {"cpu": "7", "memory": "7Gi"}}},
        {"training": {**small_spec()["training"], "resources": {"memory": "7Gi"}}},
    ],
)
def test_what_does_not_determine_results_changes_nothing(members: dict[str, Any]) -> None:
    assert changed(**members) == set()


def test_where_the_nodes_of_an_accelerator_come_from_changes_nothing() -> None:
    def generation(**members: Any) -> dict[str, Any]:
        return {"accelerator": {"type": "tpu-v5-lite-podslice", "topology": "2x4", **members}}

    flexible = generation(provisioning="FlexStart", nodeSelector={"a": "b"})
    assert marks(generation=flexible) == marks(generation=generation())


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"teacher": {"source": {"path": "other"}}}, {"fetch-teacher", "preflight", *AFTER_GENERATE}),
        (
            {"student": {"source": {"path": "other"}, "maxTextModel": "llama2-7b"}},
            {
                "fetch-student",
                "convert-student",
                "preflight",
                "pack-one",
                "pack-two",
                *TRAINED,
            },
        ),
        (
            {"student": {"source": {"path": "models/student"}, "maxTextModel": "llama3.1-8b"}},
            {"convert-student", *TRAINED},
        ),
        (
            {"student": {"source": {"path": "models/student"}}},
            {"convert-student", *TRAINED},
        ),
        ({"teacher": {**small_spec()["teacher"], "maxTextModel": "llama2-7b"}}, set()),
        (
            {"dataset": {"source": {"path": "data.jsonl"}, "messagesColumn": "messages", "limit": 100}},
            {"prepare-dataset", "preflight", "pack-two", *AFTER_GENERATE},
        ),
        ({"generation": {"sampling": {"seed": 1}}}, AFTER_GENERATE),
        ({"generation": {"maxModelLen": 2048}}, {"preflight", *AFTER_GENERATE}),
        ({"generation": {"shards": 2}}, AFTER_GENERATE),
        ({"evaluation": {"require": {"minCrossEntropyDrop": 0.1}}}, {"evaluate"}),
        ({"export": {"dtype": "float32"}}, {"export-one", "export", "evaluate"}),
    ],
)
def test_a_change_reaches_exactly_what_reads_it(members: dict[str, Any], expected: set[str]) -> None:
    assert changed(**members) == expected


def test_the_name_of_a_revision_counts() -> None:
    def teacher(revision: str) -> dict[str, Any]:
        return {"source": {"huggingFace": {"repo": "big/teacher", "revision": revision}}}

    assert marks(teacher=teacher("a"))["fetch-teacher"] != marks(teacher=teacher("b"))["fetch-teacher"]


def test_outputs_lie_in_a_folder_named_by_the_fingerprint() -> None:
    spec = DistillationJobSpec.model_validate(small_spec())
    for stage in build_pipeline(spec).values():
        assert stage.output == f"distillation/{stage.name}/{stage.fingerprint}"


def test_two_stages_never_share_a_folder() -> None:
    spec = DistillationJobSpec.model_validate(small_spec())
    assert len({stage.output for stage in build_pipeline(spec).values()}) == len(ALL)


def test_another_export_target_does_not_train_again() -> None:
    here = marks(export={"to": {"path": "a"}})
    there = marks(export={"to": {"path": "b"}})
    assert {name for name in here if here[name] != there[name]} == {"publish"}


def test_work_before_training_is_shared_by_jobs_that_differ_in_training() -> None:
    before, after = marks(), marks(training=stages(learningRate=0.1))
    assert all(before[name] == after[name] for name in BEFORE_TRAINING)
