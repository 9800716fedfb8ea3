"""What the stage evaluate is asked."""

from typing import ClassVar, Literal

from pydantic import Field

from distillation_api.contract.common import ProgramModel, ReportedStage, StageOutput


class EvaluateProgram(ProgramModel):
    """Score the student before, after each training stage and after all, on the teacher's answers to the holdout.

    Metrics: ``crossEntropyBefore``, ``crossEntropyAfter`` in nats per completion token, perplexities, and where teacher
    and student have the same vocabulary ``klBefore``, ``klAfter`` (teacher || student, nats per token) and
    ``top1AgreementBefore``, ``top1AgreementAfter``. Of the answers to some of the prompts, each for ``Teacher``,
    ``Before`` and ``After``: ``answerTokens`` (median), ``endsByItself`` (share of the answers) and ``repetition``
    (share of repeated n-grams); ``degenerateAfter`` is 1 when those after are far worse than the teacher's, else 0.
    Counts: rows, tokens. Outputs: ``report``, one self-contained HTML file, ``facts`` (``ReportFacts``, what the report
    shows), ``samples`` and ``scores``, JSON; of work done by an older version ``facts`` may be missing. Fails (exit 65,
    reason EvaluationGateFailed) when the drop is below the gate; all of these are written all the same.
    """

    outputs_version: ClassVar[int] = 2
    report_only: ClassVar[set[str]] = {"reported", "spec"}

    kind: Literal["evaluate"] = "evaluate"
    before: StageOutput
    """Output directory of the fetch stage of the student."""
    chat_template: str | None = None
    """Instead of the student's own."""
    chat_template_arguments: dict[str, str] = Field(default_factory=dict)
    """Variables for the template, as users write them."""
    after: StageOutput
    """Output directory of the export stage."""
    between: dict[str, StageOutput] = Field(default_factory=dict)
    """Output directories of the exports after each training stage but the last, by training stage, in order."""
    teacher: StageOutput | None = None
    """Output directory of the fetch stage of the teacher."""
    reported: list[ReportedStage] = Field(default_factory=list)
    spec: str = ""
    """The part of the DistillationJob's spec that determines results, as JSON, for the report."""
    completions: StageOutput
    shards: int
    min_cross_entropy_drop: float | None = None
    """Relative: 0.05 asks for a cross-entropy 5 % lower than before."""
    measures: bool | None = None
    """True in a preview: the result tells what was measured (see ``Measurements``). Absent elsewhere, so that images of
    another version take it too."""
