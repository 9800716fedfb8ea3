"""``watch``: follow a DistillationJob until it ends.

On a terminal a live table of the stages; elsewhere a line for each change. Connections that break
and API servers that restart are waited for: the object is read again and watched on.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, Protocol, cast

import urllib3
import yaml
from kubernetes import client, config
from kubernetes import watch as kubernetes_watch
from rich.console import Console
from rich.live import Live
from rich.text import Text

from distillation_api.resource import GROUP, PLURAL, VERSION
from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.kubeconfig import require_kubeconfig
from distillation_operator.commands.printable import printable
from distillation_operator.commands.stage_table import StageTable, describe, styled
from distillation_operator.commands.storage_uri import located, storage_uri
from distillation_operator.pipeline.status.idle_chips import added_up

WATCH_SECONDS = 300
"""How long one watch request lasts; then the object is read again."""
LONGEST_WAIT = 10.0
"""Seconds between two tries while there is no API server."""
_NOT_FOUND, _GONE = 404, 410
_NO_ACCESS = (401, 403)
NO_STATUS_SECONDS = 15.0
"""How long an operator has for its first word about a job, before the watcher is asked to look for one."""
UNSEEN = "not yet seen by the operator"

# The client reads whatever file it is given and fails where that isn't what it expects.
_BAD_KUBECONFIG = (config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError)

Object = dict[str, Any]


class View(Protocol):
    """What shows the states of the object."""

    def show(self, job: Object) -> None:
        """The object as it is now."""

    def tell(self, text: str) -> None:
        """A remark about the watching itself."""


def run(name: str, namespace: str | None, kubeconfig: str | None, context: str | None = None) -> int:
    """Follow the object; 0 when it is Complete, 1 when it is Failed."""
    # It tells of each try again; so does the view, once.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    api, default_namespace = connect(kubeconfig, context)
    console = Console(highlight=False)
    place = namespace or default_namespace
    live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
    view: View = LiveView(live) if live is not None else LineView()
    with goes_on(f"{name} -n {place}"), live if live is not None else nullcontext():
        last = follow(api, place, name, view)
    for line in results(last):
        print(printable(line))
    return 0 if ended(last) == "Complete" else 1


@contextmanager
def goes_on(job: str) -> Iterator[None]:
    """Who ends the watching is asked whether the job ends too. ``job``: as ``watch`` is to be called again."""
    try:
        yield
    except KeyboardInterrupt:
        said = f"the job goes on; to follow it again: distillation-operator watch {job}"
        print(printable(said), file=sys.stderr, flush=True)
        raise


def connect(kubeconfig: str | None, context: str | None = None) -> tuple[client.CustomObjectsApi, str]:
    """A client for a context of the kubeconfig, its current one where none is named, and the context's namespace.
    Raises CommandError.
    """
    require_kubeconfig(kubeconfig)
    try:
        config.load_kube_config(config_file=kubeconfig, context=context)  # type: ignore[no-untyped-call]
        contexts, chosen = config.list_kube_config_contexts(config_file=kubeconfig)  # type: ignore[no-untyped-call]
        if context is not None:
            chosen = next(one for one in contexts if one["name"] == context)
        return client.CustomObjectsApi(), chosen["context"].get("namespace", "default")
    except _BAD_KUBECONFIG as error:
        if kubeconfig is None and context is None:
            try:
                config.load_incluster_config()  # type: ignore[no-untyped-call]
                return client.CustomObjectsApi(), "default"
            except config.ConfigException:
                pass
        reason = " ".join(str(error).split())
        raise CommandError(f"no cluster: {reason} (--kubeconfig FILE or $KUBECONFIG names one)") from error


def follow(
    api: client.CustomObjectsApi,
    namespace: str,
    name: str,
    view: View,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Object:
    """Show the object until it ends; returns its last state."""
    reached, failures, hinted = False, 0, False
    begin = clock()
    while True:
        try:
            for job in _states(api, namespace, name):
                if failures:
                    view.tell("connected again")
                    failures = 0
                reached = True
                view.show(job)
                if ended(job) is not None:
                    return job
                if not hinted and not job.get("status") and clock() - begin >= NO_STATUS_SECONDS:
                    hinted = True
                    view.tell(_without_status(namespace))
        except client.ApiException as error:
            if error.status == _GONE:
                # What was watched from is too old: read it again.
                continue
            if error.status == _NOT_FOUND:
                raise CommandError(_missing(error, namespace, name)) from error
            if error.status in _NO_ACCESS:
                raise CommandError(f"the API server refuses to show {namespace}/{name}: {error.reason}") from error
            reason = f"the API server answers {error.status} {error.reason}"
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = f"no answer from the API server ({_cause(error)})"
            if not reached:
                raise CommandError(f"no cluster: {reason}") from error
        else:
            continue
        if not failures:
            view.tell(f"{reason}; trying again")
        failures += 1
        sleep(min(LONGEST_WAIT, 0.5 * 2 ** min(failures, 5)))


def _states(api: client.CustomObjectsApi, namespace: str, name: str) -> Iterator[Object]:
    """The object now, and after each change until the watch request ends."""
    job = cast(Object, api.get_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, name, _request_timeout=30))
    yield job
    watcher = kubernetes_watch.Watch()  # type: ignore[no-untyped-call]
    stream = watcher.stream(  # type: ignore[no-untyped-call]
        api.list_namespaced_custom_object,
        GROUP,
        VERSION,
        namespace,
        PLURAL,
        field_selector=f"metadata.name={name}",
        resource_version=job["metadata"]["resourceVersion"],
        # The end of the request is when a job without a status is looked at again.
        timeout_seconds=WATCH_SECONDS if job.get("status") else int(NO_STATUS_SECONDS),
        _request_timeout=WATCH_SECONDS + 30,
    )
    for event in stream:
        if event["type"] == "DELETED":
            raise CommandError(f"DistillationJob {namespace}/{name} was deleted")
        yield event["object"]


def _without_status(namespace: str) -> str:
    return (
        f"no operator has written a status for {NO_STATUS_SECONDS:.0f} s. Is one installed and ready (kubectl get "
        "deploy -A -l app.kubernetes.io/name=distillation-operator)? Does it watch the namespace "
        f"{namespace} (the chart's value namespaces; empty: all)?"
    )


def _cause(error: Exception) -> str:
    """The kind of error beneath urllib3's own."""
    reason = getattr(error, "reason", None)
    return type(reason if isinstance(reason, Exception) else error).__name__


def _missing(error: client.ApiException, namespace: str, name: str) -> str:
    if "page not found" in str(error.body):
        return "the cluster knows no DistillationJobs: its CRD isn't installed"
    return f"there is no DistillationJob {name} in namespace {namespace}"


def ended(job: Object) -> str | None:
    """Complete or Failed; None while it goes on."""
    for condition in job.get("status", {}).get("conditions", []):
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return str(condition["type"])
    return None


def results(job: Object, storage: str | None = None) -> list[str]:
    """What is to say of a job that has ended. ``storage``: the folder in the place of its spec's storage, if one is."""
    status = job.get("status", {})
    told = [c.get("message", "") for c in status.get("conditions", []) if c["type"] == ended(job)]
    lines = [f"{job['metadata']['namespace']}/{job['metadata']['name']}: {ended(job)}. {''.join(told)}".rstrip()]
    found = status.get("results", {})
    before, after = found.get("crossEntropyBefore"), found.get("crossEntropyAfter")
    if before and after:
        drop = f", {1 - float(after) / float(before):.1%} less" if float(before) > 0 else ""
        lines.append(f"Held-out cross-entropy: {before} before, {after} after{drop}")
    root = storage_uri(job) if storage is None else storage
    for key, text in (("exportedModel", "Exported model"), ("report", "Report")):
        if key in found:
            lines.append(f"{text}: {located(root, found[key])}")
    if "publishedModel" in found:
        lines.append(f"Published model: {found['publishedModel']}")
    stages = status.get("stages", [])
    # Of a failed job the condition has said which one it was.
    lines.extend(f"{s['name']}: {s.get('message', '')}" for s in stages if s["state"] == "Complete" and "reason" in s)
    if "chipHours" in status:
        lines.append(f"Chip-hours: {status['chipHours']}{_idle(stages)}")
    return lines


def preview_lines(job: Object) -> list[str]:
    """What the preview has found, once it is complete, and what the job then waits for."""
    status = job.get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    done = conditions.get("Previewed", {})
    if done.get("status") != "True":
        return []
    held = conditions.get("Suspended", {})
    told = held if held.get("status") == "True" and held.get("reason") == done.get("reason") else done
    found = status.get("preview", {})
    lines = [told.get("message", "")]
    lines.extend(f"{stage}: {gib} GiB of memory" for stage, gib in found.get("memoryGiB", {}).items())
    lines.extend(f"{stage}: {gib} GiB of one device" for stage, gib in found.get("deviceMemoryGiB", {}).items())
    for fact in found.get("facts", []):
        judged = {True: " (as expected)", False: " (NOT as expected)"}.get(fact.get("asExpected"), "")
        lines.append(f"{fact['stage']}: {fact['name']} {fact['value']}{judged}")
    return lines


def _idle(stages: list[Object]) -> str:
    """Of the chips' time that before the pods' first tokens or steps, by part, where it is known."""
    parts = added_up(stage.get("chipSecondsIdle", {}) for stage in stages)
    whole = sum(stage.get("chipSeconds", 0) for stage in stages)
    if not whole or not sum(parts.values()):
        return ""
    told = ", ".join(f"{part} {seconds / whole:.0%}" for part, seconds in parts.items())
    return f", of which {sum(parts.values()) / whole:.0%} before the first token or step ({told})"


class LineView:
    """A line for each change of a stage or of the phase."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}

    def show(self, job: Object) -> None:
        status = job.get("status", {})
        self._line("job", status.get("phase", UNSEEN))
        for stage in status.get("stages", []):
            self._line(stage["name"], f"{stage['state']} {describe(stage)}".rstrip())
        for number, line in enumerate(preview_lines(job)):
            self._line(f"preview/{number}", line, "preview")

    def tell(self, text: str) -> None:
        print(printable(f"{datetime.now(UTC):%H:%M:%S} {text}"), flush=True)

    def _line(self, about: str, text: str, shown_as: str | None = None) -> None:
        if self._shown.get(about) != text:
            self._shown[about] = text
            self.tell(f"{shown_as or about}: {text}")


class LiveView:
    """A table that is drawn again at each change."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, job: Object) -> None:
        self._live.update(live_table(job))

    def tell(self, text: str) -> None:
        self._live.console.print(Text(printable(text)))


def live_table(job: Object) -> StageTable:
    """The stages with their progress, as the terminal has room for them."""
    status, metadata = job.get("status", {}), job["metadata"]
    phase = styled(status.get("phase", UNSEEN))
    heading = Text.assemble((f"{metadata['namespace']}/{metadata['name']}  ", "bold"), phase)
    return StageTable(heading, status.get("stages", []), preview_lines(job))
