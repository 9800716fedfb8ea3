"""An operator's upgrade that changes what programs are asked changes nothing for what a job has made or is making."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillation_api.contract import (
    ConvertProgram,
    FetchProgram,
    GenerateProgram,
    HuggingFaceRepo,
    PrepareProgram,
    ProgramModel,
    Source,
    TrainProgram,
)
from distillation_api.resource import DistillationJob
from distillation_operator.pipeline.fingerprint import fingerprint
from distillation_operator.pipeline.graph import build_pipeline
from support.scenario import BEFORE_GENERATE, BEFORE_TRAINING, Given

CHECKOUT = Path(__file__).parents[3]
FROZEN = Path(__file__).parent / "fingerprints.json"


@pytest.fixture
def upgrade() -> Iterator[Any]:
    """Raises the outputs version of a program, as a newer operator would, until the test ends."""
    before = {program: program.outputs_version for program in (FetchProgram, GenerateProgram, TrainProgram)}

    def upgraded(program: type[ProgramModel]) -> None:
        program.outputs_version += 1

    yield upgraded
    for program, version in before.items():
        program.outputs_version = version


def inputs_of(given: Given, stage: str) -> dict[str, Any]:
    """What the operator asks of a stage that it starts now."""
    created = {creation.stage.name: creation.stage for creation in given.decide().decision.create}
    return created[stage].program.to_json_dict()


def test_a_stage_reads_what_the_status_names_and_not_what_would_be_written_today(upgrade: Any) -> None:
    given = Given().done(*BEFORE_GENERATE, "generate")
    wrote = given.stage("generate").output
    upgrade(GenerateProgram)
    assert given.stage("generate").output != wrote
    assert inputs_of(given, "pack-one")["data"]["completions"] == wrote


def test_a_folder_that_the_status_names_is_read_also_when_folders_are_named_otherwise_today() -> None:
    given = Given().done(*BEFORE_TRAINING)
    assert given.status is not None
    moved = [
        stage.model_copy(update={"directory": "elsewhere/of-old"}) if stage.name == "convert-student" else stage
        for stage in given.status.stages
    ]
    given.status = given.status.model_copy(update={"stages": moved})
    assert inputs_of(given, "train-one")["start"] == "elsewhere/of-old"


def test_a_stage_that_runs_is_judged_by_what_it_was_asked(upgrade: Any) -> None:
    given = Given().done(*BEFORE_TRAINING)
    given.act()
    given.running_pod("train-one").decide()
    asked = given.children[given.name_of("train-one")]
    upgrade(TrainProgram)
    given.completed("train-one", asked=asked, fingerprint=asked.fingerprint)
    seen = given.decide()
    assert seen.stage("train-one").state == "Complete"
    assert seen.stage("train-one").fingerprint == asked.fingerprint
    assert seen.stage("train-one").directory == asked.directory


def test_another_attempt_after_the_upgrade_does_the_work_in_its_own_folder(upgrade: Any) -> None:
    given = Given().done(*BEFORE_TRAINING)
    given.act()
    asked = given.children[given.name_of("train-one")]
    upgrade(TrainProgram)
    given.crashed("train-one")
    given.decide()
    created = given.act().decision.create
    assert [(creation.stage.name, creation.attempt) for creation in created] == [("train-one", 1)]
    assert created[0].stage.fingerprint != asked.fingerprint
    assert given.decide().stage("train-one").fingerprint == created[0].stage.fingerprint


def test_a_lost_status_is_rebuilt_from_what_the_children_were_asked(upgrade: Any) -> None:
    given = Given()
    given.act()
    asked = given.children[given.name_of("fetch-teacher")]
    given.status = None
    upgrade(FetchProgram)
    given.completed("fetch-teacher", asked=asked, fingerprint=asked.fingerprint)
    assert given.decide().stage("fetch-teacher").fingerprint == asked.fingerprint


def test_what_equals_its_default_does_not_enter_the_hash() -> None:
    class Newer(ConvertProgram):
        strategy: str = "Plain"

    class NewerSource(HuggingFaceRepo):
        mirror: str | None = None

    program = ConvertProgram(model="m", max_text_model="llama2-7b")
    newer = Newer(model="m", max_text_model="llama2-7b")
    assert fingerprint(newer, {}) == fingerprint(program, {})
    assert fingerprint(newer.model_copy(update={"strategy": "Other"}), {}) != fingerprint(program, {})

    def fetch(repo: HuggingFaceRepo) -> FetchProgram:
        return FetchProgram(source=Source(hugging_face=repo), role="teacher")

    assert fingerprint(fetch(NewerSource(repo="a/b")), {}) == fingerprint(fetch(HuggingFaceRepo(repo="a/b")), {})


def test_programs_of_two_kinds_never_have_one_hash() -> None:
    source = Source(path="p")
    assert fingerprint(FetchProgram(source=source, role="teacher"), {}) != fingerprint(
        PrepareProgram(source=source, holdout=1), {}
    )


def test_the_examples_fingerprints_are_frozen() -> None:
    """Whoever changes them makes users compute again: say so in CHANGELOG.md, and write the file again."""
    made = {}
    for path in sorted((CHECKOUT / "examples").glob("*.yaml")):
        for manifest in yaml.safe_load_all(path.read_text()):
            job = DistillationJob.parse(manifest)
            made[job.metadata.name] = {stage.name: stage.fingerprint for stage in build_pipeline(job.spec).values()}
    assert made == json.loads(FROZEN.read_text())
