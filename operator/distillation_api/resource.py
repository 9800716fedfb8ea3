"""The DistillationJob itself: group, version, names, and the object around spec and status."""

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

from distillation_api.cel import Rule, immutable_beside_status
from distillation_api.model import Model
from distillation_api.spec import DECIDES, NAME_LIMIT, DistillationJobSpec, Generation
from distillation_api.status import DistillationJobStatus

GROUP = "distillation.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "DistillationJob"
PLURAL = "distillationjobs"
SINGULAR = "distillationjob"
SHORT_NAMES = ("dj",)


class ObjectMeta(Model):
    """What is read of an object's metadata; the rest is ignored."""

    model_config = ConfigDict(extra="ignore")

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    annotations: dict[str, str] = {}
    deletion_timestamp: str | None = None


_NAME_MESSAGE = (
    f"metadata.name must have at most {NAME_LIMIT} characters, begin with a letter and hold only lower case letters, "
    "digits and - (pods, JobSets and their host names are named after it)"
)


def _members_but(free: str, model: type[Model]) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in model.model_fields.items() if name != free)


class DistillationJob(Model):
    """Distils a teacher LLM into a student: one object is one run, from the models' sources to the exported student."""

    api_version: Literal["distillation.dev/v1alpha1"]
    kind: Literal["DistillationJob"]
    metadata: ObjectMeta
    spec: DistillationJobSpec
    status: DistillationJobStatus | None = None

    rules: ClassVar[list[Rule]] = [
        Rule(
            f"self.metadata.name.matches('^[a-z]([-a-z0-9]{{0,{NAME_LIMIT - 2}}}[a-z0-9])?$')",
            _NAME_MESSAGE,
            field="metadata.name",
        ),
        immutable_beside_status("spec.generation", _members_but("resources", Generation), DECIDES),
        immutable_beside_status("spec.training", ("accelerator", "stages"), DECIDES),
    ]

    @staticmethod
    def parse(manifest: dict[str, Any]) -> "DistillationJob":
        """A manifest or an object as the API server returns it. Raises pydantic.ValidationError."""
        return DistillationJob.model_validate(manifest)
