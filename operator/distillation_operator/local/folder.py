"""The folder of a job on this machine: its object with spec and status, what is known of its attempts, its logs."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from distillation_api.resource import DistillationJob
from distillation_operator.local.attempts import Attempt
from distillation_operator.local.errors import LocalError, telling_of_disk
from distillation_operator.local.hold import held, is_held

# A status is written every few seconds; libyaml takes a tenth of the time.
try:
    from yaml import CSafeDumper as Dumper
    from yaml import CSafeLoader as Loader
except ImportError:
    from yaml import SafeDumper as Dumper  # type: ignore[assignment]
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

Object = dict[str, Any]

STATUS = "status.yaml"
_ATTEMPTS, _LOCK, _LOGS = "attempts.json", ".lock", "logs"
_KNOWN = TypeAdapter(list[Attempt])


class JobFolder:
    """``DIR/NAME``: all that is kept of a job but its results, which lie in the storage as a cluster's do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def status_file(self) -> Path:
        """The whole object as YAML."""
        return self.path / STATUS

    def log(self, stage: str, attempt: int, index: int) -> Path:
        """The log of a process; that of a shard which is tried again goes on in the same file."""
        return self.logs / f"{stage}-{attempt}-{index}.log"

    @property
    def logs(self) -> Path:
        """Where the logs of all processes are."""
        return self.path / _LOGS

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, and make it where there is none. Raises LocalError when another process holds it, or when it
        is somebody else's.
        """
        with telling_of_disk(self.path):
            if self.path.is_dir() and not (self.path / _LOCK).exists() and any(self.path.iterdir()):
                raise LocalError(
                    f"{self.path} has other files in it, and no job: give the job another metadata.name, or another "
                    "--storage"
                )
            self.path.mkdir(parents=True, exist_ok=True)

        def refusal(holder: str) -> str:
            return (
                f"{self.path} is held by another `distillation-operator local` (process {holder or 'unknown'}); "
                f"wait for its end, or follow it: distillation-operator watch {self.path}"
            )

        # The lock first: a folder with anything else, of one that was killed here, would be somebody else's.
        with held(self.path / _LOCK, str(os.getpid()), refusal):
            with telling_of_disk(self.path):
                self.logs.mkdir(exist_ok=True)
            yield

    @property
    def owner(self) -> str:
        """What tells this job's processes from those of all others on this machine."""
        return str(self.path.resolve())

    def is_held(self) -> bool:
        """Whether a process works at the job."""
        return is_held(self.path / _LOCK)

    def read(self) -> Object | None:
        """The object; None where there is none yet. Raises LocalError for what isn't a DistillationJob."""
        try:
            text = self.status_file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise LocalError(f"{self.status_file} can't be read: {error}") from error
        try:
            content = yaml.load(text, Loader=_Loader)
            if not DistillationJob.parse(content).metadata.uid:
                raise ValueError("metadata.uid is missing")
        except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
            what = " ".join(str(error).split())[:400]
            raise LocalError(
                f"{self.status_file} is not what `local` writes ({what}); move {self.path} away: what is done is found "
                "again by its fingerprint"
            ) from error
        return dict(content)

    def version(self) -> tuple[int, int] | None:
        """What changes with each write of the object; None where there is none."""
        try:
            found = self.status_file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def write(self, thing: Object) -> None:
        """Write the object, whole or not at all."""
        text: str = yaml.dump(thing, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
        self._publish(STATUS, text.encode())

    def read_attempts(self) -> list[Attempt]:
        """The attempts that had ended; none where nothing, or nothing that can be read, is kept."""
        try:
            return _KNOWN.validate_json((self.path / _ATTEMPTS).read_bytes())
        except (OSError, ValidationError):
            # They would be found again: their stages go on from what lies in the storage.
            return []

    def write_attempts(self, attempts: list[Attempt]) -> None:
        """Keep what is known of attempts."""
        self._publish(_ATTEMPTS, _KNOWN.dump_json(attempts))

    def _publish(self, name: str, content: bytes) -> None:
        with telling_of_disk(self.path):
            temporary = self.path / f".{name}.tmp"
            try:
                with temporary.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(self.path / name)
                _sync(self.path)
            finally:
                temporary.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    # Mounts of buckets can't.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _Loader(Loader):
    """A safe loader without timestamps, which the API has as text."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in Loader.yaml_implicit_resolvers.items()
    }
