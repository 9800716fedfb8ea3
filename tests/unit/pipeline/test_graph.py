"""A spec becomes stages: which ones, what each reads, and on which machines it runs."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillation_api.accelerators import ACCELERATORS
from distillation_api.contract import (
    STAGE_FOLDER,
    ConvertProgram,
    EvaluateProgram,
    ExportProgram,
    FetchProgram,
    GenerateProgram,
    LogitMatching,
    PackProgram,
    PreflightProgram,
    PublishProgram,
    TrainProgram,
    Work,
    work_at,
)
from distillation_api.spec import DistillationJobSpec
from distillation_operator.pipeline.graph import build_pipeline
from distillation_operator.pipeline.recorded_outputs import RecordedOutput
from distillation_operator.pipeline.stage import Stage
from support.scenario import ALL, positions, small_spec

EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "examples").glob("*.yaml"))


def pipeline(**members: Any) -> dict[str, Stage]:
    return dict(build_pipeline(DistillationJobSpec.model_validate(small_spec(**members))))


def training(**members: Any) -> dict[str, Any]:
    return {"stages": [{"name": "one", "steps": 10}], **members}


def program[P](stage: Stage, kind: type[P]) -> P:
    assert isinstance(stage.program, kind)
    return stage.program


def test_stages_come_after_all_that_they_read() -> None:
    stages = pipeline()
    assert tuple(stages) == ALL
    place = positions(stages)
    assert all(place[need] < place[stage.name] for stage in stages.values() for need in stage.needs)


def test_where_a_stage_writes_tells_readers_whose_marker_belongs_there() -> None:
    for stage in pipeline(export={"to": {"path": "student"}}).values():
        assert work_at(stage.output) == stage.spec().work == Work(stage.name, stage.fingerprint)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_no_path_of_a_user_leads_into_the_folder_of_any_stage(example: Path) -> None:
    manifest = yaml.safe_load(example.read_text())
    manifest["spec"]["export"] = {"to": {"path": "models/new"}}
    for stage in build_pipeline(DistillationJobSpec.model_validate(manifest["spec"])).values():
        for inside in (stage.output, f"{stage.output}/shard-0", stage.output.partition("/")[2]):
            assert re.search(STAGE_FOLDER, inside), inside


def test_what_each_stage_waits_for() -> None:
    needs = {stage.name: set(stage.needs) for stage in pipeline().values()}
    assert needs == {
        "fetch-teacher": set(),
        "fetch-student": set(),
        "prepare-dataset": set(),
        "convert-student": {"fetch-student"},
        "preflight": {"fetch-teacher", "fetch-student", "prepare-dataset"},
        "generate": {"fetch-teacher", "prepare-dataset", "preflight"},
        "pack-one": {"fetch-student", "generate", "preflight"},
        "pack-two": {"fetch-student", "prepare-dataset", "preflight"},
        "train-one": {"convert-student", "fetch-student", "pack-one", "preflight"},
        "train-two": {"train-one", "fetch-student", "pack-two", "preflight"},
        "export": {"train-two", "fetch-student"},
        "export-one": {"train-one", "fetch-student"},
        "evaluate": {"fetch-teacher", "fetch-student", "generate", "export-one", "export"},
    }


def test_a_program_reads_only_outputs_of_stages_that_are_complete_before_it_starts() -> None:
    stages = pipeline(export={"to": {"path": "models/new"}})
    outputs = {stage.output: stage.name for stage in stages.values()}
    before: dict[str, set[str]] = {}
    for stage in stages.values():
        before[stage.name] = set(stage.needs).union(*(before[need] for need in stage.needs))
        read = {outputs[text] for text in strings(stage.program.to_json_dict()) if text in outputs}
        assert read <= before[stage.name], stage.name


def strings(value: object) -> set[str]:
    """All strings inside a JSON value."""
    match value:
        case dict():
            return {text for member in value.values() for text in strings(member)}
        case list():
            return {text for member in value for text in strings(member)}
        case str():
            return {value}
    return set()


def test_training_on_the_original_data_does_not_wait_for_the_teacher() -> None:
    only_original = {"stages": [{"name": "one", "data": "OriginalDataset", "steps": 10}]}
    stages = pipeline(training=only_original)
    assert "generate" not in stages["train-one"].needs
    assert "generate" in stages["evaluate"].needs  # which scores on the teacher's answers to the holdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_no_chip_is_asked_for_before_models_and_prompts_have_been_looked_at(example: Path) -> None:
    spec = yaml.safe_load(example.read_text())["spec"]
    stages = build_pipeline(DistillationJobSpec.model_validate(spec))
    before: dict[str, set[str]] = {}
    for stage in stages.values():
        before[stage.name] = set(stage.needs).union(*(before[need] for need in stage.needs))
    with_chips = [stage for stage in stages.values() if stage.placement.chips or stage.is_training]
    gates = {"fetch-teacher", "fetch-student", "prepare-dataset", "preflight"}
    assert with_chips
    assert [stage.name for stage in with_chips if not gates <= before[stage.name]] == []
    assert [gate for gate in gates if stages[gate].placement.chips] == []


def test_a_job_that_an_older_operator_has_brought_to_the_teacher_is_not_held_up() -> None:
    spec = DistillationJobSpec.model_validate(small_spec())
    assert "preflight" not in build_pipeline(spec, {"generate": RecordedOutput("f", "d")})
    both = {"preflight": RecordedOutput("p"), "generate": RecordedOutput("f", "d")}
    assert "preflight" in build_pipeline(spec, both)


def test_a_gate_determines_nothing_of_what_comes_after_it() -> None:
    """Another maxTargetLength is looked at again, and the teacher isn't asked again for it."""
    short = {"stages": [{"name": "one", "steps": 10, "maxTargetLength": 64}]}
    before, after = pipeline(training=training()), pipeline(training=short)
    assert before["preflight"].fingerprint != after["preflight"].fingerprint
    assert before["generate"].fingerprint == after["generate"].fingerprint


def test_the_preflight_is_told_of_the_machines() -> None:
    v5e = {"type": "tpu-v5-lite-podslice", "topology": "2x4"}
    v4 = {"type": "tpu-v4-podslice", "topology": "2x2x2"}
    stage = {"name": "one", "steps": 10, "parallelism": {"data": 2, "tensor": 4}, "maxText": {"opt_type": "sgd"}}
    told = program(
        pipeline(generation={"accelerator": v5e}, training={"stages": [stage], "accelerator": v4})["preflight"],
        PreflightProgram,
    )
    assert (told.generation.tensor_parallelism, told.generation.accelerator_gib) == (8, 8 * 16)
    [planned] = told.training
    assert (planned.weight_shards, planned.tensor_parallelism, planned.chip_gib) == (4, 4, 32)
    assert planned.bytes_per_parameter == 4  # float32 and no moments
    assert program(pipeline()["preflight"], PreflightProgram).training[0].bytes_per_parameter == 12


def test_the_preflight_knows_which_prompts_the_teacher_is_asked() -> None:
    own = {"stages": [{"name": "one", "steps": 10, "data": "OriginalDataset"}]}
    assert program(pipeline(training=own)["preflight"], PreflightProgram).generation.holdout_only
    assert not program(pipeline()["preflight"], PreflightProgram).generation.holdout_only


def test_publish_exists_only_with_a_target_and_waits_for_the_gate() -> None:
    assert "publish" not in pipeline()
    stages = pipeline(export={"to": {"gcs": {"uri": "gs://bucket/model"}}})
    assert list(stages)[-1] == "publish"
    assert set(stages["publish"].needs) == {"export", "evaluate"}
    assert program(stages["publish"], PublishProgram).to_gcs_uri == "gs://bucket/model"


def test_the_gate_reaches_the_evaluation() -> None:
    stages = pipeline(evaluation={"require": {"minCrossEntropyDrop": 0.05}})
    assert program(stages["evaluate"], EvaluateProgram).min_cross_entropy_drop == 0.05
    assert program(pipeline()["evaluate"], EvaluateProgram).min_cross_entropy_drop is None


def test_training_stages_follow_each_other() -> None:
    stages = pipeline()
    assert program(stages["train-one"], TrainProgram).start == stages["convert-student"].output
    assert program(stages["train-two"], TrainProgram).start == stages["train-one"].output


def test_the_hub_token_is_for_stages_that_read_the_hub() -> None:
    assert [stage.name for stage in pipeline().values() if stage.needs_token] == ["fetch-teacher"]
    hub = {"source": {"huggingFace": {"repo": "some/data"}}, "messagesColumn": "messages"}
    assert pipeline(dataset=hub)["prepare-dataset"].needs_token


def test_generation_uses_all_chips_of_its_host() -> None:
    v5e = {"type": "tpu-v5-lite-podslice", "topology": "2x4"}
    stage = pipeline(generation={"shards": 4, "accelerator": v5e})["generate"]
    assert program(stage, GenerateProgram).tensor_parallelism == 8
    assert program(pipeline()["generate"], GenerateProgram).tensor_parallelism == 1


def test_each_chip_of_ironwood_is_two_devices() -> None:
    """U21: in tensor parallelism, mesh and the rows of a step, each with half of its chip's memory."""
    v7x = {"type": "tpu7x", "topology": "2x2x1"}
    stages = pipeline(
        generation={"accelerator": v7x}, training=training(accelerator=v7x, stages=[{"name": "one", "steps": 10}])
    )
    assert program(stages["generate"], GenerateProgram).tensor_parallelism == 8
    trained = program(stages["train-one"], TrainProgram)
    assert trained.parallelism == {"fsdp": 8}
    assert trained.sequences_per_step == 8 * trained.per_device_batch_size
    assert stages["train-one"].placement.chips == 4
    planned = program(stages["preflight"], PreflightProgram)
    assert (planned.generation.tensor_parallelism, planned.generation.accelerator_gib) == (8, 4 * 192)
    assert (planned.training[0].weight_shards, planned.training[0].chip_gib) == (8, 96)


@pytest.mark.parametrize("topology", ["4x4x6", "4x8x4", "16x24x28", "2x2x8", "0x4x4"])
def test_a_topology_that_gke_has_not_is_no_shape(topology: str) -> None:
    with pytest.raises(KeyError):
        ACCELERATORS["tpu7x"].shape(topology)


def test_an_axis_left_out_is_fsdp_over_the_whole_slice() -> None:
    v4 = {"type": "tpu-v4-podslice", "topology": "2x2x2"}
    assert program(pipeline(training=training(accelerator=v4))["train-one"], TrainProgram).parallelism == {"fsdp": 8}
    assert program(pipeline()["train-one"], TrainProgram).parallelism == {"fsdp": 1}


def test_cpu_training_is_told_its_hosts_and_an_accelerator_is_not() -> None:
    two = pipeline(training={"stages": [{"name": "one", "steps": 10, "hosts": 2}]})["train-one"]
    assert program(two, TrainProgram).hosts == 2
    assert two.placement.pods == 2
    v4 = {"type": "tpu-v4-podslice", "topology": "2x2x1"}
    assert program(pipeline(training=training(accelerator=v4))["train-one"], TrainProgram).hardware == "tpu"


@pytest.mark.parametrize(
    ("kind", "topology", "chips_per_host"),
    [
        (kind, shape.topology, size)
        for kind, family in ACCELERATORS.items()
        for shape in family.shapes
        for size in shape.chips_per_host
    ],
)
def test_hosts_times_chips_per_host_are_the_chips_of_the_topology(
    kind: str, topology: str, chips_per_host: int
) -> None:
    accelerator = {"type": kind, "topology": topology, "chipsPerHost": chips_per_host, "slices": 3}
    place = pipeline(training=training(accelerator=accelerator))["train-one"].placement
    chips = 1
    for side in topology.split("x"):
        chips *= int(side)
    assert place.hosts * place.chips_per_host == chips
    assert place.chips_per_host == chips_per_host
    assert (place.slices, place.pods, place.chips) == (3, 3 * place.hosts, 3 * chips)


@pytest.mark.parametrize(
    ("kind", "topology", "hosts", "chips_per_host"),
    [  # rows of GKE's own table
        ("tpu-v4-podslice", "2x2x1", 1, 4),
        ("tpu-v4-podslice", "8x16x16", 512, 4),
        ("tpu-v5-lite-podslice", "1x1", 1, 1),
        ("tpu-v5-lite-podslice", "2x2", 1, 4),
        ("tpu-v5-lite-podslice", "2x4", 1, 8),
        ("tpu-v5-lite-podslice", "16x16", 64, 4),
        ("tpu-v5p-slice", "16x16x24", 1536, 4),
        ("tpu-v6e-slice", "4x8", 8, 4),
        ("tpu7x", "1x1x1", 1, 1),
        ("tpu7x", "4x4x4", 16, 4),
        ("tpu7x", "4x4x12", 48, 4),
    ],
)
def test_default_shape_of_an_accelerator(kind: str, topology: str, hosts: int, chips_per_host: int) -> None:
    place = pipeline(training=training(accelerator={"type": kind, "topology": topology}))["train-one"].placement
    assert (place.hosts, place.chips_per_host) == (hosts, chips_per_host)


def test_ambiguous_topology_takes_the_users_word() -> None:
    two_hosts = {"type": "tpu-v6e-slice", "topology": "2x4", "chipsPerHost": 4}
    place = pipeline(training=training(accelerator=two_hosts))["train-one"].placement
    assert (place.hosts, place.chips_per_host) == (2, 4)


@pytest.mark.parametrize(
    ("parallelism", "resolved"),
    [({"fsdp": -1}, {"fsdp": 16}), ({"fsdp": -1, "tensor": 4}, {"fsdp": 4, "tensor": 4}), (None, {"fsdp": 16})],
)
def test_an_axis_of_minus_one_becomes_the_rest_of_the_chips(
    parallelism: dict[str, int] | None, resolved: dict[str, int]
) -> None:
    stage: dict[str, Any] = {"name": "one", "steps": 10}
    if parallelism is not None:
        stage["parallelism"] = parallelism
    accelerator = {"type": "tpu-v4-podslice", "topology": "2x2x4"}
    spec = small_spec(training={"accelerator": accelerator, "stages": [stage]})
    program = build_pipeline(DistillationJobSpec.model_validate(spec))["train-one"].program
    assert program.kind == "train"
    assert program.parallelism == resolved


def online(teacher: str | None = "llama3.1-8b", **stage: Any) -> dict[str, Stage]:
    """A pipeline with one stage of logit matching on the original data. ``teacher``: MaxText's name of its model."""
    matching = {"name": "one", "objective": "LogitMatching", "data": "OriginalDataset", "steps": 10, **stage}
    named = {"maxTextModel": teacher} if teacher else {}
    return pipeline(teacher={"source": {"path": "models/teacher"}, **named}, training={"stages": [matching]})


def test_logit_matching_needs_the_teacher_converted() -> None:
    stages = online(logitMatching={"alpha": 0.9, "alphaEnd": 0.5, "alphaSchedule": "Cosine"})
    assert "convert-teacher" in stages["train-one"].needs
    matching = program(stages["train-one"], TrainProgram).objective
    assert isinstance(matching, LogitMatching)
    assert matching.teacher == stages["convert-teacher"].output
    assert (matching.alpha, matching.alpha_end, matching.alpha_schedule) == (0.9, 0.5, "Cosine")


def test_a_name_that_is_left_out_is_taken_from_what_was_fetched() -> None:
    student = pipeline(student={"source": {"path": "models/student"}})["convert-student"]
    teacher = online(teacher=None)["convert-teacher"]
    for stage, fetched in ((student, "fetch-student"), (teacher, "fetch-teacher")):
        assert program(stage, ConvertProgram).max_text_model is None
        assert fetched in stage.needs


def test_a_model_that_maxtext_runs_is_judged_where_it_is_fetched() -> None:
    offline, matched = pipeline(teacher={"source": {"path": "models/teacher"}}), online()
    student, teacher = (program(offline[f"fetch-{role}"], FetchProgram) for role in ("student", "teacher"))
    assert (student.for_max_text, student.max_text_model) == (True, "llama2-7b")
    assert (teacher.for_max_text, teacher.max_text_model) == (False, None)
    teacher = program(matched["fetch-teacher"], FetchProgram)
    assert (teacher.for_max_text, teacher.max_text_model) == (True, "llama3.1-8b")
    # What is asked about a model determines none of its files: all jobs share them.
    assert matched["fetch-teacher"].output == offline["fetch-teacher"].output
    assert online(teacher=None)["fetch-teacher"].output == offline["fetch-teacher"].output


def test_the_vocabularies_are_compared_before_any_accelerator_is_asked_for() -> None:
    stages = online()
    assert stages["check-tokenizers"].placement.chips == 0
    assert "check-tokenizers" in stages["generate"].needs
    assert "check-tokenizers" in stages["convert-teacher"].needs


def test_without_logit_matching_the_teacher_is_not_converted() -> None:
    assert not {"convert-teacher", "check-tokenizers"} & pipeline().keys()


def test_the_teacher_answers_only_the_holdout_when_no_stage_trains_on_its_answers() -> None:
    assert program(online()["generate"], GenerateProgram).holdout_only
    assert not program(online(data="TeacherCompletions")["generate"], GenerateProgram).holdout_only


def test_the_student_is_scored_after_each_training_stage() -> None:
    stages = pipeline()
    assert program(stages["evaluate"], EvaluateProgram).between == {"one": stages["export-one"].output}


def test_template_arguments_reach_every_program_that_renders() -> None:
    """U20."""
    small = small_spec()
    teachers, students = {"enable_thinking": "false"}, {"reasoning_effort": "low"}
    members = {
        "generation": {**small.get("generation", {}), "chatTemplateArguments": teachers},
        "student": {**small["student"], "chatTemplateArguments": students},
    }
    stages = pipeline(**members)
    assert program(stages["generate"], GenerateProgram).chat_template_arguments == teachers
    preflight = program(stages["preflight"], PreflightProgram)
    assert preflight.generation.chat_template_arguments == teachers
    assert preflight.student_chat_template_arguments == students
    assert [
        stage.program.chat_template_arguments for stage in stages.values() if isinstance(stage.program, PackProgram)
    ] == [students] * 2
    assert program(stages["evaluate"], EvaluateProgram).chat_template_arguments == students
    assert program(stages["export"], ExportProgram).chat_template_arguments == students
    plain = pipeline(**{name: {**told, "chatTemplateArguments": {}} for name, told in members.items()})
    assert {name: stage.fingerprint for name, stage in plain.items()} == {
        name: stage.fingerprint for name, stage in pipeline().items()
    }
    assert stages["generate"].fingerprint != plain["generate"].fingerprint
