"""The pods' programs, which the test plays since no kubelet runs; and the hand that kills operators."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from kubernetes import client
from urllib3.exceptions import HTTPError

from chaos.scripts import TRAINING_HOSTS, Script
from distillation_api.contract import StageFailure
from distillation_operator.manifests.labels import CHILD_LABEL, JOB_LABEL, SELECTOR, STAGE_LABEL
from support.operating import Operator, ended_status, succeeded_status

INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
EVICTED = 0.04
"""Share of attempts that are taken away before they end."""
LONGEST_RUN = 3.0
"""Seconds."""

Key = tuple[str, str]
Pod = Mapping[str, Any]


class Programs:
    """Ends the pods of a namespace as the scripts say, each after a random time; some are evicted first."""

    def __init__(
        self,
        api: client.ApiClient,
        namespace: str,
        scripts: Mapping[str, Script],
        seed: int,
        most_evictions: int,
        longest_run: float = LONGEST_RUN,
    ) -> None:
        """``most_evictions``: of one stage, each of which doubles the time until its next attempt. ``longest_run``: of
        a pod, in seconds."""
        self._core: Any = client.CoreV1Api(api)
        self._namespace = namespace
        self._scripts = scripts
        self._chance = random.Random(seed)
        self._most_evictions = most_evictions
        self._longest_run = longest_run
        self._due: dict[str, float] = {}
        self._told: dict[str, dict[str, Any]] = {}
        self._untold: dict[str, tuple[Counter[Any], Any]] = {}
        """What is taken back when a pod has gone before it could be told its end."""
        self._spent: Counter[tuple[str, str, int]] = Counter()
        self.evictions: Counter[tuple[str, str]] = Counter()
        """By job and stage."""

    def step(self) -> None:
        """End all pods whose time has come."""
        groups: dict[tuple[str, int], list[Pod]] = {}
        for pod in self._living():
            if pod["metadata"]["uid"] in self._told:
                # The list was older than the answer, or the answer was lost with the API server: what a pod's end is,
                # is decided once.
                self._patch(pod)
                continue
            labels = pod["metadata"]["labels"]
            shard = int(labels.get(INDEX_LABEL, "0")) if labels[STAGE_LABEL] == "generate" else 0
            groups.setdefault((labels[CHILD_LABEL], shard), []).append(pod)
        now = time.monotonic()
        for (_, shard), pods in groups.items():
            labels = pods[0]["metadata"]["labels"]
            stage = labels[STAGE_LABEL]
            if len(pods) != TRAINING_HOSTS.get(stage, 1):
                # Not all are there yet; or more, of which the Job controller removes some.
                continue
            first = pods[0]["metadata"]["name"]
            due = self._due.setdefault(first, now + self._chance.uniform(0, self._longest_run))
            if now >= due:
                self._end(labels[JOB_LABEL], stage, shard, pods)

    def hurry(self) -> None:
        """End all pods soon, also those that had time left."""
        self._longest_run = LONGEST_RUN
        self._due.clear()

    def _living(self) -> list[Pod]:
        answer = self._core.list_namespaced_pod(
            self._namespace,
            label_selector=SELECTOR,
            field_selector="status.phase=Pending",
            resource_version="0",
            _preload_content=False,
            _request_timeout=10,
        )
        return [pod for pod in json.loads(answer.data)["items"] if "deletionTimestamp" not in pod["metadata"]]

    def _end(self, job: str, stage: str, shard: int, pods: list[Pod]) -> None:
        first = pods[0]
        if self._chance.random() < EVICTED and self.evictions[job, stage] < self._most_evictions:
            self._count(self.evictions, (job, stage), first)
            self._tell(first, ended_status(137, "", disrupted=True))
            return
        outcomes = self._scripts[job].of(stage, shard)
        spent = self._spent[job, stage, shard]
        if spent < len(outcomes):
            self._count(self._spent, (job, stage, shard), first)
            refusal = outcomes[spent] == "refusal"
            reason = "MissingColumn" if refusal else "ProgramCrashed"
            told = StageFailure(stage=stage, reason=reason, message="as scripted", permanent=refusal)
            self._tell(first, ended_status(65 if refusal else 1, told.model_dump_json(by_alias=True)))
            return
        for pod in pods:
            self._told[pod["metadata"]["uid"]] = succeeded_status(pod)
        for pod in pods:
            self._patch(pod)

    def _count(self, counter: Counter[Any], key: Any, pod: Pod) -> None:
        counter[key] += 1
        self._untold[pod["metadata"]["uid"]] = (counter, key)

    def _tell(self, pod: Pod, status: dict[str, Any]) -> None:
        self._told[pod["metadata"]["uid"]] = status
        self._patch(pod)

    def _patch(self, pod: Pod) -> None:
        """Tell the API server what was decided for the pod."""
        uid = pod["metadata"]["uid"]
        try:
            self._core.patch_namespaced_pod_status(
                pod["metadata"]["name"],
                self._namespace,
                # A pod that has been replaced under the same name, or has gone, is another's business.
                {"metadata": {"uid": uid}, "status": self._told[uid]},
                _preload_content=False,
                _request_timeout=10,
            )
            self._untold.pop(uid, None)
        except client.ApiException as error:
            if error.status not in (404, 409):
                raise
            if uid in self._untold:
                counter, key = self._untold.pop(uid)
                counter[key] -= 1


class Killer:
    """Kills one of the operators every few seconds and starts it again."""

    def __init__(self, operators: list[Operator], seed: int, seconds: tuple[float, float]) -> None:
        self._operators = operators
        self._seconds = seconds
        self._chance = random.Random(seed)
        self._next = time.monotonic() + 5
        self.kills = 0

    def step(self) -> None:
        """Kill one, if it is time; and start what has ended by itself, as the kubelet does."""
        for operator in self._operators:
            if operator.exit_code() is not None:
                operator.start()
        if time.monotonic() >= self._next:
            operator = self._chance.choice(self._operators)
            operator.end()
            operator.start()
            self.kills += 1
            self._next = time.monotonic() + self._chance.uniform(*self._seconds)


class Acting(threading.Thread):
    """Repeats a step until it is told to end. An API server that doesn't answer is waited for."""

    def __init__(self, step: Callable[[], None], pause: float) -> None:
        super().__init__(daemon=True)
        self._step = step
        self._pause = pause
        self._over = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        """Act."""
        try:
            while not self._over.wait(self._pause):
                try:
                    self._step()
                except (HTTPError, OSError):
                    continue
                except client.ApiException as error:
                    # While it starts, an API server forbids and refuses what it will allow.
                    if error.status not in (403, 429, 500, 503, 504):
                        raise
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        """End it; raises what ended it before."""
        self._over.set()
        self.join()
        if self.error is not None:
            raise self.error
