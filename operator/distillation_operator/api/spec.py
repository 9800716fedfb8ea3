"""The spec of a DistillationJob: what a user asks for.

Every field's docstring is what ``kubectl explain`` prints. Rules that JSON schema can't say are CEL rules beside the
model (``Rule``); the API server enforces both at apply time, and ``validate`` on the command line enforces the same.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, StringConstraints

from distillation_operator.api.accelerators import ACCELERATORS
from distillation_operator.api.base import ListMap, Model
from distillation_operator.api.maxtext import MaxTextModel
from distillation_operator.api.rules import Rule, cel_map, exactly_one_of, immutable

NAME_LIMIT = 40
"""Characters of a DistillationJob's name: what pod names leave (63) after the longest stage and slice suffixes."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]
_PATH = r"^[A-Za-z0-9_][A-Za-z0-9_.=-]*(/[A-Za-z0-9_][A-Za-z0-9_.=-]*)*$"
StoragePath = Annotated[str, StringConstraints(pattern=_PATH, max_length=512)]
Prefix = Annotated[str, StringConstraints(pattern=_PATH, max_length=128)]
"""Short enough for every path below it to fit into the status."""
GcsUri = Annotated[str, StringConstraints(pattern=r"^gs://[a-z0-9][-_.a-z0-9]{1,220}(/[^\s]*)?$", max_length=1024)]
HubRepo = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?$", max_length=128)
]
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$", max_length=20)]


class HuggingFaceModel(Model):
    """A model repository on the Hugging Face Hub."""

    repo: HubRepo
    """Repository id, e.g. meta-llama/Llama-2-7b-chat-hf."""
    revision: Annotated[str, StringConstraints(min_length=1, max_length=128)] = "main"
    """Branch, tag or commit. A commit makes the run repeatable."""


class Gcs(Model):
    """Something in Google Cloud Storage."""

    uri: GcsUri
    """For example gs://bucket/folder."""


class ModelSource(Model):
    """Where a model lies, in Hugging Face format (config.json, safetensors, tokenizer). Exactly one member."""

    hugging_face: HuggingFaceModel | None = None
    """A repository on the Hugging Face Hub."""
    gcs: Gcs | None = None
    """A folder in Google Cloud Storage."""
    path: StoragePath | None = None
    """A folder inside the storage, relative to its root."""

    rules: ClassVar[list[Rule]] = [exactly_one_of("huggingFace", "gcs", "path")]


class Teacher(Model):
    """The model whose knowledge is distilled."""

    source: ModelSource
    """Where the teacher lies."""
    max_text_model: MaxTextModel | None = None
    """MaxText's own name of the teacher's architecture; needed by training stages with objective LogitMatching."""


class Student(Model):
    """The model that learns."""

    source: ModelSource
    """Where the student lies."""
    max_text_model: MaxTextModel
    """MaxText's own name of the student's architecture, e.g. llama2-7b or llama3.1-8b. Sizes come from config.json."""


class HuggingFaceDataset(Model):
    """A dataset repository on the Hugging Face Hub."""

    repo: HubRepo
    """Repository id, e.g. HuggingFaceH4/ultrachat_200k."""
    revision: Annotated[str, StringConstraints(min_length=1, max_length=128)] = "main"
    """Branch, tag or commit. A commit makes the run repeatable."""
    split: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]+$", max_length=64)] = "train"
    """Split to read, e.g. train_sft."""


class DatasetSource(Model):
    """Where the dataset lies. Exactly one member."""

    hugging_face: HuggingFaceDataset | None = None
    """A repository on the Hugging Face Hub."""
    gcs: Gcs | None = None
    """A JSONL or Parquet file, or a folder of them, in Google Cloud Storage."""
    path: StoragePath | None = None
    """A JSONL or Parquet file, or a folder of them, inside the storage, relative to its root."""

    rules: ClassVar[list[Rule]] = [exactly_one_of("huggingFace", "gcs", "path")]


class Dataset(Model):
    """The prompts that the teacher answers, with the original answers where there are some."""

    source: DatasetSource
    """Where the dataset lies."""
    messages_column: ColumnName | None = None
    """Column with the conversation: a list of {role, content}. Or promptColumn, with responseColumn."""
    prompt_column: ColumnName | None = None
    """Column with the prompt as text, instead of messagesColumn."""
    response_column: ColumnName | None = None
    """Column with the original answer as text, beside promptColumn."""
    group_column: ColumnName | None = None
    """Rows with the same value stay together, so that the holdout has groups (topics, say) that training never sees."""
    limit: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    """Rows used; all when absent."""
    holdout: Annotated[int, Field(ge=1, le=100_000)] = 64
    """Rows kept out of training, for evaluation (with groupColumn: at least so many, in whole groups)."""

    rules: ClassVar[list[Rule]] = [
        exactly_one_of("messagesColumn", "promptColumn"),
        Rule(
            "!has(self.responseColumn) || has(self.promptColumn)",
            "responseColumn goes with promptColumn; a messagesColumn has the responses in it",
            field="responseColumn",
        ),
        Rule(
            "!has(self.limit) || self.limit > self.holdout",
            "limit must be greater than holdout: nothing would be left for training",
            field="limit",
        ),
    ]


class SecretKey(Model):
    """A key of a Secret in the DistillationJob's namespace."""

    secret_name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)]
    """Name of the Secret."""
    key: Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]
    """Key inside the Secret."""


class GcsBucket(Model):
    """A bucket, mounted by the GCS FUSE CSI driver."""

    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][-_.a-z0-9]{1,220}[a-z0-9]$", max_length=222)]
    """Name of the bucket, without gs://."""


class PersistentVolumeClaim(Model):
    """A claim in the DistillationJob's namespace; pods on several nodes need ReadWriteMany."""

    claim_name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)]
    """Name of the claim."""


class Storage(Model):
    """The one place where all stages read and write. Exactly one of gcs and persistentVolumeClaim."""

    gcs: GcsBucket | None = None
    """A bucket."""
    persistent_volume_claim: PersistentVolumeClaim | None = None
    """A claim."""
    prefix: Prefix = "distillation"
    """Folder of the stages' outputs inside the storage. Jobs with the same prefix share finished work."""

    rules: ClassVar[list[Rule]] = [exactly_one_of("gcs", "persistentVolumeClaim")]


_TWO_BY_FOUR = "2x4"
_AMBIGUOUS = [
    (kind, shape.topology, shape.chips_per_host)
    for kind, shapes in ACCELERATORS.items()
    for shape in shapes
    if shape.topology == _TWO_BY_FOUR
]
# string(), filter()[0] and map()[0] give strings of a length that the API server can't bound, and then it refuses to
# concatenate them: messages are made of literals and of fields with a maxLength.
_CHIPS_PER_HOST = "(self.chipsPerHost == 1 ? '1' : self.chipsPerHost == 4 ? '4' : '8')"


class Accelerator(Model):
    """A TPU slice of GKE."""

    type: Literal[tuple(ACCELERATORS)]  # type: ignore[valid-type]
    """Value of the node label cloud.google.com/gke-tpu-accelerator."""
    topology: Annotated[str, StringConstraints(pattern=r"^[0-9]+x[0-9]+(x[0-9]+)?$", max_length=12)]
    """Value of the node label cloud.google.com/gke-tpu-topology; chips are its product."""
    chips_per_host: Literal[1, 4, 8] | None = None
    """Chips of one VM; asked for only where the topology is ambiguous (2x4 on v5e and v6e: 8 on one VM, the default, or
    4 on each of two)."""
    slices: Annotated[int, Field(ge=1, le=64)] = 1
    """Slices of a training stage (multi-slice over the data-centre network)."""
    provisioning: Literal["OnDemand", "Spot", "Reservation"] = "OnDemand"
    """Spot nodes are cheaper and can be taken away; a disruption is retried without counting as a failure. Reservation
    takes the nodes of reservationName. DWS flex-start is asked for by queue: its ClusterQueue provisions the nodes."""
    reservation_name: Name | None = None
    """Value of the node label cloud.google.com/reservation-name; with provisioning Reservation, and only with it."""

    rules: ClassVar[list[Rule]] = [
        Rule(
            "self.provisioning != 'Reservation' || has(self.reservationName)",
            "reservationName must be set with provisioning Reservation",
            field="reservationName",
        ),
        Rule(
            "!has(self.reservationName) || self.provisioning == 'Reservation'",
            "reservationName goes with provisioning Reservation",
            field="reservationName",
            message_expression="'reservationName goes with provisioning Reservation, not ' + self.provisioning",
        ),
        *(
            Rule(
                f"self.type != '{kind}' || self.topology in {[shape.topology for shape in shapes]}",
                f"topology of {kind} must be one of {', '.join(shape.topology for shape in shapes)}",
                field="topology",
                message_expression=f"'topology of {kind} must be one of "
                f"{', '.join(shape.topology for shape in shapes)}, not ' + self.topology",
            )
            for kind, shapes in ACCELERATORS.items()
        ),
        *(
            Rule(
                f"!has(self.chipsPerHost) || self.type != '{kind}' || self.topology != '{topology}' || "
                f"self.chipsPerHost in {list(sizes)}",
                f"chipsPerHost of {kind} {topology} must be {' or '.join(map(str, sizes))}",
                field="chipsPerHost",
                message_expression=f"'chipsPerHost of {kind} {topology} must be {' or '.join(map(str, sizes))}, not ' "
                f"+ {_CHIPS_PER_HOST}",
            )
            for kind, topology, sizes in _AMBIGUOUS
        ),
        Rule(
            f"!has(self.chipsPerHost) || self.topology == '{_TWO_BY_FOUR}' || self.chipsPerHost == "
            "(self.topology in ['1x1', '1x1x1'] ? 1 : 4)",
            "chipsPerHost must be 1 for topologies 1x1 and 1x1x1, and 4 for every other one but 2x4",
            field="chipsPerHost",
            message_expression="'chipsPerHost of topology ' + self.topology + ' must be ' + "
            f"(self.topology in ['1x1', '1x1x1'] ? '1' : '4') + ', not ' + {_CHIPS_PER_HOST}",
        ),
    ]


class Resources(Model):
    """CPU and memory of a pod; requests equal limits for memory."""

    cpu: Quantity = "2"
    """CPU request, e.g. 2 or 500m."""
    memory: Quantity = "8Gi"
    """Memory request and limit, e.g. 8Gi."""


class Sampling(Model):
    """How the teacher samples."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus: the smallest set of tokens with this probability."""
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Only the so many most probable tokens; 0 is no limit."""
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


_ONE_HOST = (
    "(self.accelerator.topology in ['1x1', '2x2', '1x1x1', '2x2x1'] || (self.accelerator.topology == '2x4' && "
    "(!has(self.accelerator.chipsPerHost) || self.accelerator.chipsPerHost != 4)))"
)
_ONE_HOST_TEXT = (
    "one host (1x1, 2x2, 2x4 with 8 chips per host, 1x1x1 or 2x2x1), since vLLM on several TPU hosts is not supported: "
    "use shards for more replicas"
)


class Generation(Model):
    """How the teacher answers the prompts: vLLM, one replica per shard."""

    shards: Annotated[int, Field(ge=1, le=256)] = 1
    """Data-parallel replicas of the teacher; each answers its part of the rows on one host."""
    max_model_len: Annotated[int, Field(ge=16, le=1_048_576)] = 4096
    """Longest prompt and completion together, in tokens."""
    chunk_rows: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Rows that are written at once: at most so many are lost when a pod is."""
    sampling: Sampling = Sampling()
    """How the teacher samples."""
    system_prompt: Annotated[str, StringConstraints(min_length=1, max_length=8192)] | None = None
    """Said to the teacher before each conversation that has no system message of its own; the student is trained
    without it."""
    chat_template: Annotated[str, StringConstraints(min_length=1, max_length=16_384)] | None = None
    """Jinja chat template for a teacher whose tokenizer has none."""
    reasoning: Literal["StripClosed", "Keep", "RequireClosed"] = "StripClosed"
    """What becomes of <think>...</think> in completions. StripClosed: taken out; Keep: left as it is; RequireClosed:
    left, and a completion without it is rejected. A block that never closes is rejected, but for Keep."""
    max_lost_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Greatest share of a shard's rows that may be rejected; above it the stage fails and says why."""
    accelerator: Accelerator | None = None
    """A slice of one host per shard; CPU when absent."""
    resources: Resources | None = None
    """CPU and memory of each shard's pod."""

    rules: ClassVar[list[Rule]] = [
        Rule(
            "self.maxModelLen > self.sampling.maxTokens",
            "maxModelLen must be greater than sampling.maxTokens: no room would be left for the prompt",
            field="maxModelLen",
        ),
        Rule(
            "!has(self.accelerator) || self.accelerator.slices == 1",
            "slices must be 1 for generation: use shards for more replicas",
            field="accelerator.slices",
        ),
        Rule(
            f"!has(self.accelerator) || {_ONE_HOST}",
            f"accelerator of generation must be {_ONE_HOST_TEXT}",
            field="accelerator.topology",
            message_expression=f"'accelerator of generation must be {_ONE_HOST_TEXT}; this is ' + "
            "self.accelerator.topology + (has(self.accelerator.chipsPerHost) && self.accelerator.chipsPerHost == 4 ? "
            "' with 4 chips per host' : '')",
        ),
    ]


AxisSize = Annotated[int, Field(ge=-1, le=65_536)]
AXES = ("data", "fsdp", "fsdp_transpose", "sequence", "context", "tensor", "expert")


class Parallelism(Model):
    """Mesh axes of one slice, by MaxText's names; their product is the slice's chips. One may be -1: the rest."""

    model_config = ConfigDict(alias_generator=None)

    data: AxisSize | None = None
    """Replicas of the whole model."""
    fsdp: AxisSize | None = None
    """Shards of weights and optimizer state."""
    fsdp_transpose: AxisSize | None = None
    """Second FSDP axis."""
    sequence: AxisSize | None = None
    """Shards of the sequence."""
    context: AxisSize | None = None
    """Shards of the context (attention over long sequences)."""
    tensor: AxisSize | None = None
    """Shards of each matrix."""
    expert: AxisSize | None = None
    """Shards of the experts of a mixture of experts."""

    rules: ClassVar[list[Rule]] = [
        *(
            Rule(
                f"!has(self.{axis}) || self.{axis} != 0",
                f"{axis} must be at least 1, or -1 for the rest of the chips; not 0",
                field=axis,
            )
            for axis in AXES
        ),
        Rule(
            " + ".join(f"(has(self.{axis}) && self.{axis} == -1 ? 1 : 0)" for axis in AXES) + " <= 1",
            "at most one axis may be -1, for the rest of the chips",
        ),
    ]

    def sizes(self) -> dict[str, int]:
        """The axes that are set."""
        return {axis: size for axis in AXES if (size := getattr(self, axis)) is not None}


MANAGED_SETTINGS = (
    "run_name", "base_output_directory", "model_name", "load_parameters_path", "load_full_state_path", "tokenizer_path",
    "tokenizer_type", "dataset_type", "hf_path", "hf_train_files", "train_split", "train_data_columns", "steps",
    "per_device_batch_size", "max_target_length", "learning_rate", "warmup_steps_fraction", "checkpoint_period",
    "packing", "dtype", "weight_dtype", "hardware", "num_epoch", "scan_layers", "override_model_config", "use_sft",
    "enable_checkpointing", "skip_jax_distributed_system", "jax_cache_dir", "metrics_file", "hf_access_token",
)  # fmt: skip
"""MaxText settings that follow from our own fields; ``maxText`` refuses them."""
_SETTING = "^[a-z][a-z0-9_]*$"


Schedule = Literal["Constant", "Linear", "Cosine"]


class LogitMatching(Model):
    """Online logit matching: teacher and student run on the same batch, and the student's logits are pulled to the
    teacher's. Loss = alpha * temperature^2 * KL(teacher || student) + (1 - alpha) * cross-entropy + beta * features.
    """

    alpha: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Weight of the teacher's logits against the data's own tokens."""
    alpha_end: Annotated[float, Field(ge=0, le=1)] | None = None
    """alpha at the last step."""
    alpha_schedule: Schedule = "Constant"
    """How alpha goes from its first to its last value."""
    temperature: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Softens both models' distributions."""
    temperature_end: Annotated[float, Field(gt=0, le=100)] | None = None
    """temperature at the last step."""
    temperature_schedule: Schedule = "Constant"
    """How the temperature goes from its first to its last value."""
    beta: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """Weight of the feature loss, between hidden states of the same layers; 0 is none."""
    beta_end: Annotated[float, Field(ge=0, le=1000)] | None = None
    """beta at the last step."""
    beta_schedule: Schedule = "Constant"
    """How beta goes from its first to its last value."""
    feature_loss: Literal["Cosine", "L2"] = "Cosine"
    """Distance of hidden states."""
    layer_indices: Annotated[list[Annotated[int, Field(ge=0, le=1000)]], Field(min_length=1, max_length=128)] | None = (
        None
    )
    """Layers of the feature loss, the same in both models; all when absent."""

    rules: ClassVar[list[Rule]] = [
        *(
            Rule(
                f"(self.{name}Schedule == 'Constant') == !has(self.{name}End)",
                f"{name}End goes with {name}Schedule of Linear or Cosine, and these need it",
                field=f"{name}End",
            )
            for name in ("alpha", "temperature", "beta")
        ),
        Rule(
            "!has(self.betaEnd) || self.beta > 0.0",
            "beta must be greater than 0 to have a schedule: MaxText can't start the feature loss later",
            field="beta",
        ),
    ]


class TrainingStage(Model):
    """One training stage, from the newest checkpoint of the stage before."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=16)]
    """Name of the stage; the stage is called train-NAME in the status. At most 16 characters."""
    data: Literal["TeacherCompletions", "OriginalDataset"] = "TeacherCompletions"
    """Train on the teacher's answers or on the dataset's own."""
    objective: Literal["SupervisedFineTuning", "LogitMatching"] = "SupervisedFineTuning"
    """What the student is trained for: the data's tokens (SFT), or the teacher's logits on them."""
    logit_matching: LogitMatching | None = None
    """Settings of the objective LogitMatching."""
    steps: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Optimizer steps; without it they follow from the rows and epochs."""
    epochs: Annotated[int, Field(ge=1, le=1000)] | None = None
    """How often each row may be read. With steps alone it is 1: more steps than the data gives are refused."""
    per_device_batch_size: Annotated[int, Field(ge=1, le=4096)] = 2
    """Rows per chip (or per CPU process) and step."""
    max_target_length: Annotated[int, Field(ge=16, le=1_048_576)] = 2048
    """Longest row in tokens; what is longer is cut."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.00002
    """Peak learning rate."""
    warmup_steps_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the steps over which the learning rate rises."""
    checkpoint_period: Annotated[int, Field(ge=1, le=10_000_000)] = 50
    """Steps between two checkpoints: at most so many are lost when a pod is."""
    packing: bool = True
    """Pack several short conversations into one row of maxTargetLength."""
    weight_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights that the optimizer updates."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Type of the activations."""
    parallelism: Parallelism | None = None
    """Mesh axes of one slice; their product must be the slice's chips (on CPU: hosts). Default: fsdp over all."""
    hosts: Annotated[int, Field(ge=1, le=64)] | None = None
    """Pods of a stage without accelerator; on an accelerator the topology decides."""
    max_text: (
        Annotated[
            dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=256)]],
            Field(max_length=64),
        ]
        | None
    ) = None
    """MaxText settings that have no field here, as strings: {remat_policy: full}. What the operator manages is
    refused."""

    rules: ClassVar[list[Rule]] = [
        Rule("has(self.steps) || has(self.epochs)", "steps or epochs must be set", field="steps"),
        Rule(
            "!has(self.logitMatching) || self.objective == 'LogitMatching'",
            "logitMatching goes with objective LogitMatching",
            field="logitMatching",
        ),
        Rule(
            f"!has(self.maxText) || self.maxText.all(key, !(key in {list(MANAGED_SETTINGS)}))",
            "maxText must not set what the operator manages: " + ", ".join(MANAGED_SETTINGS),
            field="maxText",
            message_expression=f"'maxText must not set ' + self.maxText.filter(key, key in {list(MANAGED_SETTINGS)})[0]"
            f" + ', which follows from other fields; nor any of {', '.join(MANAGED_SETTINGS)}'",
        ),
        Rule(
            f"!has(self.maxText) || self.maxText.all(key, key.matches('{_SETTING}'))",
            "a key of maxText must be a MaxText setting: lower case letters, digits and underscores",
            field="maxText",
            message_expression=f"'a key of maxText must be a MaxText setting (lower case letters, digits and "
            f"underscores), not ' + self.maxText.filter(key, !key.matches('{_SETTING}'))[0]",
        ),
    ]


_CHIPS = {shape.topology: shape.chips for shapes in ACCELERATORS.values() for shape in shapes}
_MAX_STAGES = 8


def _multiplies_to(devices: str, stage: str) -> str:
    """CEL: the product of a stage's axes is ``devices``; with one axis of -1 the others must divide it.

    A product of 0 or with two axes of -1 is refused elsewhere, by a clearer message.
    """
    product = " * ".join(f"(has({stage}.parallelism.{axis}) ? {stage}.parallelism.{axis} : 1)" for axis in AXES)
    return (
        f"(!has({stage}.parallelism) || (({product}) > 0 ? ({product}) == {devices} : "
        f"({product}) == 0 || {devices} % (0 - ({product})) == 0))"
    )


def _rules_of_stage(index: int) -> list[Rule]:
    """Rules about one training stage and the accelerator: one for each, since no message can name a stage that a
    macro has found."""
    stage = f"self.stages[{index}]"
    absent = f"self.stages.size() <= {index}"
    chips = f"{cel_map(_CHIPS)}[self.accelerator.topology]"
    hosts = f"(has({stage}.hosts) ? {stage}.hosts : 1)"
    return [
        Rule(
            f"{absent} || !has(self.accelerator) || !has({stage}.hosts)",
            f"stages[{index}].hosts must not be set: on an accelerator the topology decides",
            field="stages",
        ),
        Rule(
            f"{absent} || !has(self.accelerator) || !(self.accelerator.topology in {cel_map(_CHIPS)}) || "
            f"{_multiplies_to(chips, stage)}",
            f"stages[{index}].parallelism must multiply to the chips of one slice, the product of its topology",
            field="stages",
            message_expression=f"'stages[{index}].parallelism must multiply to the chips of one slice, the product of "
            "its topology ' + self.accelerator.topology",
        ),
        Rule(
            f"{absent} || has(self.accelerator) || {_multiplies_to(hosts, stage)}",
            f"stages[{index}].parallelism must multiply to stages[{index}].hosts (1 when absent), as there is no "
            "accelerator",
            field="stages",
        ),
    ]


class Training(Model):
    """How the student is trained: MaxText, one JobSet per stage."""

    accelerator: Accelerator | None = None
    """The slices of each stage; CPU when absent."""
    resources: Resources | None = None
    """CPU and memory of each pod."""
    stages: Annotated[list[TrainingStage], Field(min_length=1, max_length=_MAX_STAGES), ListMap("name")]
    """Run in this order, each from the newest checkpoint of the one before."""

    rules: ClassVar[list[Rule]] = [rule for index in range(_MAX_STAGES) for rule in _rules_of_stage(index)]


class Requirement(Model):
    """A gate: what the distilled student must reach."""

    min_cross_entropy_drop: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Relative drop of the held-out cross-entropy: 0.05 asks for 5 % less than before."""


class Evaluation(Model):
    """How the student is scored before and after, on the teacher's answers to the held-out rows."""

    require: Requirement | None = None
    """The gate; below it the job is Failed and nothing is published."""
    resources: Resources | None = None
    """CPU and memory of the evaluation's pod."""


class ExportTarget(Model):
    """Where the distilled student is published. Exactly one member."""

    gcs: Gcs | None = None
    """A folder in Google Cloud Storage."""
    path: StoragePath | None = None
    """A folder inside the storage, relative to its root."""

    rules: ClassVar[list[Rule]] = [exactly_one_of("gcs", "path")]


class Export(Model):
    """How the student is exported, in Hugging Face format."""

    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Type of the exported weights."""
    to: ExportTarget | None = None
    """Published there after the gate; the export stays in the storage in any case."""


class Conversion(Model):
    """How models are converted between Hugging Face and MaxText, and what is asked of the conversion."""

    max_kl: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Greatest mean KL divergence in nats per token between transformers' and MaxText's logits on the same tokens."""
    resources: Resources | None = None
    """CPU and memory of the pods that fetch, prepare, convert and export."""


class Queue(Model):
    """Kueue."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=63)]
    """Name of the LocalQueue."""


class Retries(Model):
    """How often a stage may be tried again."""

    failures: Annotated[int, Field(ge=0, le=100)] = 2
    """Crashes of the program, of each shard of a generation by itself. What can't be mended by trying again (bad
    input) is never retried."""
    disruptions: Annotated[int, Field(ge=0, le=10_000)] = 100
    """Preemptions, evictions, lost nodes: nobody's fault. Those of a generation's shards are added up."""


class Budget(Model):
    """What the job may cost."""

    max_chip_hours: Annotated[float, Field(gt=0, le=10_000_000)]
    """TPU chip-hours of all stages. When they are used the job is suspended, with its work kept; raise it to go on."""


class PodOptions(Model):
    """What users may set on all pods of the job."""

    service_account_name: Name | None = None
    """ServiceAccount, bound by Workload Identity to what the storage and sources need."""
    priority_class_name: Name | None = None
    """PriorityClass."""
    image_pull_secrets: (
        Annotated[
            list[Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)]],
            Field(max_length=8),
        ]
        | None
    ) = None
    """Names of Secrets with registry credentials."""


_DECIDES = "it determines the results; create a new DistillationJob (finished work with the same inputs is reused)"


DETERMINING = (
    "teacher", "student", "dataset", "storage", "generation", "training", "conversion", "evaluation", "export",
)  # fmt: skip
"""Members of the spec that determine results, and so can't be changed."""


class DistillationJobSpec(Model):
    """What is distilled into what, on which data, where and how."""

    teacher: Teacher
    """The model whose knowledge is distilled."""
    student: Student
    """The model that learns."""
    dataset: Dataset
    """The prompts that the teacher answers."""
    hugging_face_token: SecretKey | None = None
    """Token for gated repositories; given to the fetching pods only, as the environment variable HF_TOKEN."""
    storage: Storage
    """The one place where all stages read and write."""
    generation: Generation = Generation()
    """How the teacher answers."""
    training: Training
    """How the student is trained."""
    conversion: Conversion = Conversion()
    """How models are converted and checked."""
    evaluation: Evaluation = Evaluation()
    """How the student is scored."""
    export: Export = Export()
    """How the student is exported."""
    queue: Queue | None = None
    """Kueue's queue for the pods that need an accelerator; absent: no queue."""
    retries: Retries = Retries()
    """How often a stage may be tried again."""
    budget: Budget | None = None
    """What the job may cost; absent: no limit."""
    suspend: bool = False
    """True stops all pods and keeps all progress; false goes on."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31_536_000)] = 86_400
    """Seconds after which the finished Jobs and JobSets are removed; the DistillationJob itself stays."""
    pod: PodOptions = PodOptions()
    """What users may set on all pods."""

    rules: ClassVar[list[Rule]] = [
        Rule(
            "has(self.teacher.maxTextModel) || self.training.stages.all(s, s.objective != 'LogitMatching')",
            "teacher.maxTextModel must be set for a training stage with objective LogitMatching: MaxText runs the "
            "teacher too",
            field="teacher.maxTextModel",
        ),
        *(immutable(member, _DECIDES) for member in DETERMINING),
        Rule(
            "!has(self.dataset.promptColumn) || has(self.dataset.responseColumn) || "
            "self.training.stages.all(s, s.data != 'OriginalDataset')",
            "a training stage on the OriginalDataset needs dataset.responseColumn beside dataset.promptColumn",
            field="training.stages",
        ),
    ]
