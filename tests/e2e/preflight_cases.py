"""Runs the stage preflight over mistakes, each in a storage of its own: ``python preflight_cases.py DIRECTORY``. With
``models`` behind it, only writes models that are right.

Prints a JSON object: by case, the reason and the message of its verdict, or its counts. One process for all, since its
imports take most of the time. Needs transformers.
"""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distillation_api.contract import PlannedGeneration, PlannedTraining, PreflightProgram, StageResult, StageSpec
from distillation_stages.data.tables import PREPARED, write_table
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage

WORDS = (
    "<unk>",
    "<s>",
    "</s>",
    "<pad>",
    "<user>",
    "<model>",
    "<system>",
    "question",
    "answer",
    "hello",
    "An",
    "answer.",
)
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "vocab_size": 64,
}  # fmt: skip
TEMPLATE = (
    "{{ bos_token }} {% for message in messages %}<{{ 'model' if message.role == 'assistant' else message.role }}> "
    "{{ message.content }} {{ eos_token }} {% endfor %}{% if add_generation_prompt %}<model> {% endif %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system message') }}{% endif %}" + TEMPLATE
NEEDS_ARGUMENT = "{% if thinking is not false %}{{ raise_exception('no argument') }}{% endif %}" + TEMPLATE
NO_REASONING = TEMPLATE.replace("message.content", "message.content.split('</think>')[-1]")
GENERATION = {"max_model_len": 128, "max_tokens": 32, "max_lost_share": 0.5}
TRAINING = {"name": "one", "data": "TeacherCompletions", "max_target_length": 128, "bytes_per_parameter": 12}
QUESTION = [{"role": "user", "content": "hello question"}]
CONVERSATION = [*QUESTION, {"role": "assistant", "content": "answer"}, {"role": "user", "content": "hello " * 40}]
WITH_SYSTEM = [{"role": "system", "content": "hello"}, *QUESTION]


@dataclass
class Case:
    """One job: what differs from one that is right."""

    teacher: dict[str, Any] = field(default_factory=dict)
    """Members of its config.json; None takes one out."""
    student: dict[str, Any] = field(default_factory=dict)
    generation: dict[str, Any] = field(default_factory=dict)
    training: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    template: dict[str, str | None] = field(default_factory=dict)
    """Of the tokenizers, by model."""
    given_template: str | None = None
    """``student.chatTemplate``"""
    student_arguments: dict[str, str] = field(default_factory=dict)
    """``student.chatTemplateArguments``"""
    prompts: list[list[dict[str, str]]] = field(default_factory=lambda: [QUESTION] * 12)
    references: str | None = "answer"
    parameters: int = 1000
    """Of each model's weights, by the header: no such file is as long."""
    spoil: Callable[[Path], object] = lambda storage: None


def long_prompts(long: int, short: int) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": "hello " * 200}]] * long + [QUESTION] * short


def pad_is_all_there_is(storage: Path) -> None:
    """The student's tokenizer ends its answers with what it pads with, and has no other special token."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = storage / "student" / name
        if path.exists():
            told = json.loads(path.read_text())
            path.write_text(json.dumps({**told, "pad_token": "</s>", "unk_token": "</s>", "bos_token": None}))
    path = storage / "student" / "tokenizer.json"
    told = json.loads(path.read_text())
    told["added_tokens"] = [token for token in told["added_tokens"] if token["content"] == "</s>"]
    path.write_text(json.dumps(told))


def no_tokenizer(model: str) -> Callable[[Path], object]:
    return lambda storage: (storage / model / "tokenizer.json").write_text("{broken")


CASES = {
    "right": Case(),
    "right, on chips": Case(
        generation={"tensor_parallelism": 4, "accelerator_gib": 64},
        training=[
            {"chip_gib": 32, "weight_shards": 4, "tensor_parallelism": 2}, {"name": "two", "data": "OriginalDataset"},
        ],
    ),
    "an architecture that has no kernels on TPUs, on CPU": Case(teacher={"architectures": ["Mamba2ForCausalLM"]}),
    "latent attention on TPUs": Case(
        teacher={"architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2", "kv_lora_rank": 512},
        generation={"tensor_parallelism": 4, "accelerator_gib": 64},
    ),
    "a base model with a template of the job's": Case(template={"student": None}, given_template=TEMPLATE),
    "a few prompts are too long": Case(prompts=long_prompts(2, 10)),
    "prompts that the teacher isn't asked may be longer": Case(
        prompts=[QUESTION, *long_prompts(8, 3)],
        generation={"holdout_only": True},
        training=[{"data": "OriginalDataset", "max_target_length": 256}],
    ),
    "a few prompts fill a row of training": Case(
        prompts=[QUESTION] * 10 + [[{"role": "user", "content": "hello " * 20}]] * 2,
        training=[{"max_target_length": 20}],
    ),
    "a known reasoner without its marks, all of which is kept": Case(
        teacher={"architectures": ["GptOssForCausalLM"]}, generation={"reasoning": "Keep"}
    ),
    "arguments without which both templates refuse": Case(
        template={"teacher": NEEDS_ARGUMENT, "student": NEEDS_ARGUMENT},
        generation={"chat_template_arguments": {"thinking": "false"}},
        student_arguments={"thinking": "false"},
    ),
    "a few rows have a system message that the student's template refuses": Case(
        template={"student": NO_SYSTEM}, prompts=[WITH_SYSTEM] * 2 + [QUESTION] * 10
    ),
    "every answer of conversations that are too long": Case(
        prompts=[CONVERSATION] * 12, references=None,
        training=[{"data": "OriginalDataset", "train_on": "EveryAssistantTurn", "max_target_length": 20}],
    ),
    "an end of answers that no token stands for": Case(given_template=TEMPLATE.replace("{{ eos_token }}", "<end>")),
    "answers without an end": Case(given_template=TEMPLATE.replace("{{ eos_token }}", "")),
    "reasoning in the dataset's own answers that the student's template takes out": Case(
        template={"student": NO_REASONING},
        references="<think>hello</think> answer",
        training=[{}, {"name": "two", "data": "OriginalDataset"}],
    ),
    # The teacher.
    "an unknown architecture": Case(teacher={"architectures": ["OurOwnForCausalLM"]}),
    "an encoder of texts": Case(teacher={"architectures": ["BertModel"]}),
    "encoder and decoder": Case(teacher={"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True}),
    "no architecture": Case(teacher={"architectures": None}),
    "more than the teacher's context": Case(generation={"max_model_len": 512}),
    "more than a context that is nested": Case(
        teacher={"max_position_embeddings": None, "text_config": {"max_position_embeddings": 64}}
    ),
    "an architecture that has no kernels on TPUs": Case(
        teacher={"architectures": ["Mamba2ForCausalLM"]}, generation={"accelerator_gib": 64}
    ),
    "weights quantised as TPUs don't take them": Case(
        teacher={"quantization_config": {"quant_method": "gptq", "bits": 4}}, generation={"accelerator_gib": 64}
    ),
    "heads over chips": Case(generation={"tensor_parallelism": 8, "accelerator_gib": 128}),
    "groups over chips": Case(
        teacher={"num_key_value_heads": 3}, generation={"tensor_parallelism": 2, "accelerator_gib": 9}
    ),
    "a teacher larger than its chips": Case(generation={"accelerator_gib": 16}, parameters=10**10),
    "a cache larger than the chips": Case(
        teacher={"num_hidden_layers": 4000, "head_dim": 256, "max_position_embeddings": 10**6},
        generation={"accelerator_gib": 16, "max_model_len": 10**6},
    ),
    "a teacher's tokenizer that is broken": Case(spoil=no_tokenizer("teacher")),
    "a teacher without a template": Case(template={"teacher": None}),
    "a teacher's template that is no Jinja": Case(template={"teacher": "{% for %}"}),
    "a system prompt that the teacher's template refuses": Case(
        template={"teacher": NO_SYSTEM}, generation={"system_prompt": "hello"}
    ),
    "system messages that the teacher's template refuses": Case(
        template={"teacher": NO_SYSTEM}, prompts=[WITH_SYSTEM] * 8 + [QUESTION] * 4
    ),
    "prompts that are too long": Case(prompts=long_prompts(8, 4)),
    "a teacher's template with tokens beyond the vocabulary": Case(teacher={"vocab_size": 5}),
    # The student.
    "a base model": Case(template={"student": None}),
    "a student's tokenizer that is broken": Case(spoil=no_tokenizer("student")),
    "system messages that the student's template refuses": Case(
        template={"student": NO_SYSTEM}, prompts=[WITH_SYSTEM] * 8 + [QUESTION] * 4
    ),
    "a student's template that renders no answers": Case(
        template={"student": "{% for message in messages %}{% if message.role == 'user' %}<user> {{ message.content }} "
                             "{% endif %}{% endfor %}"}
    ),
    "a known reasoner without its marks": Case(teacher={"architectures": ["GptOssForCausalLM"]}),
    "reasoning that the student's template takes out": Case(
        template={"student": NO_REASONING}, generation={"reasoning": "Keep"}
    ),
    "more than the student's context": Case(training=[{"max_target_length": 512}]),
    "prompts that fill the rows": Case(training=[{"max_target_length": 4}]),
    "the last answer of conversations that are too long": Case(
        prompts=[CONVERSATION] * 12, training=[{"data": "OriginalDataset", "max_target_length": 20}]
    ),
    "a student's template with tokens beyond the vocabulary": Case(student={"vocab_size": 5}),
    "a student that pads with the end of its answers": Case(spoil=pad_is_all_there_is),
    "the student's heads over an axis": Case(training=[{"tensor_parallelism": 8}]),
    "a student larger than its chips": Case(training=[{"chip_gib": 16, "weight_shards": 4}], parameters=10**10),
    "a teacher beside the student larger than the chips": Case(
        training=[{"chip_gib": 16, "weight_shards": 8, "runs_teacher": True}], parameters=10**10
    ),
    "three mistakes at once": Case(
        generation={"max_model_len": 512}, training=[{"max_target_length": 512}], template={"student": None}
    ),
}  # fmt: skip


def main(directory: Path) -> None:
    """Print what preflight says of each case."""
    from distillation_stages.programs.preflight import preflight

    tokenizer = directory / "tokenizer"
    write_tokenizer(tokenizer)
    told: dict[str, dict[str, Any]] = {}
    for number, (name, case) in enumerate(CASES.items()):
        storage = Storage(directory / str(number))
        build(storage, case, tokenizer)
        try:
            told[name] = {"counts": preflight.run(spec_of(case), storage).counts}
        except StageError as error:
            assert storage.read_marker("preflight") is None
            told[name] = {"reason": error.reason.name, "message": error.message, "isFinal": error.reason.is_final}
    print(json.dumps(told))


def write_tokenizer(directory: Path) -> None:
    """Whole words, between spaces."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=["<user>", "<model>", "<system>"],
    ).save_pretrained(directory)


def build(storage: Storage, case: Case, tokenizer: Path) -> None:
    """Models and prepared rows, as the stages before leave them."""
    build_models(storage, case, tokenizer)
    for split, prompts in (("train", case.prompts[1:]), ("holdout", case.prompts[:1])):
        rows = [{"row": row, "prompt": prompt, "reference": case.references} for row, prompt in enumerate(prompts)]
        (storage.mount / split).mkdir()
        write_table(storage.mount / split / "part-00000.parquet", PREPARED, rows)
    finish(storage, "prepare", train="train", holdout="holdout")
    case.spoil(storage.mount)


def build_models(storage: Storage, case: Case, tokenizer: Path) -> None:
    """Both models with the markers of their fetch stages."""
    for role, members in (("teacher", case.teacher), ("student", case.student)):
        model = storage.mount / role
        shutil.copytree(tokenizer, model)
        config = {name: value for name, value in {**CONFIG, **members}.items() if value is not None}
        (model / "config.json").write_text(json.dumps(config))
        template = case.template.get(role, TEMPLATE)
        if template is not None:
            (model / "chat_template.jinja").write_text(template)
        header = {"weight": {"dtype": "BF16", "shape": [case.parameters], "data_offsets": [0, 2 * case.parameters]}}
        encoded = json.dumps(header).encode()
        (model / "model.safetensors").write_bytes(len(encoded).to_bytes(8, "little") + encoded)
        finish(storage, f"fetch-{role}", model=role)


def finish(storage: Storage, directory: str, **outputs: str) -> None:
    """The marker of a stage that has ended."""
    storage.write_marker(directory, StageResult(stage=directory, fingerprint="f", outputs=outputs))


def spec_of(case: Case) -> StageSpec:
    """The stage as the operator asks for it."""
    program = PreflightProgram(
        teacher="fetch-teacher",
        student="fetch-student",
        dataset="prepare",
        student_chat_template=case.given_template,
        student_chat_template_arguments=case.student_arguments,
        generation=PlannedGeneration.model_validate({**GENERATION, **case.generation}),
        training=[PlannedTraining.model_validate({**TRAINING, **stage}) for stage in case.training],
    )
    return StageSpec(stage="preflight", fingerprint="f", output="preflight", program=program)


if __name__ == "__main__":
    if sys.argv[2:] == ["models"]:
        right = Storage(Path(sys.argv[1]))
        write_tokenizer(right.mount / "tokenizer")
        build_models(right, CASES["right"], right.mount / "tokenizer")
    else:
        main(Path(sys.argv[1]))
