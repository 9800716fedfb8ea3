"""The stages convert-student and convert-teacher: a model as a MaxText checkpoint."""

from collections.abc import Iterable

from distillation_api.contract import ConvertProgram
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.stage import Stage


def add_convert_student(graph: Builder, student: Stage) -> Stage:
    """The checkpoint that the first training stage starts from."""
    spec = graph.spec
    program = ConvertProgram(
        model=student.output, max_text_model=spec.student.max_text_model, max_kl=spec.conversion.max_kl
    )
    return graph.add("convert-student", program, "converter", graph.cpu)


def add_convert_teacher(graph: Builder, teacher: Stage, after: Iterable[Stage]) -> Stage:
    """The checkpoint whose logits are matched; it is never trained."""
    spec = graph.spec
    name, max_kl = spec.teacher.max_text_model, spec.conversion.max_kl
    program = ConvertProgram(model=teacher.output, max_text_model=name, trained=False, max_kl=max_kl)
    return graph.add("convert-teacher", program, "converter", graph.cpu, after)
