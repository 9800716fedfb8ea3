"""What the installation decides, not the user: the images of the stages, and what jobs may ask for."""

from dataclasses import dataclass, field

from distillation_api import reasons
from distillation_api.accelerators import Hardware
from distillation_api.resource import DistillationJob
from distillation_operator.manifests.allowed import Allowed, refusals
from distillation_operator.manifests.stage_pods import StagePods
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.stage import Image


@dataclass(frozen=True)
class Installation:
    """Settings of one operator."""

    fetcher_image: str = "distillation-operator/fetcher:dev"
    converter_image: str = "distillation-operator/converter:dev"
    teacher_image: str = "distillation-operator/teacher:dev"
    trainer_image: str = "distillation-operator/trainer:dev"
    teacher_tpu_image: str | None = None
    """Of generation on TPUs, where CPU pods generate too; ``teacher_image`` when None."""
    own_account: tuple[str, str] | None = None
    """Namespace and name of the operator's ServiceAccount, which no pod of a user may run as."""

    allow_unlisted_max_text: bool = False
    """Whether jobs may set what ``maxText`` does not list."""
    allowed: Allowed = field(default_factory=Allowed)
    """What jobs may name."""
    stage_pods: StagePods = field(default_factory=StagePods)
    """What pods of stages get."""

    def refusal(self, job: DistillationJob) -> Cause | None:
        """Why this installation doesn't run the job, if so."""
        return self._refused_account(job) or self._refused_names(job) or self._refused_settings(job)

    def _refused_names(self, job: DistillationJob) -> Cause | None:
        messages = refusals(job, self.allowed)
        return Cause.of(reasons.NOT_ALLOWED_HERE, "; ".join(messages)) if messages else None

    def _refused_settings(self, job: DistillationJob) -> Cause | None:
        if self.allow_unlisted_max_text:
            return None
        for index, stage in enumerate(job.spec.training.stages):
            if stage.max_text_unlisted:
                return Cause.of(
                    reasons.UNLISTED_SETTINGS_REFUSED,
                    f"spec.training.stages[{index}].maxTextUnlisted: Forbidden: this installation allows only what "
                    "maxText lists; ask for the chart's value maxText.allowUnlisted, or remove "
                    f"{', '.join(stage.max_text_unlisted)}",
                )
        return None

    def _refused_account(self, job: DistillationJob) -> Cause | None:
        account = (job.metadata.namespace, job.spec.pod.service_account_name or "default")
        if account != self.own_account:
            return None
        return Cause.of(
            reasons.SERVICE_ACCOUNT_REFUSED,
            f"spec.pod.serviceAccountName: Invalid value: {account[1]}: it is the operator's own ServiceAccount in "
            f"namespace {account[0]}; use another one, best in a namespace of its own",
        )

    def image(self, role: Image, hardware: Hardware) -> str:
        """The reference of a stage's image. CPU and TPU builds of vLLM exclude each other; the others serve both."""
        if role == "teacher" and hardware == "tpu" and self.teacher_tpu_image is not None:
            return self.teacher_tpu_image
        images: dict[Image, str] = {
            "fetcher": self.fetcher_image,
            "converter": self.converter_image,
            "teacher": self.teacher_image,
            "trainer": self.trainer_image,
        }
        return images[role]
