"""Mistakes that a CPU can see: each is told by the stage preflight, which every stage with chips waits for.

That they wait is shown in unit/pipeline/test_graph.py.
"""

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from distillation_api.contract import PrepareProgram, Source, StageSpec
from distillation_stages.runtime.storage import Storage
from e2e import preflight_cases
from e2e.broken_rows import ROWS, line
from e2e.stage_programs import environment, interpreter, run_stage

SCRIPT = Path(preflight_cases.__file__)

pytestmark = pytest.mark.timeout(300)

RIGHT: dict[str, dict[str, int]] = {
    "right": {"read": 12, "kept": 12},
    "a student that pads with the end of its answers": {"read": 12, "kept": 12},
    "right, on chips": {"read": 12, "kept": 12},
    "an architecture that has no kernels on TPUs, on CPU": {"read": 12, "kept": 12},
    "latent attention on TPUs": {"read": 12, "kept": 12},
    "a base model with a template of the job's": {"read": 12, "kept": 12},
    "a few prompts are too long": {"read": 12, "kept": 10, "rejected.PromptTooLong": 2},
    "prompts that the teacher isn't asked may be longer": {"read": 12, "kept": 12},
    "a few prompts fill a row of training": {"read": 12, "kept": 12, "promptFills.one": 2},
    "a known reasoner without its marks, all of which is kept": {"read": 12, "kept": 12},
    "arguments without which both templates refuse": {"read": 12, "kept": 12},
    "a few rows have a system message that the student's template refuses": {
        "read": 12,
        "kept": 10,
        "rejected.StudentTemplateRefused": 2,
    },
    "every answer of conversations that are too long": {"read": 12, "kept": 12},
}

MISTAKES = {
    "an unknown architecture": ("TeacherNotServed", "OurOwnForCausalLM"),
    "an encoder of texts": ("TeacherNotServed", "BertModel"),
    "encoder and decoder": ("TeacherNotServed", "take a causal language model"),
    "no architecture": ("TeacherNotServed", "names no architectures"),
    "an architecture that has no kernels on TPUs": ("TeacherNotServed", "MambaMixer2 have no kernel for TPUs"),
    "weights quantised as TPUs don't take them": ("TeacherNotServed", "quantised by gptq"),
    "more than the teacher's context": ("ContextTooShort", "generation.maxModelLen 512 is more than the 256 tokens"),
    "more than a context that is nested": ("ContextTooShort", "generation.maxModelLen 128 is more than the 64 tokens"),
    "heads over chips": ("HeadsNotDivisible", "the teacher has 4 attention heads, which 8 devices can't share evenly"),
    "groups over chips": ("HeadsNotDivisible", "the teacher has 3 key and value heads"),
    "a teacher larger than its chips": ("ModelExceedsChips", "the teacher takes 18.6 GiB of weights"),
    "a cache larger than the chips": ("ModelExceedsChips", "lower generation.maxModelLen"),
    "a teacher's tokenizer that is broken": ("UnusableTokenizer", "teacher"),
    "a teacher without a template": ("MissingChatTemplate", "Give one in generation.chatTemplate"),
    "a teacher's template that is no Jinja": ("TooManyRowsLost", "the teacher can't be asked 12 of 12 prompts"),
    "a system prompt that the teacher's template refuses": ("SystemPromptRefused", "generation.systemPrompt"),
    "system messages that the teacher's template refuses": ("TooManyRowsLost", "8 TemplateRefused"),
    "prompts that are too long": ("TooManyRowsLost", "8 PromptTooLong"),
    "a teacher's template with tokens beyond the vocabulary": ("TokensBeyondVocabulary", "the teacher's chat template"),
    "a base model": ("MissingChatTemplate", "Give one in student.chatTemplate"),
    "a student's tokenizer that is broken": ("UnusableTokenizer", "student"),
    "system messages that the student's template refuses": ("ChatTemplateRefuses", "refuses 8 of 12 conversations"),
    "a student's template that renders no answers": ("ChatTemplateRefuses", "renders no answer"),
    "a known reasoner without its marks": ("ReasoningMarksUnknown", "(GptOssForCausalLM) reasons before it answers"),
    "reasoning that the student's template takes out": ("ReasoningNotRendered", "student.chatTemplate"),
    "an end of answers that no token stands for": ("NoEndOfAnswer", "ends an answer by '<end>'"),
    "answers without an end": ("NoEndOfAnswer", "writes nothing after an answer"),
    "reasoning in the dataset's own answers that the student's template takes out": (
        "ReasoningNotRendered",
        "11 of 11 of the dataset's own answers",
    ),
    "more than the student's context": ("ContextTooShort", "maxTargetLength 512 of training stage one"),
    "prompts that fill the rows": ("NoTrainableTokens", "maxTargetLength=4"),
    "the last answer of conversations that are too long": ("NoTrainableTokens", "maxTargetLength=20"),
    "a student's template with tokens beyond the vocabulary": ("TokensBeyondVocabulary", "the student's chat template"),
    "the student's heads over an axis": ("HeadsNotDivisible", "parallelism.tensor of stage one"),
    "a student larger than its chips": ("ModelExceedsChips", "training stage one takes 111.8 GiB"),
    "a teacher beside the student larger than the chips": ("ModelExceedsChips", "and the teacher's 10.0 billion"),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What preflight says of each case."""
    command = [str(interpreter("converter")), str(SCRIPT), str(tmp_path_factory.mktemp("preflight"))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_passes_with_every_prompt_accounted_for(name: str, told: dict[str, Any]) -> None:
    assert told[name] == {"counts": RIGHT[name]}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_before_any_chip_is_asked_for(name: str, told: dict[str, Any]) -> None:
    """U13, U14, U18, and their kind."""
    reason, words = MISTAKES[name]
    assert told[name]["reason"] == reason, told[name]
    assert words in told[name]["message"]
    assert told[name]["isFinal"]


def test_all_mistakes_are_told_at_once(told: dict[str, Any]) -> None:
    verdict = told["three mistakes at once"]
    assert verdict["reason"] == "ContextTooShort"
    assert verdict["message"].startswith("3 things are to be changed: (1) generation.maxModelLen 512")
    assert "(2) maxTargetLength 512" in verdict["message"]
    assert "(3) the tokenizer in" in verdict["message"]


def test_of_20000_sharegpt_rows_every_one_is_accounted_for_before_the_teacher_sees_them(tmp_path: Path) -> None:
    """U03: one in a hundred is broken, in ten ways; prepare finds nine of them and preflight the tenth."""
    storage, python = Storage(tmp_path / "storage"), interpreter("converter")
    lines = [line(row) for row in range(ROWS)]
    storage.mount.mkdir()
    (storage.mount / "chats.jsonl").write_text("".join(f"{text}\n" for text, _ in lines))
    build = [str(python), str(SCRIPT), str(storage.mount), "models"]
    subprocess.run(build, check=True, env=environment(), timeout=120)
    wrong = Counter(reason for _, reason in lines if reason)
    assert len(wrong) == 10 and wrong.total() == ROWS / 100

    program = PrepareProgram(source=Source(path="chats.jsonl"), messages_column="conversations", holdout=64)
    prepare = StageSpec(stage="prepare-dataset", fingerprint="p", output="prepare", program=program)
    counts = run_stage(python, prepare, storage.mount, tmp_path / "prepare").counts
    too_long = wrong.pop("PromptTooLong")
    assert {name.removeprefix("rejected."): n for name, n in counts.items() if "rejected" in name} == dict(wrong)
    assert (counts["read"], counts["kept"], counts["duplicates"]) == (ROWS, ROWS - wrong.total(), 0)

    looks = preflight_cases.spec_of(preflight_cases.CASES["right"])
    counts = run_stage(python, looks, storage.mount, tmp_path / "preflight").counts
    assert counts == {"read": ROWS - wrong.total(), "kept": ROWS - ROWS // 100, "rejected.PromptTooLong": too_long}


SERVED = """
import json
from vllm.model_executor.models import registry
tables = ("_TEXT_GENERATION_MODELS", "_MULTIMODAL_MODELS", "_TRANSFORMERS_SUPPORTED_MODELS",
          "_TRANSFORMERS_BACKEND_MODELS")
print(json.dumps(sorted({name for table in tables for name in getattr(registry, table)})))
"""


def test_the_list_of_served_architectures_is_vllms_own() -> None:
    from distillation_stages.models.served_architectures import SERVED as KNOWN

    command = [str(interpreter("teacher")), "-c", SERVED]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=280, check=True)
    assert set(json.loads(done.stdout.splitlines()[-1])) == KNOWN
