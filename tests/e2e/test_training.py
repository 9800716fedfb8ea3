"""MaxText's SFT trainer as a stage: what it learns of a row, and how it ends and goes on."""

import json
import re
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from distillation_api.contract import EXIT_TERMINATED, EXIT_TRY_AGAIN, StageResult, StartUp, TrainData
from distillation_stages.data.tables import Row
from distillation_stages.runtime.storage import Storage
from e2e.stage_programs import environment, interpreter
from e2e.training_storage import Training, copy_of, counting_rows, packed, prepared, train_program

WEIGHTS = re.compile(r"completed step: (\d+),.* total_weights: (\d+)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the storage and the programs' logs."""
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module")
def storage(folder: Path, converted_models: Storage) -> Storage:
    """A storage with a converted student."""
    storage = copy_of(converted_models, folder / "storage")
    prepared(storage, counting_rows(16))
    packed(storage, folder / "packed")
    return storage


# The loss mask

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def conversations() -> list[Row]:
    """With a system message; with several turns, of which only the last is learnt; and plain."""
    user, system = {"role": "user", "content": "Say hello."}, {"role": "system", "content": "Be brief."}
    answer = {"role": "assistant", "content": "Which one do you mean?"}
    prompts = [
        [system, user],
        [user, answer, {"role": "user", "content": "Any."}],
        [user],
        [system, user, answer, user],
    ]
    return [{"row": row, "prompt": prompt, "reference": f"Hello {row}"} for row, prompt in enumerate(prompts)]


def padded_by_its_end(storage: Storage) -> int:
    """The student with a tokenizer that pads with the token that ends an answer, as many have it; that token."""
    source, target = storage.at("fetch-student/model"), storage.at("padded/model")
    shutil.copytree(source, target)
    tokenizer = json.loads((target / "tokenizer.json").read_text())
    number = int(max(tokenizer["model"]["vocab"].values())) + 1
    for offset, text in enumerate(("<|im_start|>", "<|im_end|>")):
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        tokenizer["added_tokens"].append({"id": number + offset, "content": text, **flags})
    (target / "tokenizer.json").write_text(json.dumps(tokenizer))
    settings = json.loads((target / "tokenizer_config.json").read_text())
    settings |= {"eos_token": "<|im_end|>", "pad_token": "<|im_end|>", "chat_template": CHATML}
    settings.pop("added_tokens_decoder", None)
    (target / "tokenizer_config.json").write_text(json.dumps(settings))
    (target / "chat_template.jinja").write_text(CHATML)
    marker = storage.read_marker("fetch-student")
    assert marker is not None
    storage.write_marker("padded", marker.model_copy(update={"outputs": {"model": "padded/model"}}))
    return number + 1


@pytest.mark.timeout(600)
def test_all_of_the_answer_and_its_end_is_learnt_and_nothing_else(storage: Storage, folder: Path) -> None:
    """M20: a tokenizer that pads with the end of an answer, which MaxText would mask: the student would never stop."""
    end = padded_by_its_end(storage)
    rows = conversations()
    prepared(storage, rows, "conversations")
    data = TrainData(kind="OriginalDataset", dataset="conversations")
    asked = {"max_target_length": 128, "sequences_per_step": 4}
    packed(storage, folder / "mask", "mask", student="padded", data=data, **asked)
    program = train_program(1, "mask", per_device_batch_size=4, tokenizer="padded", **asked)
    training = Training(storage, folder, program, "train-mask")
    training.run()
    answers = token_ids(storage.at("padded/model"), [f"{row['reference']}<|im_end|>\n" for row in rows])
    assert all(end in answer for answer in answers)
    found = WEIGHTS.search(training.log.with_suffix(".out").read_text())
    assert found is not None
    assert int(found[2]) == sum(map(len, answers))


TOKENIZE = """
import json, sys
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1])
print(json.dumps([tokenizer.encode(text, add_special_tokens=False).ids for text in sys.argv[2:]]))
"""


def token_ids(model: Path, texts: list[str]) -> list[list[int]]:
    command = [str(interpreter("converter")), "-c", TOKENIZE, str(model / "tokenizer.json"), *texts]
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment(), timeout=120)
    return list(json.loads(told.stdout))


# Several hosts


def hosts_of(storage: Storage, folder: Path) -> list[Training]:
    """Two hosts of one training, as their pods are told."""
    program = train_program(steps=12, hosts=2, parallelism={"fsdp": 2}, per_device_batch_size=1)
    hosts = []
    for index in range(2):
        (folder / f"host-{index}").mkdir(exist_ok=True)
        variables = {
            "JOB_COMPLETION_INDEX": str(index),
            "PROCESSES_IN_JOB": "2",
            "JAX_PROCESS_COUNT": "2",
            "JAX_COORDINATOR_ADDRESS": "127.0.0.1",
            "JOB_INDEX": "0",
        }
        hosts.append(Training(storage, folder / f"host-{index}", program, "train-hosts", variables))
    return hosts


@pytest.mark.long
@pytest.mark.timeout(900)
def test_when_one_host_is_terminated_all_save_the_same_step(storage: Storage, folder: Path) -> None:
    """M6: the other host of a slice that loses one can't go on, so what it knows is saved too."""
    first, second = hosts_of(storage, folder)
    codes: list[int] = []
    beside = threading.Thread(target=lambda: codes.append(first.run_until(lambda line: False)))
    beside.start()
    code = second.run_until(lambda line: "completed step: 4," in line, signal.SIGTERM)
    beside.join(180)
    assert (codes, code) == ([EXIT_TRY_AGAIN], EXIT_TERMINATED), first.output() + second.output()
    message = json.loads(first.log.read_text())
    assert (message["reason"], message["permanent"]) == ("Interrupted", False)
    first, second = hosts_of(storage, folder)
    beside = threading.Thread(target=second.run_until, args=(lambda line: False,))
    beside.start()
    result = first.run()
    beside.join(60)
    assert (result.counts["steps"], result.counts["restarts"], result.counts["repeatedSteps"]) == (12, 1, 0)


# Two jobs


@pytest.mark.timeout(600)
def test_of_two_jobs_that_need_the_same_training_one_trains_and_the_other_takes_over(
    storage: Storage, folder: Path
) -> None:
    """They come together; the first is killed in the middle."""
    program = train_program(steps=8, checkpoint_period=2)
    folders = {writer: folder / writer for writer in ("first", "second")}
    for path in folders.values():
        path.mkdir()
    first, second = (
        Training(storage, path, program, "train-shared", {"WRITER": writer}) for writer, path in folders.items()
    )
    codes: list[int] = []

    def second_has_come(line: str) -> bool:
        if "completed step: 5," in line and not codes:
            # On a slow machine it would have ended before the second has looked.
            first.stop_trainer()
            codes.append(second.run_until(lambda line: False))
        return bool(codes)

    first.run_until(second_has_come)
    message = json.loads(second.log.read_text())
    assert (codes, message["reason"]) == ([EXIT_TRY_AGAIN], "WaitsForOtherJob"), second.output()
    assert "UID first works at this stage" in message["message"]
    # As when two minutes have gone by without a beat.
    claim = storage.at("train-shared/_CLAIM.json")
    told = json.loads(claim.read_text())
    assert told["writer"] == "first"
    claim.write_text(json.dumps({**told, "time": told["time"] - 121}))
    result = second.run()
    assert (result.counts["steps"], result.counts["restarts"]) == (8, 1)
    begun = re.findall(r"starting MaxText from step (\d+)", second.log.with_suffix(".out").read_text())
    assert begun in (["2"], ["4"]), "it went on from the other's checkpoint"
    assert result.counts["repeatedSteps"] < 4
    history = storage.at(result.outputs["history"]).read_text().splitlines()
    assert [json.loads(line)["step"] for line in history] == list(range(1, 9))
    # Whose turn comes then finds it done.
    assert first.run() == result
    assert not claim.exists()


# Starts


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_second_start_finds_what_the_first_has_compiled(storage: Storage, folder: Path) -> None:
    """By JAX's own count of its cache, in the pod's last words: the first start compiles, the second loads."""
    shared = {"COMPILE_CACHE": "cache-of-starts"}
    # Another length than in other tests, whose programs no other cache may bring along either.
    asked = {"max_target_length": 48}
    packed(storage, folder / "starts", "starts", **asked)
    starts = list[StartUp]()
    for name in ("train-cold", "train-warm"):
        training = Training(storage, folder, train_program(2, "starts", **asked), name, shared)
        training.run()
        told = StageResult.model_validate_json(training.log.read_text()).start_up
        assert told is not None
        starts.append(told)
    cold, warm = starts
    assert (cold.cache_hits, warm.cache_misses) == (0, 0)
    assert cold.cache_misses > 0
    assert warm.cache_hits >= cold.cache_misses
    assert all(part > 0 for start in starts for part in (start.imports, start.compile, start.other))
