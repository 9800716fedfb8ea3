"""All that a report shows, as data: ``facts.json``, which the stage evaluate writes next to ``report.html``.

Those who compare runs read it instead of the page. It outlives the version that wrote it: members are only ever added,
each with a default, and a reader passes over those that it doesn't know.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from distillation_api.contract.messages import StartUp
from distillation_api.model import Model

FACTS_NAME = "facts.json"
"""The file's name in the folder of the report."""


def _finite(value: object) -> object:
    """Nothing in the place of NaN and infinities, which JSON lacks."""
    return None if isinstance(value, float) and not abs(value) < float("inf") else value


Number = Annotated[float | None, BeforeValidator(_finite)]
"""A finite number, or None where there is none."""


class FactsModel(Model):
    """A part of the facts. Unknown members, as of a newer version, are passed over."""

    model_config = ConfigDict(extra="ignore")


class JobIdentity(FactsModel):
    """The DistillationJob whose evaluation has written the report; others with the same spec share it."""

    namespace: str
    name: str


class SourceNames(FactsModel):
    """Where the models and the data come from: a repository, a bucket's URI or a path; empty where that isn't known."""

    teacher: str = ""
    student: str = ""
    dataset: str = ""


class ModelScore(FactsModel):
    """How near one model is to the teacher's answers to the held-out rows."""

    name: str
    """``before``, or the training stage after which the student was scored; ``teacher`` for the teacher's own."""
    cross_entropy: Number = None
    """Nats per answer token."""
    perplexity: Number = None
    kl: Number = None
    """KL(teacher || model), nats per answer token; of ``rows.teacher_tokens``."""
    top1_agreement: Number = None
    """Share of these tokens, 0 to 1, at which both find the same token likeliest."""


class AnswerFigures(FactsModel):
    """What the answers of one model to the sampled prompts are like."""

    name: str
    """As of ``ModelScore``."""
    answers: int
    median_tokens: Number = None
    p90_tokens: Number = None
    """The 90th percentile."""
    ends_by_itself: Number = None
    """Share of the answers, 0 to 1."""
    repetition: Number = None
    """Mean share of repeated n-grams, 0 to 1."""


class Gate(FactsModel):
    """The condition under which the student is published."""

    metric: str = "crossEntropyDrop"
    """How much lower the cross-entropy is, relative to before."""
    threshold: float
    """The least value that passes."""
    value: Number
    passed: bool


class ModelSize(FactsModel):
    """How big a model is, by its safetensors files."""

    parameters: int | None = None
    bytes: int | None = None
    """Of the weights on disk."""


class HeldOutPoint(FactsModel):
    """A held-out score at a training step."""

    step: int
    cross_entropy: Number
    """Nats per answer token of the teacher's held-out answers."""


class Curve(FactsModel):
    """What one training stage has reported at its steps; all lists but ``held_out`` are as long as ``steps``.

    Long trainings are thinned evenly, the first and the last step always among what is kept.
    """

    steps: list[int] = []
    loss: list[Number] = []
    """Nats per token; of logit matching, its own loss."""
    kl_to_teacher: list[Number] = []
    """Nats per token, for logit matching; else empty."""
    held_out: list[HeldOutPoint] = []
    """Before the first step and after the last one."""


class StageFigures(FactsModel):
    """What one stage of the pipeline has taken and made."""

    name: str
    seconds: Number = 0.0
    """Of the run that finished it; of the slowest shard."""
    chips: int = 0
    """Of all its pods."""
    chip_hours: Number = 0.0
    idle_chip_hours: Number = 0.0
    """Of these the ones before the first token or step."""
    start_up: StartUp | None = None
    """Of the run that finished it; of the slowest shard."""
    tokens: int | None = None
    """Read and written by generate (prompts and answers), seen by a training, padding not counted; else None."""
    counts: dict[str, int] = {}
    """As its marker has them, those of rejected rows left out."""
    rejected: dict[str, int] = {}
    """Rows by the reason for which they were left out."""
    metrics: dict[str, Number] = {}
    versions: dict[str, str] = {}
    curve: Curve | None = None
    """Of a training stage."""

    @property
    def is_training(self) -> bool:
        """Whether it trains the student."""
        return self.training_name is not None

    @property
    def training_name(self) -> str | None:
        """The training stage that it runs, as the manifest names it; None for other kinds of stages."""
        kind, dash, name = self.name.removeprefix("preview-").partition("-")
        return name if kind == "train" and dash else None


class RowCounts(FactsModel):
    """What became of the dataset's rows; None where it isn't known."""

    read: int | None = None
    train: int | None = None
    """Kept for training."""
    holdout: int | None = None
    """Kept for the evaluation."""
    answered: int | None = None
    """Teacher's answers that were kept."""
    scored: int | None = None
    """Held-out answers on which the models were scored."""
    scored_tokens: int | None = None
    """Tokens of these answers."""
    teacher_tokens: int | None = None
    """Of these the tokens at which the teacher's distribution was taken."""
    rejected: dict[str, int] = {}
    """By reason, of all stages."""

    @property
    def teacher_has_all(self) -> bool:
        """Whether the teacher's scores are of the same tokens as the students' cross-entropy; False where a count isn't
        known.
        """
        return self.scored_tokens is not None and self.teacher_tokens == self.scored_tokens


class ReportFacts(FactsModel):
    """All that the report shows but the samples, which are in ``samples.json``. Written whether or not the gate let the
    student through.
    """

    version: Literal["v1"] = "v1"
    job: JobIdentity | None = None
    date: str = ""
    """When it was written, RFC 3339 in UTC."""
    fingerprint: str = ""
    """Of the stage evaluate: equal ones are the same work."""
    sources: SourceNames = SourceNames()
    spec: dict[str, Any] = {}
    """The part of the DistillationJob's spec that determines results, as the manifest spells it."""
    gate: Gate | None = None
    """None where the manifest asks for nothing."""
    scores: Annotated[list[ModelScore], Field(min_length=1)]
    """The student's: before, then after each training stage in order; the last is the result."""
    teacher: ModelScore | None = None
    """The line to reach: the teacher's own scores. They are of the tokens at which its distribution was taken, as every
    KL and top-1 agreement is: the first ``rows.teacher_tokens`` of the ``rows.scored_tokens`` that the students'
    cross-entropy is of. Only where both are equal can the teacher's cross-entropy be set against a student's.
    """
    no_kl_because: str | None = None
    """Why the student can't be compared with the teacher token by token; None where it was."""
    answers: list[AnswerFigures] = []
    """The teacher's first, then the students' as in ``scores``."""
    answer_limit: int | None = None
    """Tokens up to which answers were taken."""
    degeneration: str | None = None
    """In what the last student's answers are far worse than the teacher's; None when in nothing."""
    teacher_size: ModelSize = ModelSize()
    student_size: ModelSize = ModelSize()
    """As exported."""
    stages: list[StageFigures] = []
    """In dataflow order, evaluate itself last."""
    rows: RowCounts = RowCounts()
    versions: dict[str, str] = {}
    """Of the libraries, where all stages agree; by ``name (stage)`` where not."""

    @property
    def before(self) -> ModelScore:
        """The student's score before all training."""
        return self.scores[0]

    @property
    def after(self) -> ModelScore:
        """The result's score."""
        return self.scores[-1]

    @property
    def seconds(self) -> float:
        """Of all stages, one after another."""
        return sum(stage.seconds or 0.0 for stage in self.stages)

    @property
    def chip_hours(self) -> float:
        """Of all stages."""
        return sum(stage.chip_hours or 0.0 for stage in self.stages)
