"""What the stage generate is asked."""

from typing import ClassVar, Literal

from pydantic import Field

from distillation_api.contract.common import ProgramModel, StageOutput
from distillation_api.model import Model


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


class FirstRows(Model):
    """How many of the first rows of each split are answered."""

    train: int
    holdout: int


class GenerateProgram(ProgramModel):
    """Let the teacher answer the prompts of one shard (``JOB_COMPLETION_INDEX`` of ``shards``).

    Rows of train and holdout are numbered together and split into contiguous shards. Writes, under the output
    directory, ``shard-I/chunk-NNNNN.parquet`` with columns ``row``, ``sample`` (0 up to samplesPerPrompt - 1; of the
    holdout always 0), ``split``, ``prompt``, ``reference``, ``completion``, ``finishReason``, ``promptTokens``,
    ``completionTokens``, ``sampledTokens`` (the completion as the teacher has said it; null where it isn't made of such
    tokens alone), and ``toolUse`` where the dataset has it. The file's metadata has the hash of their ``vocabulary``.
    ``shard-I/ledger.jsonl`` has one line per chunk, ``shard-I/_DONE.json`` is the shard's marker. There is none for the
    whole: a reader asks for those of all shards.
    Counts: read (answers asked for), kept, train, holdout, duplicates, ``rejected.<reason>``, promptTokens,
    completionTokens; read = kept + duplicates + all rejected. withoutReasoning are those of the kept that lack the
    reasoning that the teacher's chat template knows of.
    """

    outputs_version: ClassVar[int] = 2

    kind: Literal["generate"] = "generate"
    model: StageOutput
    dataset: StageOutput
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
    chat_template_arguments: dict[str, str] = Field(default_factory=dict)
    """Variables for the template, as users write them."""
    reasoning: Literal["StripClosed", "Keep", "RequireClosed"] = "StripClosed"
    max_lost_share: float = 0.5
    first_rows: FirstRows | None = None
    """Only these rows, in a preview, which measures (see ``Measurements``)."""
