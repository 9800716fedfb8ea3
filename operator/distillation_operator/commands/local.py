"""``local``: a DistillationJob on this machine, with the operator's decisions and processes in place of pods."""

import os
import socket
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from distillation_api.resource import DistillationJob
from distillation_operator.commands import watch
from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.files import documents
from distillation_operator.commands.local_options import IMAGES, Options, of_user
from distillation_operator.commands.printable import printable
from distillation_operator.commands.updates import update_faults
from distillation_operator.commands.validation import validate
from distillation_operator.commands.watch_file import view_here
from distillation_operator.local import environments
from distillation_operator.local.cluster_only import ignored, refusals, without_accelerators
from distillation_operator.local.code import code_folder
from distillation_operator.local.compiled import CompiledPrograms
from distillation_operator.local.errors import LocalError
from distillation_operator.local.folder import JobFolder
from distillation_operator.local.installer import PreparationError
from distillation_operator.local.leftovers import end_leftovers
from distillation_operator.local.machine import capacity, chips_here
from distillation_operator.local.observation import node_name
from distillation_operator.local.processes import LocalProcesses
from distillation_operator.local.runner import Machine, Runner, images_of
from distillation_operator.local.scratch import scratch as new_scratch
from distillation_operator.local.signals import Signals
from distillation_operator.local.storage import require_usable, storage_held
from distillation_operator.manifests.pod import CACHE_FOLDER
from distillation_operator.pipeline.decision.retry_request import RETRY_ANNOTATION
from distillation_operator.pipeline.status.times import format_time

Object = dict[str, Any]

SUSPENDED = 3
"""Exit code of a job that waits for its user's word."""


def run(file: str | None, options: Options) -> int:
    """Prepare the environments where that is asked for, and run the job of the file; returns the exit code."""
    try:
        if file is None:
            if not options.prepare:
                raise CommandError("give FILE, a DistillationJob, or --prepare alone")
            environments.prepare(IMAGES, say)
            return 0
        if options.storage is None:
            raise CommandError("--storage DIR is needed: the folder in place of spec.storage")
        thing, remarks = _asked_for(file, options)
        storage = of_user(options.storage).resolve()
        # Before the environments, which are gigabytes.
        require_usable(storage)
        images = images_of(DistillationJob.parse(thing))
        interpreters = _interpreters(images, options)
        return _run(thing, remarks, storage, interpreters, options)
    except (LocalError, PreparationError) as error:
        raise CommandError(str(error)) from error
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise CommandError(f"{where}{error.strerror or error}; what is done is kept") from error
    except RuntimeError as error:
        # Of pathlib, where the cache is to be in a home that there is none of.
        if type(error) is not RuntimeError:
            raise
        raise CommandError(f"{error}: set HOME, or DISTILLATION_CACHE to an absolute path") from error


def say(text: str) -> None:
    """A line about the work itself."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True)


def _asked_for(file: str, options: Options) -> tuple[Object, list[str]]:
    """The valid object of the file as it is run here, and remarks about it."""
    jobs = [document for document in documents(file) if document.is_job]
    if len(jobs) != 1:
        raise CommandError(f"{file} has {len(jobs)} DistillationJobs; give a file with one")
    thing, remarks = _without_nulls(jobs[0].content), []
    _require_valid(thing)
    if "name" not in thing["metadata"]:
        raise CommandError(
            "metadata.name: Required value: it names the job's folder, so metadata.generateName won't do"
        )
    if options.ignore_accelerators:
        thing, left_out = without_accelerators(thing)
        _require_valid(thing)
        if left_out:
            remarks.append(f"--ignore-accelerators: on the CPU of one host, without {', '.join(left_out)}")
    job = DistillationJob.parse(thing)
    faults = refusals(job, chips_here(), options.secrets.keys())
    if faults:
        raise CommandError("\n".join(faults))
    if unread := ignored(job):
        remarks.append(f"without effect on this machine: {', '.join(unread)}")
    metadata = {"name": job.metadata.name, "namespace": job.metadata.namespace, "annotations": job.metadata.annotations}
    if options.retry is not None:
        nonce = f"{options.retry}/{datetime.now(UTC):%Y%m%dT%H%M%S}"
        metadata["annotations"] = {**job.metadata.annotations, RETRY_ANNOTATION: nonce}
    whole = job.to_json_dict()
    return {
        "apiVersion": whole["apiVersion"],
        "kind": whole["kind"],
        "metadata": metadata,
        "spec": whole["spec"],
    }, remarks


def _without_nulls(value: Any) -> Any:
    """A value as the API server takes it: a member that is null is absent."""
    if isinstance(value, dict):
        return {key: _without_nulls(member) for key, member in value.items() if member is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _require_valid(thing: object) -> None:
    messages = validate(thing)
    if messages:
        raise CommandError("\n".join(messages))


def _interpreters(images: Sequence[str], options: Options) -> dict[str, Path]:
    for image, path in options.interpreters.items():
        if not os.access(path, os.X_OK):
            raise CommandError(f"--python {image}={path}: there is no program that can be run")
    others = [image for image in images if image not in options.interpreters]
    made = environments.prepare(others, say) if options.prepare else environments.prepared(others)
    return {**made, **options.interpreters}


def _run(
    thing: Object, remarks: Sequence[str], storage: Path, interpreters: Mapping[str, Path], options: Options
) -> int:
    folder = JobFolder(storage / thing["metadata"]["name"])
    with ExitStack() as stack:
        stack.enter_context(storage_held(storage, thing["metadata"]["name"]))
        stack.enter_context(folder.locked())
        thing = _continued(folder.read(), thing)
        _require_failed(thing, options.retry)
        signals = stack.enter_context(Signals())
        end_leftovers(folder.owner, say, signals)
        cache = storage / DistillationJob.parse(thing).spec.storage.prefix / CACHE_FOLDER
        compiled = CompiledPrograms(cache, folder.path)
        compiled.recover()
        processes = LocalProcesses(folder.owner, compiled)
        folder.write(thing)
        for remark in remarks:
            say(remark)
        say(f"status in {folder.status_file}, logs in {folder.logs}")
        scratch = stack.enter_context(new_scratch(folder.path, os.environ.get("TMPDIR")))
        machine = Machine(
            name=node_name(socket.gethostname()),
            capacity=capacity(options.cores),
            interpreters=interpreters,
            storage=storage,
            scratch=scratch,
            variables=os.environ,
            secrets=options.secrets,
            code=code_folder(scratch),
        )
        try:
            with view_here() as view:
                runner = Runner(thing, folder, processes, machine, view.show, view.tell)
                runner.run(signals)
            return _end(runner, storage, signals.received)
        except OSError:
            # A closed terminal takes no word any more, and has sent its signal.
            if not signals.received:
                raise
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())
            return 128 + signals.received[0]


def _continued(known: Object | None, asked: Object) -> Object:
    """The object as it goes on: what is asked now, with the identity and the status that it had.

    Raises CommandError for a change that the API server would refuse.
    """
    metadata = asked["metadata"]
    if known is None:
        created = {"uid": str(uuid.uuid4()), "generation": 1, "creationTimestamp": format_time(datetime.now(UTC))}
        return {**asked, "metadata": {**metadata, **created}}
    # With the defaults of today, as the API server reads an object that an older version has stored.
    stored = DistillationJob.parse(known).to_json_dict()
    faults = update_faults(stored, asked)
    if faults:
        raise CommandError("\n".join(faults))
    before = known["metadata"]
    changed = stored["spec"] != asked["spec"]
    kept = {
        "uid": before["uid"],
        "generation": before.get("generation", 1) + changed,
        "creationTimestamp": before.get("creationTimestamp", format_time(datetime.now(UTC))),
    }
    status = {"status": known["status"]} if known.get("status") else {}
    return {**asked, "metadata": {**metadata, **kept}, **status}


def _require_failed(thing: Object, stage: str | None) -> None:
    failed = _failed_stages(thing)
    if stage is not None and stage not in failed:
        which = f"failed has {', '.join(failed)}" if failed else "no stage has failed"
        raise CommandError(f"--retry {stage}: {which}")


def _failed_stages(thing: Object) -> list[str]:
    stages = (thing.get("status") or {}).get("stages") or []
    return [stage["name"] for stage in stages if stage["state"] == "Failed"]


def _end(runner: Runner, storage: Path, received: Sequence[int]) -> int:
    lines = [printable(line) for line in watch.results(runner.thing, str(storage))]
    match runner.phase:
        case "Complete":
            print("\n".join(lines))
            return 0
        case "Failed":
            again = " or ".join(f"--retry {name}" for name in _failed_stages(runner.thing))
            hint = f"Finished work is kept. To try again what has failed: the same command with {again}"
            raise CommandError("\n".join([*lines, hint]))
    if received:
        say("ended by a signal; finished work is kept, and the same command goes on")
        return 128 + received[0]
    [message] = [c["message"] for c in runner.thing["status"]["conditions"] if c["type"] == "Suspended"]
    print(f"Suspended. {message} Change the file and give the same command again.")
    return SUSPENDED
