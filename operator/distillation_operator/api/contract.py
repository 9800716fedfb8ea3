"""What the operator and the stage programs say to each other (design.md, section 4).

In: the environment variable ``STAGE_SPEC``, a ``StageSpec`` as JSON; the storage mounted at ``STORAGE_MOUNT``.
Out: progress lines on standard output, a ``StageResult`` in the termination log and, the same, as the done marker
``MARKER_NAME`` in the stage's output directory. All paths are relative to the storage mount, with forward slashes.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from distillation_operator.api.base import Model

STAGE_SPEC_ENV = "STAGE_SPEC"
WRITER_ENV = "WRITER"
"""The DistillationJob's UID: what a pod of it has left unfinished in the storage is removed by the next pod of it."""
STORAGE_MOUNT = "/storage"
SCRATCH_MOUNT = "/tmp"
MARKER_NAME = "_DONE.json"
TERMINATION_MESSAGE_LIMIT = 4096

EXIT_DONE = 0
EXIT_BAD_INPUT = 65
EXIT_TRY_AGAIN = 75
EXIT_BAD_CONFIGURATION = 78
EXIT_TERMINATED = 143
PERMANENT_EXIT_CODES = (EXIT_BAD_INPUT, EXIT_BAD_CONFIGURATION)


class HuggingFaceRepo(Model):
    """A model or dataset repository on the Hugging Face Hub."""

    repo: str
    revision: str = "main"
    split: str | None = None
    """Datasets only."""


class Source(Model):
    """Where an input lies; exactly one member is set."""

    hugging_face: HuggingFaceRepo | None = None
    gcs_uri: str | None = None
    path: str | None = None


class ProgramModel(Model):
    """The configuration of a stage program."""

    only_told: ClassVar[set[str]] = set()
    """Members that a program only repeats in its report: they determine nothing, so no fingerprint holds them."""


class FetchProgram(ProgramModel):
    """Bring a model directory in Hugging Face format into the storage, or verify one that is there (``path``).

    Result outputs: ``model``, the model directory.
    """

    kind: Literal["fetch"] = "fetch"
    source: Source
    role: Literal["teacher", "student"]


class PrepareProgram(ProgramModel):
    """Normalise a dataset to conversations, split off the holdout, count every row that was left out.

    Result outputs: ``train`` and ``holdout``, directories of Parquet parts with columns ``row`` (int64, the position in
    the source), ``prompt`` (list of {role, content}: the conversation up to and with its last user turn) and
    ``reference`` (string or null: the assistant's answer that followed). Counts: read, kept, train, holdout,
    duplicates and ``rejected.<reason>``; read = kept + duplicates + all rejected.
    """

    kind: Literal["prepare"] = "prepare"
    source: Source
    messages_column: str | None = None
    prompt_column: str | None = None
    response_column: str | None = None
    group_column: str | None = None
    """Rows with the same value stay on one side of the holdout, so that it has groups which training never sees."""
    limit: int | None = None
    holdout: int
    seed: int = 0


class ConvertProgram(ProgramModel):
    """Convert a Hugging Face model directory to a MaxText Orbax checkpoint and verify its logits.

    Result outputs: ``checkpoint``, the directory that ``load_parameters_path`` takes. Result ``settings``: the MaxText
    settings (model_name, sizes, RoPE, ...) with which the checkpoint reads right; every later MaxText command takes
    them. Metrics: ``kl`` and ``top1Agreement`` against transformers on the same tokens.
    """

    kind: Literal["convert"] = "convert"
    model: str
    """Output directory of the fetch stage."""
    max_text_model: str
    trained: bool = True
    """Whether it will be trained, and so converted back; a teacher is not."""
    max_kl: float = 0.01
    min_top1_agreement: float = 0.97


class CheckTokenizersProgram(ProgramModel):
    """Compare the vocabularies of teacher and student, on CPU, before any accelerator is asked for: logit matching
    needs the same tokens with the same numbers. Exit 65 with reason VocabulariesDiffer and what differs.

    Metrics: none. Counts: tokens.
    """

    kind: Literal["check_tokenizers"] = "check_tokenizers"
    teacher: str
    """Output directory of the fetch stage of the teacher."""
    student: str
    """Output directory of the fetch stage of the student."""


class Sampling(Model):
    """How the teacher samples."""

    temperature: float
    top_p: float
    top_k: int = 0
    """0: no limit."""
    stop: list[str] = Field(default_factory=list)
    samples_per_prompt: int = 1
    max_tokens: int
    seed: int
    keep_truncated: bool = False
    """Keep answers that ended at ``max_tokens``; otherwise they are rejected, since a student learns never to stop."""


class GenerateProgram(ProgramModel):
    """Let the teacher answer the prompts of one shard (``JOB_COMPLETION_INDEX`` of ``shards``).

    Rows of train and holdout are numbered together and split into contiguous shards. Writes, under the output
    directory, ``shard-I/chunk-NNNNN.parquet`` with columns ``row``, ``sample`` (0 up to samplesPerPrompt - 1; of the
    holdout always 0), ``split``, ``prompt``, ``reference``, ``completion``, ``finishReason``, ``promptTokens``,
    ``completionTokens``; ``shard-I/ledger.jsonl``, one line per chunk; and ``shard-I/_DONE.json``, the shard's marker.
    There is no marker for the whole: a reader asks for those of all shards. Counts: read (answers asked for), kept,
    train, holdout, duplicates, ``rejected.<reason>``, promptTokens, completionTokens; read = kept + duplicates + all
    rejected.
    """

    kind: Literal["generate"] = "generate"
    model: str
    dataset: str
    """Output directory of the prepare stage."""
    shards: int
    chunk_rows: int
    max_model_len: int
    sampling: Sampling
    tensor_parallelism: int = 1
    dtype: str = "bfloat16"
    holdout_only: bool = False
    """True when no training stage reads completions: then only the holdout is answered, for the evaluation."""
    system_prompt: str | None = None
    chat_template: str | None = None
    reasoning: Literal["StripClosed", "Keep", "RequireClosed"] = "StripClosed"
    max_lost_share: float = 0.5


class TrainData(Model):
    """Which rows a training stage reads."""

    kind: Literal["TeacherCompletions", "OriginalDataset"]
    completions: str | None = None
    """Output directory of the generate stage (TeacherCompletions)."""
    shards: int | None = None
    """Number of shards of the generate stage (TeacherCompletions)."""
    dataset: str
    """Output directory of the prepare stage."""


class LogitMatching(Model):
    """The loss of online logit matching; see the API's model of that name."""

    teacher: str
    """Output directory of the convert stage of the teacher."""
    alpha: float
    alpha_end: float | None = None
    alpha_schedule: Literal["Constant", "Linear", "Cosine"] = "Constant"
    temperature: float
    temperature_end: float | None = None
    temperature_schedule: Literal["Constant", "Linear", "Cosine"] = "Constant"
    beta: float
    beta_end: float | None = None
    beta_schedule: Literal["Constant", "Linear", "Cosine"] = "Constant"
    feature_loss: Literal["Cosine", "L2"] = "Cosine"
    layer_indices: list[int] | None = None


class TrainProgram(ProgramModel):
    """Train the student with MaxText, from a converted or an earlier trained checkpoint: by its SFT trainer, or with
    ``logit_matching`` by its distillation trainer.

    Runs on every host of every slice; host 0 verifies and writes the result. Result outputs: ``checkpoint``
    (``.../checkpoints/N/model_params``), ``history`` (JSONL: step, loss, learningRate, tokensPerSecondPerDevice, and
    klToTeacher for logit matching). Result ``settings`` are passed on. Counts: steps, rows. Metrics: loss (the last),
    firstLoss.
    """

    kind: Literal["train"] = "train"
    start: str
    """Output directory of the convert stage or of the training stage before."""
    tokenizer: str
    """Output directory of the fetch stage of the student."""
    data: TrainData
    logit_matching: LogitMatching | None = None
    steps: int | None = None
    """When absent, they follow from the rows and epochs."""
    epochs: int | None = None
    """How often each row may be read; 1 when absent."""
    per_device_batch_size: float
    gradient_accumulation_steps: int = 1
    """Batches of one optimizer step."""
    max_target_length: int
    learning_rate: float
    warmup_steps_fraction: float
    checkpoint_period: int
    packing: bool
    dtype: str
    weight_dtype: str
    parallelism: dict[str, int]
    """MaxText's ICI axes without prefix and suffix, e.g. {"fsdp": 4}."""
    slices: int = 1
    cpu_hosts: int | None = None
    """Number of CPU processes; null on an accelerator."""
    max_text: dict[str, str] = Field(default_factory=dict)
    """MaxText's tuning settings, as users write them; the program gives them their types."""
    max_text_unlisted: dict[str, str] = Field(default_factory=dict)
    """Other settings of MaxText's, where the installation allows them."""


class ReportedStage(Model):
    """A stage as the report tells of it."""

    name: str
    outputs: list[str]
    """Directories whose markers tell of it: one, or one per shard."""
    chips: int
    """Chips of all its pods."""


class Lineage(Model):
    """Where the student comes from, for its model card."""

    teacher: Source
    student: Source
    dataset: Source
    stages: list[ReportedStage]


class ExportProgram(ProgramModel):
    """Convert the last checkpoint back to Hugging Face format, load it in transformers and compare logits.

    Result outputs: ``model``, a model directory in Hugging Face format with the student's tokenizer and chat template,
    a generation config that ends where the template ends an answer, and a model card. Metrics: ``kl``,
    ``top1Agreement``.
    """

    only_told: ClassVar[set[str]] = {"lineage"}

    kind: Literal["export"] = "export"
    checkpoint: str
    """Output directory of the last training stage."""
    student: str
    """Output directory of the fetch stage of the student: config and tokenizer."""
    max_kl: float = 0.01
    min_top1_agreement: float = 0.97
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    lineage: Lineage | None = None


class EvaluateProgram(ProgramModel):
    """Score the student before, after each training stage and after all, on the teacher's answers to the holdout.

    Metrics: ``crossEntropyBefore``, ``crossEntropyAfter`` in nats per completion token, perplexities, and where teacher
    and student have the same vocabulary ``klBefore``, ``klAfter`` (teacher || student, nats per token) and
    ``top1AgreementBefore``, ``top1AgreementAfter``. Counts: rows, tokens. Outputs: ``report``, one self-contained HTML
    file, ``samples`` and ``scores``, JSON. Fails (exit 65, reason EvaluationGateFailed) when the drop is below the
    gate; the report is written all the same.
    """

    only_told: ClassVar[set[str]] = {"reported", "spec"}

    kind: Literal["evaluate"] = "evaluate"
    before: str
    """Output directory of the fetch stage of the student."""
    after: str
    """Output directory of the export stage."""
    between: dict[str, str] = Field(default_factory=dict)
    """Output directories of the exports after each training stage but the last, by training stage, in order."""
    teacher: str | None = None
    """Output directory of the fetch stage of the teacher."""
    reported: list[ReportedStage] = Field(default_factory=list)
    spec: str = ""
    """The part of the DistillationJob's spec that determines results, as JSON, for the report."""
    completions: str
    shards: int
    min_cross_entropy_drop: float | None = None
    """Relative: 0.05 asks for a cross-entropy 5 % lower than before."""


class PublishProgram(ProgramModel):
    """Copy the exported model to where users want it, once the gate has passed, with the held-out scores on its card.

    Result outputs: ``model``.
    """

    only_told: ClassVar[set[str]] = {"lineage"}

    kind: Literal["publish"] = "publish"
    model: str
    """Output directory of the export stage."""
    evaluated: str | None = None
    """Output directory of the evaluation."""
    lineage: Lineage | None = None
    to_gcs_uri: str | None = None
    to_path: str | None = None


Program = Annotated[
    FetchProgram
    | PrepareProgram
    | ConvertProgram
    | CheckTokenizersProgram
    | GenerateProgram
    | TrainProgram
    | ExportProgram
    | EvaluateProgram
    | PublishProgram,
    Field(discriminator="kind"),
]


class StageSpec(Model):
    """What one stage program is asked to do."""

    version: Literal["v1"] = "v1"
    stage: str
    """Name of the stage in its pipeline, e.g. ``train-teacher-data``."""
    fingerprint: str
    """Hash of all that determines the outputs."""
    output: str
    """Output directory; named by the fingerprint."""
    program: Program


class Progress(Model):
    """One progress line on standard output."""

    type: Literal["progress"] = "progress"
    stage: str
    done: int
    total: int
    unit: Literal["rows", "steps", "bytes"]
    rate: float | None = None
    """Units per second, lately."""
    metrics: dict[str, float] = Field(default_factory=dict)


class StageResult(Model):
    """What a stage (or one shard of it) has made; the done marker and, trimmed to fit, the termination message."""

    type: Literal["result"] = "result"
    version: Literal["v1"] = "v1"
    stage: str
    fingerprint: str
    outputs: dict[str, str] = Field(default_factory=dict)
    counts: dict[str, int] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    settings: dict[str, str | int | float | bool] = Field(default_factory=dict)
    parts: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each part, by path relative to the output directory; only in the marker."""
    versions: dict[str, str] = Field(default_factory=dict)
    reused: bool = False
    """True when the marker stood already and nothing was done."""
    seconds: float = 0.0


class StageFailure(Model):
    """Why a stage program gave up, in the termination message."""

    type: Literal["failure"] = "failure"
    stage: str
    reason: str
    """CamelCase, e.g. MissingColumn."""
    message: str
    permanent: bool
