"""How the teacher answers."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from distillation_api.cel import Rule
from distillation_api.model import Model, Rules
from distillation_api.spec.placement import Accelerator, Resources, runs_on_one_host
from distillation_api.spec.template_arguments import TemplateArguments
from distillation_api.spec.types import ChatTemplate


class Sampling(Model):
    """How the teacher samples."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus: the smallest set of tokens with this probability."""
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Only this many of the most probable tokens; 0 is no limit."""
    stop: (
        Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=64)]], Field(max_length=8)] | None
    ) = None
    """Texts that end a completion, besides the end of the turn; they are left out of it."""
    samples_per_prompt: Annotated[int, Field(ge=1, le=16)] = 1
    """Completions for each prompt; more than one asks for a temperature above 0."""
    max_tokens: Annotated[int, Field(ge=1, le=131_072)] = 512
    """Longest completion, in tokens."""
    seed: Annotated[int, Field(ge=0, le=2_147_483_647)] = 0
    """Base seed; each row has its own, derived from it."""
    keep_truncated: bool = False
    """Keep completions that ended at maxTokens instead of by themselves."""

    rules: ClassVar[list[Rule]] = [
        Rule(
            "self.samplesPerPrompt == 1 || self.temperature > 0.0",
            "samplesPerPrompt must be 1 with temperature 0: greedy completions of one prompt are all the same",
            field="samplesPerPrompt",
        )
    ]


_ONE_HOST_TEXT = (
    "one host (1x1, 2x2, 2x4 with 8 chips per host, 1x1x1 or 2x2x1), since vLLM on several TPU hosts is not supported: "
    "use shards for more replicas"
)


_ONE_HOST = Rules(
    Rule(
        "self.slices == 1",
        "slices must be 1 for generation: use shards for more replicas",
        field="slices",
    ),
    Rule(
        runs_on_one_host("self"),
        f"accelerator of generation must be {_ONE_HOST_TEXT}",
        field="topology",
        message_expression=f"'accelerator of generation must be {_ONE_HOST_TEXT}; this is ' + self.topology + "
        "(has(self.chipsPerHost) && self.chipsPerHost == 4 ? ' with 4 chips per host' : '')",
    ),
)


class Generation(Model):
    """How the teacher answers the prompts: vLLM, one replica per shard."""

    shards: Annotated[int, Field(ge=1, le=256)] = 1
    """Data-parallel replicas of the teacher; each answers its part of the rows on one host."""
    max_model_len: Annotated[int, Field(ge=16, le=1_048_576)] = 4096
    """Longest prompt and completion together, in tokens."""
    chunk_rows: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Rows that are written at once: at most this many are lost when a pod is."""
    sampling: Sampling = Sampling()
    """How the teacher samples."""
    system_prompt: Annotated[str, StringConstraints(min_length=1, max_length=8192)] | None = None
    """Said to the teacher before each conversation that has no system message of its own; the student is trained
    without it."""
    chat_template: ChatTemplate | None = None
    """Jinja chat template for a teacher whose tokenizer has none."""
    chat_template_arguments: TemplateArguments | None = None
    """Variables for the teacher's chat template: {enable_thinking: "false"}. Texts; true, false and whole numbers are
    taken as such."""
    reasoning: Literal["StripClosed", "Keep", "RequireClosed"] = "StripClosed"
    """What becomes of the teacher's reasoning. StripClosed: taken out; Keep: left, as <think>...</think> whatever the
    teacher's own marks; RequireClosed: left, and a completion without it is rejected. Reasoning that never closes is
    rejected, but for Keep."""
    max_lost_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Greatest share of a shard's rows that may be rejected; above it the stage fails and says why."""
    accelerator: Annotated[Accelerator, _ONE_HOST] | None = None
    """A slice of one host per shard; CPU when absent."""
    resources: Resources | None = None
    """CPU and memory of each shard's pod."""

    rules: ClassVar[list[Rule]] = [
        Rule(
            "self.maxModelLen > self.sampling.maxTokens",
            "maxModelLen must be greater than sampling.maxTokens: no room would be left for the prompt",
            field="maxModelLen",
        ),
    ]
