"""Trees of files outside or inside the storage, in a bucket or in a directory, behind one small interface."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from distillation_api import reasons
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.regular_files import copy_content, inside
from distillation_stages.runtime.storage import (
    below,
    is_of_files,
    is_temporary,
    publish_bytes,
    publishing,
    remove_temporaries,
    sha256_of,
)

SCHEME = "gs://"


class Tree(Protocol):
    """Files by name (relative, with forward slashes); each is written whole or not at all."""

    uri: str
    """For messages."""

    def sizes(self) -> dict[str, int]:
        """The size in bytes of each file in it."""

    def remove_unfinished(self) -> None:
        """Remove what this writer was writing there when it was killed."""

    def holds(self, name: str, path: Path) -> bool:
        """Whether its file ``name`` has the same content as the local file ``path``."""

    def get(self, name: str, path: Path) -> None:
        """Copy its file ``name`` to ``path``."""

    def put(self, name: str, path: Path) -> None:
        """Copy the local file ``path`` to its ``name``."""

    def read(self, name: str) -> bytes | None:
        """The content of a small file; None when there is no such file."""

    def write(self, name: str, data: bytes) -> None:
        """Write a small file."""

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens when there is no such file."""


class DirectoryTree:
    """A directory of a mounted file system."""

    def __init__(self, root: Path, within: Path | None = None) -> None:
        """``within``: the folder that links may lead to, where that is more than the directory itself."""
        self.uri = str(root)
        self._root = root
        self._within = within or root

    def sizes(self) -> dict[str, int]:
        found = (path for path in sorted(self._root.rglob("*")) if path.is_file() and not is_temporary(path))
        return {path.relative_to(self._root).as_posix(): path.stat().st_size for path in found}

    def remove_unfinished(self) -> None:
        below_it = (path for path in self._root.rglob("*") if path.is_dir() and not path.is_symlink())
        for directory in (self._root, *below_it):
            remove_temporaries(directory)

    def holds(self, name: str, path: Path) -> bool:
        own = self._at(name)
        return own.is_file() and own.stat().st_size == path.stat().st_size and sha256_of(own) == sha256_of(path)

    def get(self, name: str, path: Path) -> None:
        _copy(below(self._root, name), path, self._within)

    def put(self, name: str, path: Path) -> None:
        _copy(path, self._new(name), path.parent)

    def read(self, name: str) -> bytes | None:
        try:
            return self._at(name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        publish_bytes(self._new(name), data)

    def remove(self, name: str) -> None:
        self._new(name).unlink(missing_ok=True)

    def _at(self, name: str) -> Path:
        """The file that has the name, through links."""
        return inside(self._within, below(self._root, name))

    def _new(self, name: str) -> Path:
        """The name in its folder: writing it replaces a link."""
        path = below(self._root, name)
        return inside(self._within, path.parent) / path.name


class GcsTree:
    """The objects under a prefix of a Google Cloud Storage bucket."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        bucket, self._prefix = split_uri(uri)
        with bucket_errors(uri):
            from google.cloud import storage

            self._bucket: Any = storage.Client().bucket(bucket)

    def sizes(self) -> dict[str, int]:
        prefix = f"{self._prefix}/" if self._prefix else ""
        with bucket_errors(self.uri):
            # Names that end with a slash are the folder markers of graphical tools.
            blobs = [blob for blob in self._bucket.list_blobs(prefix=prefix) if not blob.name.endswith("/")]
        return {blob.name.removeprefix(prefix): int(blob.size) for blob in blobs}

    def remove_unfinished(self) -> None:
        """An object is there whole or not at all."""

    def holds(self, name: str, path: Path) -> bool:
        with bucket_errors(self.uri):
            blob = self._bucket.get_blob(self._name(name))
        return blob is not None and blob.size == path.stat().st_size and blob.crc32c == _crc32c(path)

    def get(self, name: str, path: Path) -> None:
        # The client compares the checksum that the bucket has with what arrived.
        with publishing(path) as temporary, bucket_errors(self.uri):
            self._bucket.blob(self._name(name)).download_to_filename(str(temporary), checksum="auto")

    def put(self, name: str, path: Path) -> None:
        with bucket_errors(self.uri):
            self._bucket.blob(self._name(name)).upload_from_filename(str(path), checksum="auto")

    def read(self, name: str) -> bytes | None:
        with bucket_errors(self.uri):
            blob = self._bucket.get_blob(self._name(name))
            return None if blob is None else bytes(blob.download_as_bytes())

    def write(self, name: str, data: bytes) -> None:
        with bucket_errors(self.uri):
            self._bucket.blob(self._name(name)).upload_from_string(data, content_type="application/json")

    def remove(self, name: str) -> None:
        with bucket_errors(self.uri):
            self._bucket.delete_blobs([self._bucket.blob(self._name(name))], on_error=lambda blob: None)

    def _name(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name


def split_uri(uri: str) -> tuple[str, str]:
    """The bucket and the prefix (without slashes at its ends) of a gs:// URI. Raises StageError."""
    bucket, _, prefix = uri.removeprefix(SCHEME).partition("/")
    if not uri.startswith(SCHEME) or not bucket:
        raise StageError(reasons.BAD_BUCKET_URI, f"{uri!r} is no bucket URI; give gs://BUCKET/PATH")
    return bucket, prefix.strip("/")


@contextmanager
def bucket_errors(uri: str) -> Iterator[None]:
    """Turns errors of Google's client into a StageError that says what is missing."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise StageError(
            reasons.BUCKET_ACCESS_DENIED,
            f"access to {uri} is denied: {error.message}. Give the pod's service account (spec.pod.serviceAccountName) "
            "the role storage.objectUser on the bucket",
        ) from error
    except exceptions.NotFound as error:
        raise StageError(reasons.BUCKET_NOT_FOUND, f"{uri} does not exist: {error.message}") from error
    except (exceptions.GoogleAPIError, GoogleAuthError, OSError) as error:
        if isinstance(error, OSError) and is_of_files(error):
            raise
        # Also missing credentials: GKE's metadata server refuses connections in a pod's first seconds.
        raise StageError(reasons.BUCKET_UNAVAILABLE, f"{uri} can't be reached: {error}") from error


def _crc32c(path: Path) -> str:
    import google_crc32c

    checksum = google_crc32c.Checksum()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            checksum.update(block)
    return base64.b64encode(checksum.digest()).decode()


def _copy(source: Path, target: Path, root: Path) -> None:
    # Content only: exported files are readable by their owner alone, and what is published is for others.
    with publishing(target) as temporary:
        copy_content(source, temporary, root)
        temporary.chmod(0o644)
