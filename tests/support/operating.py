"""What the controller's tests do: run the operator, finish pods through the status subresource, wait for conditions."""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubernetes import client

from distillation_api.contract import StageFailure, StageResult, StageSpec
from distillation_operator.manifests.labels import STAGE_LABEL
from support.eventually import eventually
from support.measured_process import MeasuredProcess

Pod = Any
"""A pod as the client returns it."""


class Operator(MeasuredProcess):
    """The operator as a process, in one namespace, or in all."""

    def __init__(
        self,
        kubeconfig: Path,
        namespace: str | None,
        log: Path,
        *arguments: str,
        replica: str = "replica",
        source: Path | None = None,
    ) -> None:
        """``source``: the folder of another version's package, in place of this checkout's."""
        where = [] if namespace is None else ["--namespace", namespace]
        command = [
            sys.executable, "-m", "distillation_operator", "run", "--kubeconfig", str(kubeconfig), *where, *arguments,
        ]  # fmt: skip
        path = [*([str(source)] if source else []), *sys.path]
        super().__init__(command, log, {**os.environ, "PYTHONPATH": os.pathsep.join(path), "POD_NAME": replica})
        self.replica = replica

    def log(self) -> list[dict[str, Any]]:
        """Its log, a JSON object a line."""
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]


class Pods:
    """The pods of one namespace, which no kubelet runs: the test does."""

    def __init__(self, api_client: client.ApiClient, namespace: str) -> None:
        self._core: Any = client.CoreV1Api(api_client)
        self._namespace = namespace

    def of_stage(self, stage: str) -> list[Pod]:
        """The living pods of a stage."""
        pods = self._core.list_namespaced_pod(self._namespace, label_selector=f"{STAGE_LABEL}={stage}").items
        return [
            pod for pod in pods if pod.status.phase in ("Pending", "Running") and not pod.metadata.deletion_timestamp
        ]

    def wait(self, stage: str, count: int = 1) -> list[Pod]:
        """The living pods of a stage, once there are ``count``."""

        def enough() -> list[Pod] | None:
            pods = self.of_stage(stage)
            return pods if len(pods) == count else None

        return eventually(f"{count} pods of {stage}", enough)

    def succeed(self, stage: str, count: int = 1, **result: Any) -> None:
        """End the pods of a stage as its program would after good work."""
        for pod in self.wait(stage, count):
            self.end(pod, **result)

    def end(self, pod: Pod, **result: Any) -> None:
        """End one pod as its program would after good work."""
        asked = raw_stage_spec(pod)
        done = StageResult(stage=asked["stage"], fingerprint=asked["fingerprint"], **result)
        self._end(pod, 0, done.model_dump_json(by_alias=True))

    def end_silently(self, pod: Pod) -> None:
        """End one pod well that leaves it to another to tell the result, as all hosts of a training but the first."""
        self._end(pod, 0, "")

    def fail(self, stage: str, code: int, reason: str, message: str, count: int = 1) -> None:
        """End the first of a stage's pods as its program would when it gives up."""
        told = StageFailure(stage=stage, reason=reason, message=message, permanent=code in (65, 78))
        self._end(self.wait(stage, count)[0], code, told.model_dump_json(by_alias=True))

    def evict(self, stage: str, count: int = 1) -> None:
        """Take the first of a stage's pods away, as the loss of its node does."""
        self._patch(self.wait(stage, count)[0], ended_status(137, "", disrupted=True))

    def wait_for_image(self, stage: str, reason: str, message: str) -> None:
        """Let a stage's pod wait as the kubelet does when it can't start the container."""
        (pod,) = self.wait(stage)
        self._patch(pod, _status("Pending", {"waiting": {"reason": reason, "message": message}}))

    def bind(self, pod: Pod, node: str) -> None:
        """Put a pod on a node, as the scheduler does."""
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        body = {"metadata": {"name": pod.metadata.name}, "target": target}
        # The client can't read the answer, which has no target.
        self._core.create_namespaced_pod_binding(pod.metadata.name, self._namespace, body, _preload_content=False)

    def run(self, stage: str, count: int = 1) -> None:
        """Let the pods of a stage run."""
        for pod in self.wait(stage, count):
            self._patch(pod, running_status())

    def _end(self, pod: Pod, code: int, message: str) -> None:
        self._patch(pod, ended_status(code, message))

    def _patch(self, pod: Pod, status: dict[str, Any]) -> None:
        self._core.patch_namespaced_pod_status(pod.metadata.name, self._namespace, {"status": status})


def running_status() -> dict[str, Any]:
    """The status of a pod whose program runs."""
    return _status("Running", {"running": {"startedAt": _now()}})


def succeeded_status(pod: Mapping[str, Any], **result: Any) -> dict[str, Any]:
    """The status of a pod, given as the API server's JSON, whose program has done good work."""
    environment = {variable["name"]: variable.get("value") for variable in pod["spec"]["containers"][0]["env"]}
    asked = json.loads(environment["STAGE_SPEC"])
    done = StageResult(stage=asked["stage"], fingerprint=asked["fingerprint"], **result)
    return ended_status(0, done.model_dump_json(by_alias=True))


def ended_status(code: int, message: str, disrupted: bool = False) -> dict[str, Any]:
    """The status of a pod whose program has ended with this code and termination message, or was evicted."""
    state = {"exitCode": code, "message": message, "startedAt": _now(), "finishedAt": _now()}
    status = _status("Failed" if code else "Succeeded", {"terminated": state})
    if disrupted:
        condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": ""}
        status["conditions"] = [{**condition, "lastTransitionTime": _now()}]
    return status


def _status(phase: str, state: dict[str, Any]) -> dict[str, Any]:
    container = {"name": "stage", "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": state}
    return {"phase": phase, "startTime": _now(), "containerStatuses": [container]}


def stage_spec(pod: Pod) -> StageSpec:
    """What a pod's program is asked to do."""
    return StageSpec.model_validate(raw_stage_spec(pod))


def raw_stage_spec(pod: Pod) -> dict[str, Any]:
    """The same as another version of the operator may have written it."""
    environment = {variable.name: variable.value for variable in pod.spec.containers[0].env}
    return dict(json.loads(environment["STAGE_SPEC"]))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
