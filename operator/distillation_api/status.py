"""The status of a DistillationJob: what the operator reports. Floats are strings, times RFC 3339 in UTC."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from distillation_api.model import ListMap, Model

Text = Annotated[str, StringConstraints(max_length=1024)]
ShortText = Annotated[str, StringConstraints(max_length=256)]
Time = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]
Decimal = Annotated[str, StringConstraints(max_length=32)]
ConditionType = Literal["Accepted", "Suspended", "Previewed", "Complete", "Failed", "Reconciling", "Stalled"]
StageState = Literal["Waiting", "Queued", "Pending", "Running", "Suspended", "Complete", "Failed"]
JobPhase = Literal["Pending", "Queued", "Running", "Suspended", "Complete", "Failed"]


class Condition(Model):
    """One aspect of the job's state, in the form of metav1.Condition."""

    type: ConditionType
    """Accepted, Suspended, Previewed, Complete, Failed; and, for kstatus, Reconciling and Stalled."""
    status: Literal["True", "False", "Unknown"]
    """Whether the condition holds."""
    reason: Annotated[str, StringConstraints(max_length=128)]
    """Why, as one CamelCase word."""
    message: Text = ""
    """Why, for people."""
    observed_generation: Annotated[int, Field(ge=0)]
    """Generation of the spec that this is about."""
    last_transition_time: Time
    """When status last changed."""


class Attempts(Model):
    """How often a stage, or a shard of it, came to an end that isn't the end of its work, and why."""

    failures: Annotated[int, Field(ge=0)] = 0
    """Attempts, or pods of a shard, that ended by a crash."""
    disruptions: Annotated[int, Field(ge=0)] = 0
    """Attempts, or pods of a shard, that ended by preemption, eviction or the loss of a node."""


class ShardRetries(Model):
    """What Kubernetes has counted of the shards of one Job; part of the stage's attempts."""

    job: Annotated[str, StringConstraints(max_length=64)]
    """UID of the Job."""
    failures: Annotated[int, Field(ge=0)] = 0
    """Pods that ended by a crash."""
    disruptions: Annotated[int, Field(ge=0)] = 0
    """Pods that ended by preemption, eviction or the loss of a node."""


class Failure(Model):
    """An attempt at a stage that failed."""

    stage: Annotated[str, StringConstraints(max_length=63)]
    """The stage."""
    attempt: Annotated[int, Field(ge=0)]
    """Its attempt; 0 is the first."""
    failure_class: Annotated[Literal["Permanent", "Crash", "Disruption"], Field(alias="class")]
    """Permanent: the program's verdict. Crash. Disruption: preemption, eviction, a lost node."""
    reason: Annotated[str, StringConstraints(max_length=128)]
    """Why, as one CamelCase word."""
    message: Annotated[str, StringConstraints(max_length=512)] | None = None
    """Why, for people, or the last lines of the log."""
    exit_code: int | None = None
    """Of the program, where it is known."""
    node: Annotated[str, StringConstraints(max_length=253)] | None = None
    """Where it ran."""
    time: Time
    """When it ended."""


class StageProgress(Model):
    """How far a running stage is."""

    done: Annotated[int, Field(ge=0)]
    """Units done."""
    total: Annotated[int, Field(ge=0)]
    """Units in all."""
    unit: Annotated[str, StringConstraints(max_length=16)]
    """rows, steps or bytes."""
    rate: Decimal | None = None
    """Units per second."""


IdlePart = Literal["podStart", "imports", "weights", "compile", "other"]
IdleSeconds = Annotated[dict[str, Annotated[int, Field(ge=0)]], Field(max_length=8)]


class IdleOfAttempt(Model):
    """What one attempt has added to chipSecondsIdle so far."""

    attempt: Annotated[int, Field(ge=0)]
    """Its number."""
    seconds: IdleSeconds
    """By part."""


class StageStatus(Model):
    """One stage of the pipeline."""

    name: Annotated[str, StringConstraints(max_length=63)]
    """Name, e.g. generate or train-teacher-data."""
    state: StageState
    """Waiting for other stages, Queued by Kueue, Pending (no pod runs yet), Running, Suspended, Complete or Failed."""
    reason: Annotated[str, StringConstraints(max_length=128)] | None = None
    """Why it is in this state, as one CamelCase word, where there is something to say."""
    message: Text | None = None
    """Why it is in this state, for people."""
    attempt: Annotated[int, Field(ge=0)] = 0
    """Number of the attempt that runs or ran last; 0 is the first."""
    attempts: Attempts = Attempts()
    """How often it failed or was disrupted, each shard of a generation by itself."""
    shard_retries: ShardRetries | None = None
    """What of attempts was counted on the shards of its last Job, which tries them again by itself."""
    away_since: Time | None = None
    """Since when attempts have failed only because the Hub, a bucket or the storage was away."""
    start_time: Time | None = None
    """When its first pods were asked for."""
    completion_time: Time | None = None
    """When it ended."""
    estimated_completion_time: Time | None = None
    """When it will end, by its rate; to the minute."""
    progress: StageProgress | None = None
    """How far it is."""
    reused: bool = False
    """True when the work was found done in the storage."""
    outputs: dict[str, ShortText] | None = None
    """What it made: paths inside the storage."""
    counts: dict[str, int] | None = None
    """Rows, steps, rejects by reason."""
    metrics: dict[str, Decimal] | None = None
    """Loss, KL, cross-entropy, ..."""
    chip_seconds: Annotated[int, Field(ge=0)] | None = None
    """Seconds that its pods have run, times their TPU chips, over all attempts; 3600 are a chip-hour."""
    chip_seconds_idle: IdleSeconds | None = None
    """Of chipSeconds those before first tokens or steps: podStart, imports, weights, compile, other."""
    idle_of_attempt: IdleOfAttempt | None = None
    """Of chipSecondsIdle the newest attempt's part."""
    fingerprint: Annotated[str, StringConstraints(max_length=64)] | None = None
    """Hash of all that determines its outputs, as its pods were asked; of a complete stage a fact that stays."""
    directory: ShortText | None = None
    """Folder of its outputs in the storage; of a complete stage a fact that stays."""


class Fact(Model):
    """One fact of the cluster, as a pod has found it."""

    stage: Annotated[str, StringConstraints(max_length=63)]
    """Stage of the pod."""
    name: Annotated[str, StringConstraints(max_length=32)]
    """What it is about."""
    value: Annotated[str, StringConstraints(max_length=128)]
    """What was found."""
    as_expected: bool | None = None
    """Absent where anything will do."""


class PreviewStatus(Model):
    """What the preview has found."""

    accepted_share: Decimal | None = None
    """Share of the answers that were kept."""
    teacher_tokens_per_second: Decimal | None = None
    """Of one shard."""
    training_tokens_per_second: dict[str, Decimal] | None = None
    """By training stage, padding counted."""
    estimated_seconds: Annotated[int, Field(ge=0)] | None = None
    """Of all after the preview."""
    estimated_chip_hours: Decimal | None = None
    """Of all after the preview."""
    memory_gib: Annotated[dict[str, Decimal] | None, Field(alias="memoryGiB")] = None
    """Peak of a pod's programs, by stage."""
    device_memory_gib: Annotated[dict[str, Decimal] | None, Field(alias="deviceMemoryGiB")] = None
    """Peak of one device, by stage."""
    facts: Annotated[list[Fact], Field(max_length=128)] = []
    """What pods have found there."""


class Results(Model):
    """What came out."""

    cross_entropy_before: Decimal | None = None
    """Held-out cross-entropy of the student before, in nats per completion token."""
    cross_entropy_after: Decimal | None = None
    """The same after distillation."""
    cross_entropy_drop: Decimal | None = None
    """How much lower it is than before, relative to it: 0.05 is 5 %."""
    kl_before: Decimal | None = None
    """Held-out KL(teacher || student) before, in nats per completion token, where the vocabularies are the same."""
    kl_after: Decimal | None = None
    """The same after distillation."""
    exported_model: ShortText | None = None
    """Folder of the distilled student in the storage, in Hugging Face format."""
    report: ShortText | None = None
    """The report in the storage, one HTML file."""
    published_model: Text | None = None
    """Where it was published, if that was asked for."""


class DistillationJobStatus(Model):
    """What the operator reports about a DistillationJob."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """Generation of the spec that this status is about."""
    phase: JobPhase | None = None
    """Summary for people; programs read the conditions."""
    reason: ShortText | None = None
    """The most urgent reason of its stages and conditions: why it failed, or what is in its way."""
    method: Literal["Offline", "Online", "Mixed"] | None = None
    """Offline: on the teacher's completions or the original data. Online: on the teacher's logits."""
    current_stage: Annotated[str, StringConstraints(max_length=256)] | None = None
    """The stages that run or are to run next; of a failed job those that failed."""
    progress: Annotated[str, StringConstraints(max_length=16)] | None = None
    """Progress of the current stage."""
    loss: Decimal | None = None
    """Last training loss."""
    chip_hours: Decimal | None = None
    """TPU chip-hours of all stages, by the running time of their pods."""
    estimated_completion_time: Time | None = None
    """When generation and training will have ended, by measured rates, once all can be known; to the minute."""
    accounted_time: Time | None = None
    """Until when the chips are counted."""
    start_time: Time | None = None
    """When the job was accepted."""
    completion_time: Time | None = None
    """When it ended."""
    conditions: Annotated[list[Condition], Field(max_length=16), ListMap("type")] = []
    """Accepted, Suspended, Previewed, Complete, Failed, Reconciling, Stalled."""
    stages: Annotated[list[StageStatus], Field(max_length=64), ListMap("name")] = []
    """The stages of the pipeline, in dataflow order."""
    last_failures: Annotated[list[Failure], Field(max_length=5)] = []
    """The last five attempts that failed, the newest last."""
    # The name that it has always had outside: under another one it would be gone after an upgrade, and a retry that
    # was honoured long ago would be honoured again.
    last_retry_request: Annotated[ShortText | None, Field(alias="heededRetry")] = None
    """The annotation distillation.dev/retry that was honoured last."""
    earlier_retries: Annotated[list[ShortText], Field(max_length=10)] = []
    """The last ten that were honoured before it, the newest last."""
    results: Results | None = None
    """What came out."""
    preview: PreviewStatus | None = None
    """What the preview has found."""

    @property
    def has_ended(self) -> bool:
        """True when the job is Complete or Failed: it changes no more."""
        return self.phase in ("Complete", "Failed")
