"""Previews: which stages they have, what waits for them, what is told of what they have found."""

from datetime import timedelta
from typing import Any

import pytest

from distillation_api.contract import EvaluateProgram, FirstRows, GenerateProgram, PackProgram, TrainProgram
from distillation_api.status import DistillationJobStatus, Fact
from distillation_operator.pipeline.graph import Pipeline, build_pipeline
from distillation_operator.pipeline.observed import ChildState
from distillation_operator.pipeline.status.events import transitions
from support.scenario import ALL, Given, job_of, small_spec

SHARED = ("fetch-teacher", "fetch-student", "prepare-dataset", "convert-student", "preflight")
PREVIEW = (
    "preview-generate",
    "preview-pack-one",
    "preview-train-one",
    "preview-pack-two",
    "preview-train-two",
    "preview-export",
    "preview-evaluate",
)
REAL = tuple(name for name in ALL if name not in SHARED)
TPU = {"type": "tpu-v5-lite-podslice", "topology": "2x4", "chipsPerHost": 8}


def pipeline(then: str = "Stop", rows: int = 16, steps: int = 5, **members: Any) -> Pipeline:
    preview = {"rows": rows, "steps": steps, "then": then}
    return build_pipeline(job_of(small_spec(preview=preview, **members)).spec)


def test_a_preview_has_the_same_images_and_machines() -> None:
    training = {"accelerator": {**TPU, "slices": 2}, "stages": small_spec()["training"]["stages"]}
    made = pipeline(generation={"accelerator": TPU, "shards": 4}, training=training)
    assert tuple(name for name in made if made[name].is_of_preview) == PREVIEW
    for name in PREVIEW:
        real = made[name.removeprefix("preview-")]
        assert (made[name].image, made[name].placement) == (real.image, real.placement)
        assert made[name].needs_token == real.needs_token


def test_a_preview_changes_no_fingerprint_of_the_real_work() -> None:
    """Nor do its stages have one of theirs."""
    without = build_pipeline(job_of(small_spec()).spec)
    made = pipeline()
    assert {name: made[name].fingerprint for name in without} == {name: without[name].fingerprint for name in without}
    assert {made[name].fingerprint for name in PREVIEW}.isdisjoint(made[name].fingerprint for name in without)
    assert made["preview-generate"].fingerprint != pipeline(rows=32)["preview-generate"].fingerprint
    assert made["preview-train-one"].fingerprint != pipeline(steps=4)["preview-train-one"].fingerprint


def test_a_preview_is_a_handful_of_rows_and_steps_without_a_gate() -> None:
    made = pipeline(
        rows=8,
        steps=3,
        generation={"shards": 4},
        evaluation={"require": {"minCrossEntropyDrop": 0.5}},
        export={"to": {"path": "models/out"}},
    )
    generate, pack = made["preview-generate"].program, made["preview-pack-one"].program
    evaluate, train = made["preview-evaluate"].program, made["preview-train-two"].program
    assert isinstance(generate, GenerateProgram)
    assert (generate.shards, generate.max_lost_share) == (1, 1.0)
    assert generate.first_rows == FirstRows(train=8, holdout=4)
    assert isinstance(pack, PackProgram)
    assert (pack.first_rows, pack.steps, pack.data.shards) == (8, 3, 1)
    assert isinstance(evaluate, EvaluateProgram)
    assert (evaluate.min_cross_entropy_drop, evaluate.shards) == (None, 1)
    assert isinstance(train, TrainProgram)
    assert train.start == made["preview-train-one"].output
    assert "preview-publish" not in made


def test_a_training_of_fewer_steps_is_tried_with_those() -> None:
    stages = [{"name": "one", "steps": 2}, {"name": "two", "epochs": 3}]
    made = pipeline(steps=5, training={"stages": stages})
    packs = [made[f"preview-pack-{name}"].program for name in ("one", "two")]
    assert [pack.steps for pack in packs if isinstance(pack, PackProgram)] == [2, 5]


def test_reports_and_cards_of_the_real_work_know_nothing_of_the_preview() -> None:
    made = pipeline(export={"to": {"path": "models/out"}})
    for name in ("evaluate", "export", "publish"):
        assert "preview-" not in made[name].program.model_dump_json(), name


def previewed(then: str = "Stop", *also: str, **members: Any) -> Given:
    """A job whose preview is complete."""
    return Given(preview={"then": then}, **members).done(*SHARED, *PREVIEW, *also)


@pytest.mark.parametrize("then", ["Stop", "Continue"])
def test_the_real_work_waits_for_the_preview(then: str) -> None:
    seen = Given(preview={"then": then}).done(*SHARED, *PREVIEW[:-1]).decide()
    assert seen.created == ["preview-evaluate/0"]
    assert set(seen.states(*REAL)) == {"Waiting"}
    assert not seen.holds("Previewed")
    assert seen.condition("Previewed").reason == "PreviewRuns"
    assert seen.status.phase == "Running"


def test_after_the_preview_a_job_that_is_to_continue_goes_on() -> None:
    seen = previewed("Continue").decide()
    assert seen.created == ["generate/0", "pack-two/0"]
    assert seen.holds("Previewed")
    assert not seen.holds("Suspended")


def test_after_the_preview_a_job_that_is_to_stop_is_suspended_and_at_rest() -> None:
    given = previewed("Stop")
    seen = given.decide()
    assert (seen.created, seen.deleted, seen.decision.requeue_after) == ([], [], None)
    assert seen.status.phase == "Suspended"
    assert (seen.condition("Suspended").reason, seen.condition("Previewed").reason) == ("PreviewDone", "PreviewDone")
    assert seen.condition("Suspended").message.endswith("Set spec.preview.then to Continue to go on.")
    assert (seen.stage("generate").state, seen.stage("generate").reason) == ("Waiting", "PreviewHolds")
    assert seen.stage("train-one").reason == "InputsMissing"
    assert given.later(3600).decide().status == seen.status


def test_the_users_word_lets_it_go_on_with_the_first_attempt() -> None:
    given = previewed("Stop")
    given.decide()
    seen = given.spec(preview={"then": "Continue"}).decide()
    assert seen.created == ["generate/0", "pack-two/0"]
    assert seen.status.phase == "Running"


def test_to_remove_the_preview_is_to_go_on() -> None:
    given = previewed("Stop")
    given.status = given.decide().status
    found = given.status.preview
    del given.members["preview"]
    seen = given.spec().decide()
    assert seen.created == ["generate/0", "pack-two/0"]
    assert seen.stage("preview-generate").state == "Complete"
    assert seen.status.preview == found


def test_a_preview_that_is_removed_while_it_runs_is_stopped_and_its_chips_stay_counted() -> None:
    given = Given(preview={}, generation={"accelerator": TPU}).done(*SHARED)
    given.act()
    given.running_pod("preview-generate", started=given.now)
    given.later(60).act()
    used = given.decide().stage("preview-generate").chip_seconds
    assert used == 8 * 60
    name = given.name_of("preview-generate")
    del given.members["preview"]
    seen = given.spec().decide()
    assert name in seen.deleted
    assert seen.created == ["generate/0", "pack-two/0"]
    assert (seen.stage("preview-generate").state, seen.stage("preview-generate").reason) == (
        "Waiting",
        "PreviewRemoved",
    )
    assert seen.stage("preview-generate").chip_seconds == used
    assert seen.status.chip_hours == "0.1"


def test_the_budget_counts_what_the_preview_uses() -> None:
    given = Given(preview={}, generation={"accelerator": TPU}, budget={"maxChipHours": 0.1}).done(*SHARED)
    given.act()
    given.running_pod("preview-generate", started=given.now)
    seen = given.later(60).act()
    assert seen.condition("Suspended").reason == "BudgetReached"
    assert given.name_of("preview-generate") in seen.deleted


def test_a_preview_that_is_asked_for_too_late_holds_nothing_up() -> None:
    given = Given().done(*SHARED)
    given.act()
    given.running_pod("generate")
    seen = given.spec(preview={"then": "Stop"}).decide()
    assert seen.states("generate") == ["Running"]
    assert not [stage.name for stage in seen.status.stages if stage.name.startswith("preview-")]
    assert not any(condition.type == "Previewed" for condition in seen.status.conditions)


def test_a_preview_that_is_asked_for_too_late_takes_no_work_over_that_is_suspended_or_tried_again() -> None:
    given = Given().done(*SHARED)
    given.act()
    given.running_pod("generate")
    given.decide()
    given.spec(preview={}, suspend=True).act()
    given.gone("generate").no_pods()
    seen = given.spec(suspend=False).act()
    assert "generate/1" in seen.created
    assert not [stage.name for stage in seen.status.stages if stage.name.startswith("preview-")]


def test_chips_of_a_preview_that_is_removed_are_counted_until_its_pods_have_ended() -> None:
    accelerator = {"type": "tpu-v5-lite-podslice", "topology": "2x4"}
    given = Given(preview={}, generation={"accelerator": accelerator}).done(*SHARED)
    given.act()
    given.running_pod("preview-generate", started=given.now, chips=8)
    given.later(60).decide()
    del given.members["preview"]
    given.spec().later(600)
    assert given.decide().status.chip_hours == f"{660 * 8 / 3600:.1f}"


def test_a_preview_that_is_asked_for_again_after_the_real_work_has_begun_holds_nothing_up() -> None:
    given = Given(preview={}).done(*SHARED, "preview-generate")
    given.act()
    del given.members["preview"]
    given.spec().act()
    given.running_pod("generate")
    seen = given.spec(preview={}).decide()
    assert seen.states("generate", "preview-generate") == ["Running", "Complete"]


def test_work_that_has_begun_is_not_stopped_by_a_change_to_stop() -> None:
    given = previewed("Continue")
    given.act()
    given.running_pod("generate")
    seen = given.spec(preview={"then": "Stop"}).decide()
    assert seen.states("generate") == ["Running"]
    assert seen.deleted == []
    assert not seen.holds("Suspended")


def test_suspend_stops_a_preview_as_it_stops_all_else() -> None:
    """A job that is applied suspended runs no pod, with a preview too; and the preview's end is no other word."""
    given = Given(suspend=True, preview={"then": "Continue"})
    seen = given.decide()
    assert seen.created == []
    assert seen.condition("Suspended").reason == "SuspendedByUser"
    seen = previewed("Stop", suspend=True).decide()
    assert (seen.created, seen.condition("Suspended").reason) == ([], "SuspendedByUser")


def test_a_failed_preview_fails_the_job_and_a_retry_without_it_goes_on() -> None:
    given = Given(preview={}).done(*SHARED).gave_up("preview-generate", "EngineRefusedModel")
    assert given.decide().status.phase == "Failed"
    del given.members["preview"]
    seen = given.spec().annotated({"distillation.dev/retry": "preview-generate/1"}).decide()
    assert "generate/0" in seen.created


def test_what_a_student_says_after_a_few_steps_is_no_warning() -> None:
    given = Given(preview={}).done(*SHARED, *PREVIEW[:-1])
    seen = given.completed("preview-evaluate", metrics={"degenerateAfter": 1.0}).decide()
    assert (seen.stage("preview-evaluate").state, seen.stage("preview-evaluate").reason) == ("Complete", None)


def test_the_end_of_a_preview_is_one_event() -> None:
    given = Given(preview={}).done(*SHARED, *PREVIEW[:-1])
    before = given.decide().status
    given.completed("preview-evaluate")
    after = given.decide().status
    events = [event for event in transitions(before, after) if event.reason in ("PreviewDone", "Suspended")]
    assert [(event.type, event.reason) for event in events] == [("Normal", "PreviewDone")]
    assert transitions(after, after) == []


MEASURED = {
    "preview-generate": {
        "measured.units": 20.0,
        "measured.unitSeconds": 2.0,
        "measured.hostMemory": 8.0 * 2**30,
        "measured.lockedMemory": 8.0 * 2**20,
        "measured.sharedMemory": 2.0**34,
        "measured.deviceFiles": 8.0,
        "measured.uid": 65532.0,
        "tokensPerSecond": 12.5,
    },
    "preview-train-one": {
        "measured.units": 5.0,
        "measured.unitSeconds": 4.0,
        "measured.devices": 8.0,
        "measured.deviceMemory": 2.0**33,
        "measured.lockedMemory": -1.0,
    },
    "preview-train-two": {"measured.units": 5.0, "measured.unitSeconds": 8.0, "measured.devices": 4.0},
    "preview-evaluate": {"measured.units": 4.0, "measured.unitSeconds": 1.0},
}
SECONDS = {"preview-generate": 140.0, "preview-train-one": 60.0, "preview-train-two": 80.0, "preview-evaluate": 30.0}


def measured_job(then: str = "Stop") -> Given:
    """A preview on TPUs, of a job of 1,000 rows and 100 of the holdout, by four shards."""
    training = {
        "accelerator": TPU,
        "stages": [{"name": "one", "steps": 40}, {"name": "two", "data": "OriginalDataset", "epochs": 2}],
    }
    given = Given(preview={"then": then}, generation={"accelerator": TPU, "shards": 4}, training=training).done(*SHARED)
    assert given.status is not None
    stages = [
        stage.model_copy(update={"counts": {"train": 1000, "holdout": 100}})
        if stage.name == "prepare-dataset"
        else stage
        for stage in given.status.stages
    ]
    given.status = given.status.model_copy(update={"stages": stages})
    counts: dict[str, dict[str, int]] = {
        "preview-generate": {"read": 20, "kept": 14, "duplicates": 1},
        "preview-pack-two": {"rows": 16, "rowsRead": 160, "sequences": 80, "steps": 5},
    }
    for name in PREVIEW:
        given.completed(
            name,
            ago=0,
            counts=counts.get(name, {}),
            metrics=MEASURED.get(name, {}),
            seconds=SECONDS.get(name, 10.0),
        )
        given.decide()
    return given


def test_a_preview_tells_what_all_after_it_will_take() -> None:
    found = measured_job().decide().status.preview
    assert found is not None
    assert (found.accepted_share, found.teacher_tokens_per_second) == ("0.75", "12.5")
    # 16 sequences of 2048 places a step.
    assert found.training_tokens_per_second == {"one": "8192", "two": "4096"}
    generate = 140 + (1100 / 4 - 20) * 2
    one = 60 + (40 - 5) * 4
    # 1,000 rows twice, two in a sequence, 16 sequences a step.
    two = 80 + (1000 // 16 - 5) * 8
    # A hundred rows, of which three quarters are answered, and a student in between.
    evaluate = (30 + (75 - 4) * 1) * (1 + 1 / 3)
    packs_and_export = 10 + 10
    assert found.estimated_seconds == pytest.approx(generate + one + two + evaluate + packs_and_export, abs=1)
    assert found.estimated_chip_hours == f"{8 * (4 * generate + one + two) / 3600:.1f}"


def test_a_preview_tells_which_facts_of_the_cluster_it_has_found() -> None:
    found = measured_job().decide().status.preview
    assert found is not None
    assert found.memory_gib == {"preview-generate": "8"}
    assert found.device_memory_gib == {"preview-train-one": "8"}
    of_generate = "preview-generate"
    assert found.facts == [
        Fact(stage=of_generate, name="deviceFiles", value="8 for 8 chips", as_expected=True),
        Fact(stage=of_generate, name="lockedMemory", value="at most 8 MiB", as_expected=False),
        Fact(stage=of_generate, name="sharedMemory", value="16 GiB", as_expected=True),
        Fact(stage=of_generate, name="uid", value="65532"),
        Fact(stage="preview-train-one", name="devices", value="8 of 8", as_expected=True),
        Fact(stage="preview-train-one", name="lockedMemory", value="unlimited", as_expected=True),
        Fact(stage="preview-train-two", name="devices", value="4 of 8", as_expected=False),
    ]


def test_what_stages_tell_of_the_compile_cache_and_the_storage_are_facts_too() -> None:
    given = measured_job()
    assert given.status is not None
    told: dict[str, dict[str, Any]] = {
        "preview-train-one": {"counts": {"compileCacheHits": 3, "compileCacheMisses": 5}},
        "prepare-dataset": {"reason": "NoAtomicDirectoryRename", "message": "The storage renames file by file."},
    }
    stages = [stage.model_copy(update=told.get(stage.name, {})) for stage in given.status.stages]
    given.status = given.status.model_copy(update={"stages": stages})
    found = given.decide().status.preview
    assert found is not None
    assert found.facts[0] == Fact(
        stage="prepare-dataset", name="storage", value="The storage renames file by file.", as_expected=False
    )
    assert Fact(stage="preview-train-one", name="compileCache", value="3 programs found, 5 compiled") in found.facts


def test_the_condition_has_the_figures() -> None:
    message = measured_job().decide().condition("Previewed").message
    assert message.startswith("The preview is complete: 75% of the answers accepted, teacher 12.5 tokens/s a shard, ")
    assert "chip-hours; not as expected: lockedMemory of preview-generate is at most 8 MiB" in message


def test_what_was_found_stays_while_the_real_work_goes_on() -> None:
    given = measured_job("Continue")
    found = given.decide().status.preview
    given.act()
    given.completed("generate", counts={"read": 7, "kept": 3})
    assert given.decide().status.preview == found


def test_while_the_teacher_answers_the_trainings_are_as_quick_as_their_previews() -> None:
    given = measured_job("Continue")
    given.act()
    assert given.status is not None and given.status.estimated_completion_time is None
    given.completed("pack-two", counts={"steps": 100})
    for shard in range(4):
        given.shard(shard).says("generate", 0, 600, index=shard, unit="rows", rate=1.0)
    left = timedelta(seconds=600 + 40 * 4 + 100 * 8)
    end = (given.now + left).replace(second=0) + timedelta(minutes=1)
    assert given.decide().status.estimated_completion_time == f"{end:%Y-%m-%dT%H:%M:%SZ}"


def test_a_preview_without_measurements_has_no_estimate() -> None:
    """Of programs of another version, say."""
    status: DistillationJobStatus = previewed("Stop").decide().status
    assert status.preview is not None
    assert (status.preview.estimated_seconds, status.preview.facts) == (None, [])


@pytest.mark.parametrize("number", ["nan", "inf", "-5", "1e300", "many", ""])
def test_a_measurement_that_is_no_such_number_is_as_good_as_absent(number: str) -> None:
    given = measured_job()
    assert given.status is not None
    stages = [
        stage.model_copy(update={"metrics": {**(stage.metrics or {}), "measured.unitSeconds": number}})
        if stage.name == "preview-generate"
        else stage
        for stage in given.status.stages
    ]
    given.status = given.status.model_copy(update={"stages": stages})
    found = given.decide().status.preview
    assert found is not None
    assert (found.estimated_seconds, found.accepted_share) == (None, "0.75")


def test_a_preview_whose_status_was_lost_is_known_by_its_children() -> None:
    given = Given(preview={"then": "Stop"})
    for name in (*SHARED, *PREVIEW):
        given.completed(name)
        given.decide()
    assert given.decide().condition("Suspended").reason == "PreviewDone"
    given.status = None
    seen = given.decide()
    assert seen.condition("Suspended").reason == "PreviewDone"
    given.child("generate", ChildState.ACTIVE).running_pod("generate")
    given.status = None
    assert not given.decide().holds("Suspended")
