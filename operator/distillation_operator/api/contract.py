"""What the operator and the stage programs say to each other (design.md, section 4).

In: the environment variable ``STAGE_SPEC``, a ``StageSpec`` as JSON; the storage mounted at ``STORAGE_MOUNT``.
Out: progress lines on standard output, a ``StageResult`` in the termination log and, the same, as the done marker
``MARKER_NAME`` in the stage's output directory. All paths are relative to the storage mount, with forward slashes.
"""

from typing import Annotated, Literal

from pydantic import Field

from distillation_operator.api.base import Model

STAGE_SPEC_ENV = "STAGE_SPEC"
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


class FetchProgram(Model):
    """Bring a model directory in Hugging Face format into the storage, or verify one that is there (``path``).

    Result outputs: ``model``, the model directory.
    """

    kind: Literal["fetch"] = "fetch"
    source: Source
    role: Literal["teacher", "student"]


class PrepareProgram(Model):
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


class ConvertProgram(Model):
    """Convert a Hugging Face model directory to a MaxText Orbax checkpoint and verify its logits.

    Result outputs: ``checkpoint``, the directory that ``load_parameters_path`` takes. Result ``settings``: the MaxText
    settings (model_name, sizes, RoPE, ...) with which the checkpoint reads right; every later MaxText command takes
    them. Metrics: ``kl`` and ``top1Agreement`` against transformers on the same tokens.
    """

    kind: Literal["convert"] = "convert"
    model: str
    """Output directory of the fetch stage."""
    max_text_model: str
    max_kl: float = 0.01
    min_top1_agreement: float = 0.97


class Sampling(Model):
    """How the teacher samples."""

    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    keep_truncated: bool = False
    """Keep answers that ended at ``max_tokens``; otherwise they are rejected, since a student learns never to stop."""


class GenerateProgram(Model):
    """Let the teacher answer the prompts of one shard (``JOB_COMPLETION_INDEX`` of ``shards``).

    Rows of train and holdout are numbered together and split into contiguous shards. Writes, under the output
    directory, ``shard-I/chunk-NNNNN.parquet`` with columns ``row``, ``split``, ``prompt``, ``reference``,
    ``completion``, ``finishReason``, ``promptTokens``, ``completionTokens``, and ``shard-I/_DONE.json``, the shard's
    marker. There is no marker for the whole: a reader asks for those of all shards.
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


class TrainData(Model):
    """Which rows a training stage reads."""

    kind: Literal["TeacherCompletions", "OriginalDataset"]
    completions: str | None = None
    """Output directory of the generate stage (TeacherCompletions)."""
    shards: int | None = None
    """Number of shards of the generate stage (TeacherCompletions)."""
    dataset: str
    """Output directory of the prepare stage."""


class TrainProgram(Model):
    """Fine-tune the student with MaxText's SFT trainer, from a converted or an earlier trained checkpoint.

    Runs on every host of every slice; host 0 verifies and writes the result. Result outputs: ``checkpoint``
    (``.../checkpoints/N/model_params``). Result ``settings`` are passed on. Counts: steps, rows. Metrics: loss (the
    last), firstLoss.
    """

    kind: Literal["train"] = "train"
    start: str
    """Output directory of the convert stage or of the training stage before."""
    tokenizer: str
    """Output directory of the fetch stage of the student."""
    data: TrainData
    steps: int
    per_device_batch_size: float
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
    max_text: dict[str, str | int | float | bool] = Field(default_factory=dict)


class ExportProgram(Model):
    """Convert the last checkpoint back to Hugging Face format, load it in transformers and compare logits.

    Result outputs: ``model``, a model directory in Hugging Face format. Metrics: ``kl``, ``top1Agreement``.
    """

    kind: Literal["export"] = "export"
    checkpoint: str
    """Output directory of the last training stage."""
    student: str
    """Output directory of the fetch stage of the student: config and tokenizer."""
    max_kl: float = 0.01
    min_top1_agreement: float = 0.97
    dtype: Literal["bfloat16", "float32"] = "bfloat16"


class EvaluateProgram(Model):
    """Score the student before and after on the teacher's answers to the holdout.

    Metrics: ``crossEntropyBefore``, ``crossEntropyAfter`` in nats per completion token, counts: rows, tokens. Fails
    (exit 65, reason EvaluationGateFailed) when the drop is below the gate.
    """

    kind: Literal["evaluate"] = "evaluate"
    before: str
    """Output directory of the fetch stage of the student."""
    after: str
    """Output directory of the export stage."""
    completions: str
    shards: int
    min_cross_entropy_drop: float | None = None
    """Relative: 0.05 asks for a cross-entropy 5 % lower than before."""


class PublishProgram(Model):
    """Copy the exported model to where users want it, once the gate has passed. Result outputs: ``model``."""

    kind: Literal["publish"] = "publish"
    model: str
    """Output directory of the export stage."""
    to_gcs_uri: str | None = None
    to_path: str | None = None


Program = Annotated[
    FetchProgram
    | PrepareProgram
    | ConvertProgram
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
