"""The spec of a DistillationJob."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from distillation_api.cel import Rule, immutable
from distillation_api.model import Model, Rules
from distillation_api.spec.generation import Generation
from distillation_api.spec.models import Student, Teacher
from distillation_api.spec.pod import PodOptions
from distillation_api.spec.policies import Budget, Queue, Retries
from distillation_api.spec.preview import Preview
from distillation_api.spec.results import Conversion, Evaluation, Export
from distillation_api.spec.sources import Dataset
from distillation_api.spec.storage import SecretKey, Storage
from distillation_api.spec.training import Training

DECIDES = "it determines the results; create a new DistillationJob (finished work with the same inputs is reused)"
"""Why a member can't be changed."""
TTL_SECONDS = 86_400

DETERMINING = (
    "teacher", "student", "dataset", "storage", "generation", "training", "conversion", "evaluation", "export",
)  # fmt: skip
"""Members of the spec that determine results, and so can't be changed, but for the CPU and memory of pods and for
how long a training may take to save."""


def _is_not_queued(part: str) -> str:
    return f"[{part}].all(p, !has(p.accelerator) || p.accelerator.provisioning != 'FlexStartQueued')"


def _fixed(member: str, members: Sequence[str] = ()) -> Rules:
    return Rules(immutable(member, DECIDES, members))


class DistillationJobSpec(Model):
    """What is distilled into what, on which data, where and how."""

    teacher: Annotated[Teacher, _fixed("teacher")]
    """The model whose knowledge is distilled."""
    student: Annotated[Student, _fixed("student")]
    """The model that learns."""
    dataset: Annotated[Dataset, _fixed("dataset")]
    """The prompts that the teacher answers."""
    hugging_face_token: SecretKey | None = None
    """Token for gated repositories; given to the fetching pods only, as the environment variable HF_TOKEN."""
    storage: Annotated[Storage, _fixed("storage")]
    """The one place where all stages read and write."""
    generation: Generation = Generation()
    """How the teacher answers."""
    training: Training
    """How the student is trained."""
    conversion: Annotated[Conversion, _fixed("conversion", ["maxKl"])] = Conversion()
    """How models are converted and checked."""
    evaluation: Annotated[Evaluation, _fixed("evaluation", ["require"])] = Evaluation()
    """How the student is scored."""
    export: Annotated[Export, _fixed("export")] = Export()
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
        Rule(
            "[self.dataset].all(d, !(has(d.promptColumn) || has(d.promptTemplate)) || has(d.responseColumn))"
            " || self.training.stages.all(s, s.data != 'OriginalDataset')",
            "a training stage on the OriginalDataset needs dataset.responseColumn beside dataset.promptColumn or "
            "promptTemplate",
            field="training.stages",
        ),
        Rule(
            f"has(self.queue) || ({_is_not_queued('self.generation')} && {_is_not_queued('self.training')})",
            "queue must be set with provisioning FlexStartQueued: its ClusterQueue asks for the nodes",
            field="queue",
        ),
    ]
