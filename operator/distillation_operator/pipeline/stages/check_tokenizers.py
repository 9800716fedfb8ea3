"""The stage check-tokenizers: proof that teacher and student have the same vocabulary."""

from distillation_api.contract import CheckTokenizersProgram
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.stage import Stage


def add_check_tokenizers(graph: Builder, teacher: Stage, student: Stage) -> Stage:
    """A gate for all that logit matching needs."""
    program = CheckTokenizersProgram(teacher=teacher.output, student=student.output)
    return graph.add("check-tokenizers", program, "converter", graph.cpu)
