"""A DistillationJob as it is submitted: the API server checks the whole of its metadata."""

import re
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from distillation_api.cel import Rule
from distillation_api.model import Model
from distillation_api.resource import DistillationJob, ObjectMeta

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_PART = re.compile(r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_WORD = "at most 63 letters, digits, -, _ and ., a letter or digit first and last"
_KEY = f"should be {_WORD}, after an optional prefix such as example.com/"
_ANNOTATION_BYTES = 256 << 10


def _key(text: str) -> str:
    prefix, slash, name = text.rpartition("/")
    if not _NAME_PART.fullmatch(name) or (slash and not _SUBDOMAIN.fullmatch(prefix)):
        raise PydanticCustomError("qualified_name", _KEY)
    return text


def _annotation_key(text: str) -> str:
    # Kubernetes takes a prefix in upper case here, and nowhere else.
    _key(text.lower())
    return text


def _label_value(text: str) -> str:
    if text and not _NAME_PART.fullmatch(text):
        raise PydanticCustomError("label_value", f"should be empty, or {_WORD}")
    return text


def _namespace(text: str) -> str:
    if not DNS_LABEL.fullmatch(text):
        raise PydanticCustomError(
            "namespace", "should be at most 63 lower case letters, digits and -, a letter or digit first and last"
        )
    return text


def _annotations(annotations: dict[str, str]) -> dict[str, str]:
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > _ANNOTATION_BYTES:
        raise PydanticCustomError("annotations", f"should have at most {_ANNOTATION_BYTES:,} bytes together")
    return annotations


_Key = Annotated[str, AfterValidator(_key)]


class OwnerReference(Model):
    """Object that owns the job; with it the job is removed."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class SubmittedMeta(ObjectMeta, extra="forbid"):
    """All members of Kubernetes' ObjectMeta in the form that the API server requires."""

    name: str
    """It names the job; generateName in its place has a suffix appended."""
    generate_name: str | None = None
    namespace: Annotated[str, AfterValidator(_namespace)] = "default"
    labels: dict[_Key, Annotated[str, AfterValidator(_label_value)]] = {}
    annotations: Annotated[
        dict[Annotated[str, AfterValidator(_annotation_key)], str], AfterValidator(_annotations)
    ] = {}
    finalizers: list[_Key] = []
    owner_references: list[OwnerReference] = []
    resource_version: str | None = None
    creation_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    self_link: str | None = None
    managed_fields: list[dict[str, Any]] = []


class SubmittedJob(DistillationJob):
    """Distils a teacher LLM into a student, with the whole of its metadata."""

    rules: ClassVar[list[Rule]] = DistillationJob.rules

    metadata: SubmittedMeta
    """Name, namespace, labels and annotations, as of every Kubernetes object."""
