"""Where a path of the storage can be looked at: links for a bucket, words for a claim."""

from dataclasses import dataclass
from urllib.parse import quote

from distillation_operator.dashboard.lenient import Object, mapping, text


@dataclass(frozen=True)
class Place:
    """A path of the storage, or wherever a model was published."""

    path: str
    link: str = ""
    """Empty where a browser can't open it."""


def storage_name(job: Object) -> str:
    """The storage of a job in a few words; empty where nothing says."""
    storage = mapping(mapping(job.get("spec")).get("storage"))
    bucket = text(mapping(storage.get("gcs")).get("bucket"), 222)
    claim = text(mapping(storage.get("persistentVolumeClaim")).get("claimName"), 253)
    return f"bucket {bucket}" if bucket else f"claim {claim}" if claim else ""


def folder(job: Object, path: str) -> Place:
    """A folder of a job's storage."""
    bucket = _bucket(job)
    return Place(path, _browser(bucket, path) if bucket and path else "")


def file(job: Object, path: str) -> Place:
    """A file of a job's storage, such as a report."""
    bucket = _bucket(job)
    return Place(path, f"https://storage.cloud.google.com/{quote(bucket, safe='')}/{quote(path)}" if bucket else "")


def published(job: Object, path: str) -> Place:
    """Where a model was published: a folder of Google Cloud Storage, or one of the storage."""
    if path.startswith("gs://"):
        bucket, _, inside = path.removeprefix("gs://").partition("/")
        return Place(path, _browser(bucket, inside))
    return folder(job, path)


def _bucket(job: Object) -> str:
    storage = mapping(mapping(job.get("spec")).get("storage"))
    return text(mapping(storage.get("gcs")).get("bucket"), 222)


def _browser(bucket: str, path: str) -> str:
    return f"https://console.cloud.google.com/storage/browser/{quote(bucket, safe='')}/{quote(path)}"
