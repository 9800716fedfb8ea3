"""The stages fetch-teacher and fetch-student: a model's files, in the storage."""

from typing import Literal

from distillation_api.contract import FetchProgram, HuggingFaceRepo, Source
from distillation_api.spec import ModelSource, Student, Teacher
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.stage import Stage


def add_fetch_teacher(graph: Builder) -> Stage:
    """The teacher's files."""
    return _add(graph, "teacher", graph.spec.teacher, for_max_text=graph.spec.training.needs_teacher_logits)


def add_fetch_student(graph: Builder) -> Stage:
    """The student's files, as it is before."""
    return _add(graph, "student", graph.spec.student, for_max_text=True)


def _add(graph: Builder, role: Literal["teacher", "student"], model: Teacher | Student, for_max_text: bool) -> Stage:
    program = FetchProgram(
        source=model_source(model.source),
        role=role,
        for_max_text=for_max_text,
        max_text_model=model.max_text_model if for_max_text else None,
    )
    needs_token = model.source.hugging_face is not None
    return graph.add(f"fetch-{role}", program, "fetcher", graph.cpu, needs_token=needs_token)


def model_source(source: ModelSource) -> Source:
    """Where a model lies, as programs are told."""
    hub = source.hugging_face
    return Source(
        hugging_face=HuggingFaceRepo(repo=hub.repo, revision=hub.revision) if hub else None,
        gcs_uri=source.gcs.uri if source.gcs else None,
        path=source.path,
    )
