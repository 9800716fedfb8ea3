"""How the student is trained."""

from typing import Annotated, ClassVar, Literal, assert_never

from pydantic import ConfigDict, Field, StringConstraints

from distillation_api.cel import Rule
from distillation_api.maxtext import rules as maxtext_rules
from distillation_api.model import ListMap, Model, Rules
from distillation_api.spec.objectives import LogitMatching, Objective, SupervisedFineTuning
from distillation_api.spec.placement import Accelerator, Resources, devices_of

AxisSize = Annotated[int, Field(ge=-1, le=65_536)]


AXES = ("data", "fsdp", "fsdp_transpose", "sequence", "context", "tensor", "expert")


def _not_zero(axis: str) -> Rules:
    return Rules(Rule("self != 0", f"{axis} must be at least 1, or -1 for the rest of the devices; not 0"))


class Parallelism(Model):
    """Mesh axes of one slice, by MaxText's names; their product is the slice's devices. One may be -1: the rest."""

    model_config = ConfigDict(alias_generator=None)

    data: Annotated[AxisSize, _not_zero("data")] | None = None
    """Replicas of the whole model."""
    fsdp: Annotated[AxisSize, _not_zero("fsdp")] | None = None
    """Shards of weights and optimizer state."""
    fsdp_transpose: Annotated[AxisSize, _not_zero("fsdp_transpose")] | None = None
    """Second FSDP axis."""
    sequence: Annotated[AxisSize, _not_zero("sequence")] | None = None
    """Shards of the sequence."""
    context: Annotated[AxisSize, _not_zero("context")] | None = None
    """Shards of the context (attention over long sequences)."""
    tensor: Annotated[AxisSize, _not_zero("tensor")] | None = None
    """Shards of each matrix."""
    expert: Annotated[AxisSize, _not_zero("expert")] | None = None
    """Shards of the experts of a mixture of experts."""

    rules: ClassVar[list[Rule]] = [
        Rule(
            " + ".join(f"(has(self.{axis}) && self.{axis} == -1 ? 1 : 0)" for axis in AXES) + " <= 1",
            "at most one axis may be -1, for the rest of the devices",
        ),
    ]

    def sizes(self) -> dict[str, int]:
        """The axes that are set."""
        return {axis: size for axis in AXES if (size := getattr(self, axis)) is not None}


_SettingName = Annotated[str, StringConstraints(max_length=64)]
MaxTextSettings = Annotated[
    dict[_SettingName, Annotated[str, StringConstraints(max_length=64)]],
    Field(max_length=64),
    Rules(*maxtext_rules.listed_rules()),
]
UnlistedSettings = Annotated[
    # No braces, dollars, slashes or colons: MaxText's reader of command lines would look into them.
    dict[_SettingName, Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.+-]+$", max_length=64)]],
    Field(max_length=64),
    Rules(*maxtext_rules.unlisted_rules()),
]


class TrainingStage(Model):
    """One training stage, from the newest checkpoint of the stage before."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=16)]
    """Name of the stage; the stage is called train-NAME in the status. At most 16 characters."""
    data: Literal["TeacherCompletions", "OriginalDataset"] = "TeacherCompletions"
    """Train on the teacher's answers or on the dataset's own."""
    train_on: Literal["LastAssistantTurn", "EveryAssistantTurn"] = "LastAssistantTurn"
    """Which answers of a conversation are learnt; every one only of the OriginalDataset."""
    objective: Literal["SupervisedFineTuning", "LogitMatching"] = "SupervisedFineTuning"
    """What the student is trained for: the data's tokens (SFT), or the teacher's logits on them."""
    logit_matching: LogitMatching | None = None
    """Settings of the objective LogitMatching."""
    steps: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Optimizer steps; without it they follow from the rows and epochs."""
    epochs: Annotated[int, Field(ge=1, le=1000)] | None = None
    """How often each row may be read. With steps alone it is 1: more steps than the data gives are refused."""
    per_device_batch_size: Annotated[int, Field(ge=1, le=4096)] = 2
    """Rows per device and step: per chip, of which tpu7x has two devices each, or per CPU process."""
    gradient_accumulation_steps: Annotated[int, Field(ge=1, le=65_536)] = 1
    """Batches whose gradients are added up to one optimizer step, which then reads this many times the rows."""
    max_target_length: Annotated[int, Field(ge=16, le=1_048_576)] = 2048
    """Longest row in tokens; what is longer is cut."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.00002
    """Peak learning rate."""
    warmup_steps_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the steps over which the learning rate rises."""
    checkpoint_period: Annotated[int, Field(ge=1, le=10_000_000)] = 50
    """Steps between two checkpoints: at most this many are lost when a pod is."""
    packing: bool = True
    """Pack several short conversations into one row of maxTargetLength."""
    weight_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights that the optimizer updates."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Type of the activations."""
    parallelism: Parallelism | None = None
    """Mesh axes of one slice; their product must be the slice's devices, its chips and on tpu7x twice as many (on CPU:
    hosts). Default: fsdp over all."""
    hosts: Annotated[int, Field(ge=1, le=64)] | None = None
    """Pods of a stage without accelerator; on an accelerator the topology decides."""
    max_text: MaxTextSettings | None = None
    """MaxText's own tuning settings, as strings: {remat_policy: minimal, adam_b2: "0.99"}. Which there are, with their
    values, is in docs/maxtext-settings.md; what follows from another field is refused."""
    max_text_unlisted: UnlistedSettings | None = None
    """Numbers, booleans and enumerations of MaxText's that maxText does not list, as strings. Only where the
    installation allows it (chart value maxText.allowUnlisted); MaxText alone says whether they fit together."""

    rules: ClassVar[list[Rule]] = [
        Rule("has(self.steps) || has(self.epochs)", "steps or epochs must be set", field="steps"),
        Rule(
            "!has(self.logitMatching) || self.objective == 'LogitMatching'",
            "logitMatching goes with objective LogitMatching",
            field="logitMatching",
        ),
        Rule(
            "self.trainOn == 'LastAssistantTurn' || self.data == 'OriginalDataset'",
            "trainOn EveryAssistantTurn goes with data OriginalDataset: of TeacherCompletions only the last turn is "
            "the teacher's",
            field="trainOn",
        ),
    ]

    def objective_settings(self) -> Objective:
        """The objective with its settings, those that were left out with their defaults."""
        match self.objective:
            case "SupervisedFineTuning":
                return SupervisedFineTuning()
            case "LogitMatching":
                return self.logit_matching or LogitMatching()
            case unknown:
                assert_never(unknown)


_MAX_STAGES = 8
_DEVICES = "the product of its topology, twice that of tpu7x"
# A macro over a list of one is how CEL names a value.
_PRODUCT = f"[s.parallelism].map(q, {' * '.join(f'(has(q.{axis}) ? q.{axis} : 1)' for axis in AXES)})"
_DEVICE_COUNT = f"[has(self.accelerator) ? {devices_of('self.accelerator')}[0] : has(s.hosts) ? s.hosts : 1]"


def _rules_of_stage(index: int) -> list[Rule]:
    """Rules about one training stage and the accelerator: a pair for each, since no message can name a stage that a
    macro has found."""
    absent = f"self.stages.size() <= {index}"
    stage = f"stages[{index}]"
    fault = f"{stage}.parallelism must multiply to"
    on_accelerator = f"the devices of one slice, {_DEVICES}"
    on_cpu = f"{stage}.hosts (1 when absent), as there is no accelerator"
    return [
        Rule(
            f"{absent} || !has(self.accelerator) || !has(self.{stage}.hosts)",
            f"{stage}.hosts must not be set: on an accelerator the topology decides",
            field="stages",
        ),
        Rule(
            f"{absent} || [self.{stage}].all(s, !has(s.parallelism) || {_PRODUCT}.all(p, {_DEVICE_COUNT}.all(n, "
            # A product of 0 or with two axes of -1 is refused elsewhere, by a clearer message.
            "p > 0 ? p == n : p == 0 || n % (0 - p) == 0)))",
            f"{fault} {on_accelerator}; or, without accelerator, to {stage}.hosts (1 when absent)",
            field="stages",
            message_expression=f"'{fault} ' + (has(self.accelerator) ? '{on_accelerator}; it is ' + "
            f"self.accelerator.type + ' ' + self.accelerator.topology : '{on_cpu}')",
        ),
    ]


class Training(Model):
    """How the student is trained: MaxText, one JobSet per stage."""

    accelerator: Accelerator | None = None
    """The slices of each stage; CPU when absent."""
    resources: Resources | None = None
    """CPU and memory of each pod."""
    termination_grace_period_seconds: Annotated[int, Field(ge=15, le=3600)] | None = None
    """Seconds to save before a pod is killed. Default: 15 on Spot, 600 on other accelerators, 60 on CPU."""
    stages: Annotated[list[TrainingStage], Field(min_length=1, max_length=_MAX_STAGES), ListMap("name")]
    """Run in this order, each from the newest checkpoint of the one before."""

    rules: ClassVar[list[Rule]] = [rule for index in range(_MAX_STAGES) for rule in _rules_of_stage(index)]

    @property
    def needs_teacher_logits(self) -> bool:
        """Whether a stage runs the teacher with the student, on the same batch."""
        return any(stage.objective == "LogitMatching" for stage in self.stages)
