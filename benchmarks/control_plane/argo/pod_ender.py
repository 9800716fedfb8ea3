"""Ends pods as soon as they are seen: the kubelet and the program of each, in no time."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import urllib3
from kubernetes import client

from benchmarks.control_plane.argo.audit import Name
from benchmarks.control_plane.argo.contestants import Manifest, Pod
from support.operating import ended_status

_WORKERS = 8
_WATCH_SECONDS = 5
"""A watch that is this old is begun again: so long its end may take."""


class PodEnder:
    """Ends all pods that a label selector finds, in all namespaces, between ``with`` and its end.

    ``pods`` and ``seen`` tell of each what it stands for and when it was seen, in seconds since 1970. ``on_ended`` is
    called from threads of its own with a job's name and how many of its pods have ended by now.
    """

    def __init__(
        self,
        api_client: client.ApiClient,
        selector: str,
        read: Callable[[Manifest], Pod],
        on_ended: Callable[[Name, int], None],
    ) -> None:
        self.pods: dict[Name, Pod] = {}
        self.seen: dict[Name, float] = {}
        self.ended: dict[Name, int] = defaultdict(int)
        """How many pods of each job have ended."""
        self.failures: list[str] = []
        """Why a pod couldn't be ended."""
        self._core: Any = client.CoreV1Api(api_client)
        self._selector = selector
        self._read = read
        self._on_ended = on_ended
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._workers = ThreadPoolExecutor(_WORKERS)
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PodEnder":
        self._watcher.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped.set()
        self._watcher.join()
        self._workers.shutdown()

    def _watch(self) -> None:
        while not self._stopped.is_set():
            try:
                for pod in self._pending():
                    self._take(pod)
            except (urllib3.exceptions.HTTPError, client.ApiException, OSError):
                # The next watch begins with all that is there.
                continue
            except Exception as error:
                # Whoever waits for the ends of these pods must learn that there will be none.
                self.failures.append(repr(error))
                raise

    def _take(self, pod: Manifest) -> None:
        name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        if name not in self.pods:
            self.seen[name], self.pods[name] = time.time(), self._read(pod)
            self._workers.submit(self._end, name, [one["name"] for one in pod["spec"]["containers"]])

    def _pending(self) -> Iterator[Manifest]:
        watch = self._core.list_pod_for_all_namespaces(
            label_selector=self._selector,
            field_selector="status.phase=Pending",
            watch=True,
            timeout_seconds=_WATCH_SECONDS,
            _preload_content=False,
        )
        rest = b""
        for part in watch.stream(amt=None, decode_content=False):
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                change = json.loads(line)
                if change["type"] in ("ADDED", "MODIFIED"):
                    yield change["object"]

    def _end(self, name: Name, containers: list[str]) -> None:
        pod = self.pods[name]
        status = ended_status(0, pod.message)
        (ended,) = status["containerStatuses"]
        status["containerStatuses"] = [{**ended, "name": container} for container in containers]
        try:
            self._core.patch_namespaced_pod_status(name[1], name[0], {"status": status}, _preload_content=False)
        except (urllib3.exceptions.HTTPError, client.ApiException, OSError) as error:
            self.failures.append(f"{name}: {error}")
            return
        with self._lock:
            self.ended[pod.job] += 1
            count = self.ended[pod.job]
        self._on_ended(pod.job, count)
