"""What the stage check-tokenizers is asked."""

from typing import Literal

from distillation_api.contract.common import ProgramModel, StageOutput


class CheckTokenizersProgram(ProgramModel):
    """Compare the vocabularies of teacher and student, on CPU, before any accelerator is asked for: logit matching
    needs the same tokens with the same numbers. Exit 65 with reason VocabulariesDiffer and what differs.

    Metrics: none. Counts: tokens.
    """

    kind: Literal["check_tokenizers"] = "check_tokenizers"
    teacher: StageOutput
    """Output directory of the fetch stage of the teacher."""
    student: StageOutput
    """Output directory of the fetch stage of the student."""
