"""The spec of a DistillationJob."""

from typing import Annotated, ClassVar

from pydantic import Field

from distillation_api.cel import Rule, immutable, immutable_but
from distillation_api.model import Model
from distillation_api.spec.generation import Generation
from distillation_api.spec.models import Student, Teacher
from distillation_api.spec.pod import PodOptions
from distillation_api.spec.policies import Budget, Queue, Retries
from distillation_api.spec.preview import Preview
from distillation_api.spec.results import Conversion, Evaluation, Export
from distillation_api.spec.sources import Dataset
from distillation_api.spec.storage import SecretKey, Storage
from distillation_api.spec.training import Training

_DECIDES = "it determines the results; create a new DistillationJob (finished work with the same inputs is reused)"
TTL_SECONDS = 86_400

DETERMINING = (
    "teacher", "student", "dataset", "storage", "generation", "training", "conversion", "evaluation", "export",
)  # fmt: skip
"""Members of the spec that determine results, and so can't be changed, but for how long a training may take to save."""


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
    """Kueue's queue for pods that need an accelerator, and for all where it says so; absent: no queue."""
    retries: Retries = Retries()
    """How often a stage may be tried again."""
    budget: Budget | None = None
    """What the job may cost; absent: no limit."""
    preview: Preview | None = None
    """A run on a few rows before the real one; absent, or removed: none."""
    suspend: bool = False
    """True stops all pods and keeps all progress; false goes on."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31_536_000)] = TTL_SECONDS
    """Seconds after which the finished Jobs and JobSets are removed; the DistillationJob itself stays."""
    pod: PodOptions = PodOptions()
    """What users may set on all pods."""

    rules: ClassVar[list[Rule]] = [
        *(immutable(member, _DECIDES) for member in DETERMINING if member != "training"),
        immutable_but("training", ["accelerator", "resources", "stages"], _DECIDES),
        Rule(
            "!(has(self.dataset.promptColumn) || has(self.dataset.promptTemplate)) || has(self.dataset.responseColumn)"
            " || self.training.stages.all(s, s.data != 'OriginalDataset')",
            "a training stage on the OriginalDataset needs dataset.responseColumn beside dataset.promptColumn or "
            "promptTemplate",
            field="training.stages",
        ),
        Rule(
            "has(self.queue) || ((!has(self.generation.accelerator) || self.generation.accelerator.provisioning != "
            "'FlexStartQueued') && (!has(self.training.accelerator) || self.training.accelerator.provisioning != "
            "'FlexStartQueued'))",
            "queue must be set with provisioning FlexStartQueued: its ClusterQueue asks for the nodes",
            field="queue",
        ),
    ]
