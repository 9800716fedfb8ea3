"""The calls to the API server, as plain objects. Its errors come as ``Refused`` with the server's own words."""

import json
from collections.abc import Mapping
from typing import Any, Literal

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException

from distillation_operator.api.resource import GROUP, PLURAL, VERSION
from distillation_operator.controller.queue import Key
from distillation_operator.manifests.labels import JOB_LABEL, SELECTOR
from distillation_operator.manifests.pod import CONTAINER

Object = Mapping[str, Any]
ChildKind = Literal["Job", "JobSet"]

_RESOURCES: dict[str, tuple[str, str, str]] = {
    "Job": ("batch", "v1", "jobs"),
    "JobSet": ("jobset.x-k8s.io", "v1alpha2", "jobsets"),
}
_SECONDS = 15.0


class Refused(Exception):
    """The API server said no, or wasn't reached (status 0)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class Kube:
    """A connection to the API server."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api
        self._objects = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)

    @staticmethod
    async def connect(kubeconfig: str | None) -> "Kube":
        """Log in as kubectl would, or as the pod's ServiceAccount."""
        try:
            await config.load_kube_config(config_file=kubeconfig)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            if kubeconfig is not None:
                raise
            config.load_incluster_config()  # type: ignore[no-untyped-call]
        return Kube(client.ApiClient())

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def create_child(self, manifest: Object) -> Object:
        """Create a Job or JobSet."""
        group, version, plural = _RESOURCES[manifest["kind"]]
        call = self._objects.create_namespaced_custom_object(
            group, version, manifest["metadata"]["namespace"], plural, dict(manifest), _request_timeout=_SECONDS
        )
        return dict(await _answer(call))

    async def read_child(self, kind: str, namespace: str, name: str) -> Object:
        """A Job or JobSet."""
        group, version, plural = _RESOURCES[kind]
        call = self._objects.get_namespaced_custom_object(
            group, version, namespace, plural, name, _request_timeout=_SECONDS
        )
        return dict(await _answer(call))

    async def delete_child(self, kind: str, namespace: str, name: str) -> None:
        """Delete a Job or JobSet with its pods; one that is gone already is fine."""
        group, version, plural = _RESOURCES[kind]
        call = self._objects.delete_namespaced_custom_object(
            group, version, namespace, plural, name, propagation_policy="Background", _request_timeout=_SECONDS
        )
        try:
            await _answer(call)
        except Refused as refused:
            if refused.status != 404:
                raise

    async def list_children(self, kind: str, key: Key) -> list[Object]:
        """The Jobs, JobSets or Pods of a DistillationJob; none where the cluster lacks the kind."""
        namespace, name = key
        selector = f"{SELECTOR},{JOB_LABEL}={name}"
        try:
            if kind == "Pod":
                response = await self._core.list_namespaced_pod_without_preload_content(
                    namespace, label_selector=selector, _request_timeout=_SECONDS
                )
                body = await response.read()
                if response.status >= 400:
                    raise _refused(response.status, response.reason, body)
                return list(json.loads(body)["items"])
            group, version, plural = _RESOURCES[kind]
            call = self._objects.list_namespaced_custom_object(
                group, version, namespace, plural, label_selector=selector, _request_timeout=_SECONDS
            )
            return list((await _answer(call))["items"])
        except Refused as refused:
            if refused.status == 404:
                return []
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Refused(0, "Unreachable", str(error) or type(error).__name__) from error

    async def write_status(self, job: Object, status: Object) -> Object:
        """Replace a DistillationJob's status; the version read must still be the newest (409 else)."""
        namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
        call = self._objects.replace_namespaced_custom_object_status(
            GROUP, VERSION, namespace, PLURAL, name, {**job, "status": status}, _request_timeout=_SECONDS
        )
        return dict(await _answer(call))

    async def read_log_tail(self, namespace: str, pod: str, lines: int) -> str:
        """The last lines of the stage container's log."""
        call = self._core.read_namespaced_pod_log(
            pod, namespace, container=CONTAINER, tail_lines=lines, limit_bytes=65_536, _request_timeout=_SECONDS
        )
        return str(await _answer(call))

    async def create_event(self, namespace: str, event: Object) -> None:
        """Create an Event."""
        call = self._objects.create_namespaced_custom_object(
            "events.k8s.io", "v1", namespace, "events", dict(event), _request_timeout=_SECONDS
        )
        await _answer(call)


async def _answer(call: Any) -> Any:
    try:
        return await call
    except ApiException as error:
        raise _refused(error.status, error.reason, error.body) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Refused(0, "Unreachable", str(error) or type(error).__name__) from error


def _refused(status: int, reason: str | None, body: str | bytes | None) -> Refused:
    """The server's words are in the body, a ``Status`` object; a proxy's page has none."""
    try:
        told = json.loads(body or "")
        return Refused(status, told.get("reason") or reason or "", told.get("message") or "")
    except (ValueError, AttributeError):
        return Refused(status, reason or "", str(body or "")[:500])
