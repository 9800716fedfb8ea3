"""The stages fetch-teacher and fetch-student: a model's files, in the storage."""

from typing import Literal

from distillation_api.contract import FetchProgram, HuggingFaceRepo, Source
from distillation_api.spec import ModelSource
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.stage import Stage


def add_fetch_teacher(graph: Builder) -> Stage:
    """The teacher's files."""
    return _add(graph, "teacher", graph.spec.teacher.source)


def add_fetch_student(graph: Builder) -> Stage:
    """The student's files, as it is before."""
    return _add(graph, "student", graph.spec.student.source)


def _add(graph: Builder, role: Literal["teacher", "student"], source: ModelSource) -> Stage:
    return graph.add(
        f"fetch-{role}",
        FetchProgram(source=model_source(source), role=role),
        "converter",
        graph.cpu,
        needs_token=source.hugging_face is not None,
    )


def model_source(source: ModelSource) -> Source:
    """Where a model lies, as programs are told."""
    hub = source.hugging_face
    return Source(
        hugging_face=HuggingFaceRepo(repo=hub.repo, revision=hub.revision) if hub else None,
        gcs_uri=source.gcs.uri if source.gcs else None,
        path=source.path,
    )
