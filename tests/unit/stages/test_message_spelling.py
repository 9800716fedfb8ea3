"""Messages whose keys and roles the dataset's spec names, and what is told when it doesn't yet."""

import re
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.wrong_manifests import changed, put
from distillation_api.contract import PrepareProgram, Source, StageResult
from distillation_api.resource import DistillationJob
from distillation_operator.pipeline.graph import build_pipeline
from distillation_stages.programs.prepare import run
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage
from unit.stages.stage_inputs import assistant, rows_in, spec_of, system, user, write_lines

PAGE = Path(__file__).parents[3] / "docs" / "data.md"
KEYS = {"roleKey": "who", "contentKey": "utterance"}
STANDARD = [system("s"), user("q"), assistant("a")]
ROLES = {"user": ["customer"], "assistant": ["agent", "robot"], "system": ["policy"]}


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def said(who: object, utterance: object) -> dict[str, object]:
    return {"who": who, "utterance": utterance}


def program_of(dataset: dict[str, Any]) -> PrepareProgram:
    """What the stage is asked for this part of a spec."""
    stages = [{"name": "one", "steps": 1}]
    job = DistillationJob.parse(changed(put("spec.dataset", dataset), put("spec.training", {"stages": stages})))
    program = build_pipeline(job.spec)["prepare-dataset"].program
    assert isinstance(program, PrepareProgram)
    return program


def prepare(storage: Storage, conversations: list[list[object]], messages: object = None) -> StageResult:
    """Run what the operator asks for over conversations in a column of messages."""
    write_lines(storage.at("data.jsonl"), [{"dialogue": conversation} for conversation in conversations])
    dataset = {"source": {"path": "data.jsonl"}, "messagesColumn": "dialogue"}
    program = program_of(dataset | ({"messages": messages} if messages is not None else {}))
    return run(spec_of(program.model_copy(update={"holdout": 0}), uuid.uuid4().hex), storage)


def refusal(storage: Storage, conversation: list[object], messages: object = None) -> str:
    with pytest.raises(StageError) as caught:
        prepare(storage, [conversation], messages)
    assert caught.value.reason.name == "MostRowsRejected"
    return caught.value.message


# What is read.


@pytest.mark.parametrize(
    ("messages", "conversation"),
    [
        (KEYS | {"roles": ROLES}, [said("policy", "s"), said("customer", "q"), said("robot", "a")]),
        (KEYS | {"roles": ROLES}, [said("Policy", "s"), said(" CUSTOMER", "q"), said("assistant", "a")]),
        (KEYS, [said("system", "s"), said("human", "q"), said("gpt", "a")]),
        (KEYS, [said("system", "s") | {"text": "x", "role": "tool"}, said("human", "q"), said("gpt", "a")]),
        (KEYS, STANDARD),
        ({"roleKey": "kind"}, [turn | {"kind": turn["role"], "role": "x"} for turn in STANDARD]),
        ({"roles": {"assistant": ["agent"]}}, [system("s"), user("q"), {"from": "agent", "value": "a"}]),
        ({"roles": {"user": ["bot"], "assistant": ["human"]}}, [system("s"), {"role": "bot", "content": "q"},
                                                                  {"from": "Human", "value": "a"}]),
        ({"roles": {"user": ["A"], "assistant": ["a"]}}, [system("s"), {"role": "A", "content": "q"},
                                                            {"role": "a", "content": "a"}]),
    ],
)  # fmt: skip
def test_named_spellings_go_before_the_known_ones(
    storage: Storage, messages: object, conversation: list[object]
) -> None:
    (row,) = rows_in(storage, prepare(storage, [conversation], messages).outputs["train"])
    assert (row["prompt"], row["reference"]) == ([system("s"), user("q")], "a")


def test_what_was_converted_is_counted(storage: Storage) -> None:
    conversations: list[list[object]] = [[said("customer", "q"), said("agent", "a")], [user("r")]]
    counts = prepare(storage, conversations, KEYS | {"roles": ROLES}).counts
    assert (counts["converted.MessageKeys"], counts["converted.Roles"], counts["kept"]) == (1, 1, 2)


def test_the_documented_example_is_read_as_documented(storage: Storage) -> None:
    (block,) = [text for text in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL) if "roleKey" in text]
    dataset = yaml.safe_load(block)["dataset"]
    (row,) = re.findall(r"^This reads `(\{.*?\})`\.", PAGE.read_text(), re.MULTILINE)
    write_lines(storage.at(dataset["source"]["path"]), [row])
    program = program_of(dataset).model_copy(update={"holdout": 0})
    (read,) = rows_in(storage, run(spec_of(program), storage).outputs["train"])
    assert (read["prompt"], read["reference"]) == ([user("...")], "...")


def test_the_documented_templates_are_one(storage: Storage) -> None:
    blocks = [
        text for text in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL) if "promptTemplate" in text
    ]
    assert len(blocks) == 2
    write_lines(storage.at("data.jsonl"), (PAGE.parents[1] / "tests/unit/stages/cases/alpaca.jsonl").open().readlines())
    made = []
    for block in blocks:
        program = program_of(yaml.safe_load(block)["dataset"])
        local = {"source": Source(path="data.jsonl"), "holdout": 0}
        result = run(spec_of(program.model_copy(update=local), uuid.uuid4().hex), storage)
        made.append(rows_in(storage, result.outputs["train"]))
    assert made[0] == made[1]


# What is told.


@pytest.mark.parametrize(
    ("conversation", "advice"),
    [
        ([user("q"), {"role": "agent", "content": "a"}], "UnknownRole 1 ('agent': add it to {}.roles.assistant)"),
        ([{"role": "customer", "content": "q"}], "UnknownRole 1 ('customer': add it to {}.roles.user or .system)"),
        ([system("s"), {"role": "customer", "content": "q"}], "UnknownRole 1 ('customer': add it to {}.roles.user)"),
        (
            [said("user", "q")],
            "UnknownRole 1 (the keys are 'who', 'utterance': name the right one in {}.roleKey and contentKey)",
        ),
        ([{"who": "user", "text": "q"}], "(the keys are 'who', 'text': name the right one in {}.roleKey)"),
        (
            [{"from": "user", "utterance": "q"}],
            "ContentNotText 1 (the keys are 'from', 'utterance': name the right one in {}.contentKey)",
        ),
        ([{"role": "user", "value": "q", "text": "r"}], "AmbiguousTurn 1 (name the right one in {}.contentKey)"),
    ],
)
def test_an_unknown_role_or_key_is_told_with_the_member_to_set(
    storage: Storage, conversation: list[object], advice: str
) -> None:
    """U03."""
    assert advice.format("dataset.messages") in refusal(storage, conversation)


@pytest.mark.parametrize(
    "conversation",
    [
        [user("q"), {"role": "tool", "content": "a"}],
        [user("q"), {"role": "Function", "content": "a"}],
        [user("q"), {"role": 1, "content": "a"}],
        [user("q"), {"role": "x" * 100, "content": "a"}],
        [user("q"), {"role": "half \ud800", "content": "a"}],
        [user("q"), assistant(None)],
        [user("q"), assistant(1.5)],
        [{}],
        [{"half \ud800": "q"}],
    ],
)
def test_what_no_spelling_would_mend_gets_no_advice(storage: Storage, conversation: list[object]) -> None:
    assert "dataset.messages." not in refusal(storage, conversation)


def test_prompt_columns_of_messages_get_no_advice_that_the_spec_would_not_take(storage: Storage) -> None:
    write_lines(storage.at("data.jsonl"), [{"q": [{"role": "customer", "content": "q"}]}])
    program = PrepareProgram(source=Source(path="data.jsonl"), prompt_column="q", holdout=0)
    with pytest.raises(StageError) as caught:
        run(spec_of(program), storage)
    assert "dataset.messages." not in caught.value.message
