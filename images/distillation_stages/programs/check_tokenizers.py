"""Compare the vocabularies of teacher and student before any accelerator is asked for."""

import time

from distillation_api.contract import CheckTokenizersProgram, StageResult, StageSpec
from distillation_stages.models.model_directory import model_of
from distillation_stages.models.vocabularies import check_sizes, check_tokens, load_tokenizer, vocabulary_size
from distillation_stages.runtime.environment import set_environment
from distillation_stages.runtime.storage import Storage


def run(spec: StageSpec, storage: Storage) -> StageResult:
    """Raise StageError unless logits of both models are about the same tokens."""
    program = spec.program
    assert isinstance(program, CheckTokenizersProgram)
    started = time.monotonic()
    set_environment()
    teacher = model_of(storage, program.teacher)
    student = model_of(storage, program.student)
    check_sizes(vocabulary_size(teacher), vocabulary_size(student))
    tokens = check_tokens(load_tokenizer(teacher), load_tokenizer(student))
    result = StageResult(
        stage=spec.stage,
        fingerprint=spec.fingerprint,
        counts={"tokens": tokens},
        seconds=round(time.monotonic() - started, 1),
    )
    storage.write_marker(spec.output, result)
    return result
