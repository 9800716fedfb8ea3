"""The calls to the API server, as plain objects. Its errors come as ``ApiError`` with the server's own words."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, cast

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException

from distillation_api.resource import GROUP, PLURAL, VERSION
from distillation_operator.controller import pages
from distillation_operator.controller.api_error import ApiError as ApiError
from distillation_operator.controller.queue import Key
from distillation_operator.controller.served_version import ServedVersion
from distillation_operator.manifests.kept_fields import kept_child
from distillation_operator.manifests.labels import JOB_LABEL, SELECTOR
from distillation_operator.manifests.pod import CONTAINER

Object = Mapping[str, Any]
ChildKind = Literal["Job", "JobSet"]

_RESOURCES: dict[str, tuple[str, str, str]] = {
    "Job": ("batch", "v1", "jobs"),
    "JobSet": ("jobset.x-k8s.io", "v1alpha2", "jobsets"),
}
_KUEUE = "kueue.x-k8s.io"
_KUEUE_VERSIONS = ("v1beta2", "v1beta1")
"""Newest first. Kueue serves the second up to 0.19, and the first since 0.15."""
_SECONDS = 15.0
EVENTS_LIMIT = 200
"""Events that are read about one object; the parts of Kubernetes repeat themselves in a handful."""
NOT_LEADING = "NotLeading"


class NoCluster(Exception):
    """Nothing says where the API server is, or how to log in to it."""


class Listed(NamedTuple):
    """Objects, and the version at which they were listed; None where the cluster lacks the kind."""

    items: list[Object]
    version: int | None


def context_namespace(kubeconfig: str | None, context: str | None = None) -> str:
    """The namespace that a context of the kubeconfig names, its current one where none is given, as kubectl takes it;
    ``default`` where it names none.
    """
    try:
        contexts, chosen = config.list_kube_config_contexts(config_file=kubeconfig)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        # In a pod there is no kubeconfig.
        return "default"
    if context is not None:
        chosen = next((one for one in contexts if one["name"] == context), {"context": {}})
    return str(chosen["context"].get("namespace") or "default")


class Kube:
    """A connection to the API server.

    ``write_seconds``: for how long a write may still be sent (see election); a write is refused when that is 0, and
    given up when it takes longer. ``count``: told of each call's verb, resource and HTTP status.
    """

    def __init__(
        self,
        api: client.ApiClient,
        write_seconds: Callable[[], float] = lambda: _SECONDS,
        count: Callable[[str, str, int], None] = lambda verb, resource, code: None,
    ) -> None:
        self._api = api
        self.write_seconds = write_seconds
        self.count = count
        self._objects = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)
        self._kueue = ServedVersion(_KUEUE, _KUEUE_VERSIONS, self._read_group)

    @staticmethod
    async def connect(kubeconfig: str | None, user_agent: str, context: str | None = None) -> "Kube":
        """Log in as kubectl would, or as the pod's ServiceAccount where no kubeconfig and no context of one is named.
        Raises NoCluster.
        """
        try:
            await config.load_kube_config(config_file=kubeconfig, context=context)  # type: ignore[no-untyped-call]
        except config.ConfigException as error:
            if kubeconfig is not None or context is not None:
                raise NoCluster(str(error)) from error
            try:
                config.load_incluster_config()  # type: ignore[no-untyped-call]
            except config.ConfigException as missing:
                raise NoCluster(str(missing)) from missing
        api = client.ApiClient()
        api.user_agent = user_agent
        return Kube(api)

    @property
    def api(self) -> client.ApiClient:
        """The connection itself, for the election."""
        return self._api

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def create_child(self, manifest: Object) -> Object:
        """Create a Job or JobSet."""
        group, version, plural = _RESOURCES[manifest["kind"]]
        seconds = self._write_timeout()
        call = self._objects.create_namespaced_custom_object(
            group, version, manifest["metadata"]["namespace"], plural, dict(manifest), _request_timeout=seconds
        )
        return dict(await self._answer("create", plural, call))

    async def read_child(self, kind: str, namespace: str, name: str) -> Object:
        """A Job or JobSet."""
        group, version, plural = _RESOURCES[kind]
        call = self._objects.get_namespaced_custom_object(
            group, version, namespace, plural, name, _request_timeout=_SECONDS
        )
        return dict(await self._answer("get", plural, call))

    async def delete_child(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Delete a Job or JobSet with its pods. One that is gone is fine, also when another has its name now."""
        group, version, plural = _RESOURCES[kind]
        seconds = self._write_timeout()
        options = client.V1DeleteOptions(propagation_policy="Background", preconditions=client.V1Preconditions(uid=uid))
        call = self._objects.delete_namespaced_custom_object(
            group, version, namespace, plural, name, body=options, _request_timeout=seconds
        )
        try:
            await self._answer("delete", plural, call)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def list_workloads(self, namespace: str, uid: str) -> list[Object]:
        """Kueue's Workloads of a Job or JobSet; none where the cluster lacks Kueue."""
        version = await self._kueue.get()
        if version is None:
            return []
        call = self._objects.list_namespaced_custom_object(
            _KUEUE,
            version,
            namespace,
            "workloads",
            label_selector=f"kueue.x-k8s.io/job-uid={uid}",
            _request_timeout=_SECONDS,
        )
        try:
            return list((await self._answer("list", "workloads", call))["items"])
        except ApiError as error:
            if error.status == 404:
                # Kueue was upgraded, or is gone.
                self._kueue.forget()
                return []
            raise

    async def list_failed_creations(self, namespace: str, uid: str) -> list[Object]:
        """The Events that say why the pods of a Job can't be created."""
        return await self._list_events(namespace, f"involvedObject.uid={uid},reason=FailedCreate")

    async def list_pod_events(self, namespace: str, uid: str) -> list[Object]:
        """The Events about a pod."""
        return await self._list_events(namespace, f"involvedObject.uid={uid}")

    async def read_node(self, name: str) -> Object:
        """A Node."""
        call = self._core.read_node_without_preload_content(name, _request_timeout=_SECONDS)
        return dict(await self._answer("get", "nodes", _decoded(call)))

    async def _list_events(self, namespace: str, fields: str) -> list[Object]:
        call = self._core.list_namespaced_event_without_preload_content(
            namespace, field_selector=fields, limit=EVENTS_LIMIT, _request_timeout=_SECONDS
        )
        return list((await self._answer("list", "events", _decoded(call)))["items"])

    async def list_children(self, kind: str, key: Key) -> Listed:
        """What is kept of the Jobs, JobSets or Pods of a DistillationJob; nothing where the cluster lacks the kind."""
        namespace, name = key
        selector = f"{SELECTOR},{JOB_LABEL}={name}"
        found: list[Object] = []
        asked: dict[str, Any] = {"label_selector": selector, "limit": pages.FIRST}
        try:
            while True:
                body = await self._list_page(kind, namespace, asked)
                page = json.loads(body)
                found += [kept_child(kind, item) for item in page["items"]]
                if not page["metadata"].get("continue"):
                    return Listed(found, int(page["metadata"]["resourceVersion"]))
                asked["_continue"] = page["metadata"]["continue"]
                asked["limit"] = pages.next_page(len(page["items"]), len(body))
        except ApiError as error:
            if error.status == 404:
                return Listed([], None)
            raise

    async def _list_page(self, kind: str, namespace: str, asked: Mapping[str, Any]) -> bytes:
        if kind == "Pod":
            pods = self._core.list_namespaced_pod_without_preload_content(namespace, **asked, _request_timeout=_SECONDS)
            return bytes(await self._answer("list", "pods", _read(pods)))
        group, version, plural = _RESOURCES[kind]
        call = self._objects.list_namespaced_custom_object_without_preload_content(
            group, version, namespace, plural, **asked, _request_timeout=_SECONDS
        )
        return bytes(await self._answer("list", plural, _read(call)))

    async def read_document(self, path: str) -> Object:
        """What the API server says of itself at that path, e.g. its OpenAPI documents."""
        return dict(await self._answer("get", "openapi", self._read_document(path)))

    async def open(
        self, verb: str, resource: str, path: str, asked: Mapping[str, str], seconds: float
    ) -> aiohttp.ClientResponse:
        """The answer to a GET, whose body is still to be read; all of it must come within these seconds. Raises
        ApiError; reading the body raises aiohttp's errors and TimeoutError."""
        request = await self._api.param_serialize(
            "GET",
            path,
            query_params=list(asked.items()),
            header_params={"Accept": "application/json"},
            auth_settings=["BearerToken"],
        )
        call = _opened(self._api.call_api(*request, _request_timeout=seconds))
        return cast(aiohttp.ClientResponse, await self._answer(verb, resource, call))

    async def _read_group(self, path: str) -> Object:
        """What the API server says of the versions of a group, which every account may ask."""
        return dict(await self._answer("get", "apis", self._read_document(path)))

    async def _read_document(self, path: str) -> Any:
        request = await self._api.param_serialize(
            "GET", path, header_params={"Accept": "application/json"}, auth_settings=["BearerToken"]
        )
        return await _decoded(self._api.call_api(*request, _request_timeout=_SECONDS))

    async def may(self, verb: str, group: str, resource: str) -> bool:
        """Whether this account may do that in the whole cluster; every account may ask this."""
        attributes = client.V1ResourceAttributes(verb=verb, group=group, resource=resource)
        review = client.V1SelfSubjectAccessReview(
            spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
        )
        call = client.AuthorizationV1Api(self._api).create_self_subject_access_review(review, _request_timeout=_SECONDS)
        return bool((await self._answer("create", "selfsubjectaccessreviews", call)).status.allowed)

    async def write_status(self, job: Object, status: Object) -> Object:
        """Replace a DistillationJob's status; the version read must still be the newest (409 else)."""
        namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
        seconds = self._write_timeout()
        call = self._objects.replace_namespaced_custom_object_status(
            GROUP, VERSION, namespace, PLURAL, name, {**job, "status": status}, _request_timeout=seconds
        )
        return dict(await self._answer("update", f"{PLURAL}/status", call))

    async def read_log_tail(self, namespace: str, pod: str, lines: int) -> str:
        """The last lines of the stage container's log. A limit in bytes may cut a character, and programs write what
        they like: what isn't UTF-8 is replaced."""
        call = self._core.read_namespaced_pod_log_without_preload_content(
            pod, namespace, container=CONTAINER, tail_lines=lines, limit_bytes=65_536, _request_timeout=_SECONDS
        )
        return str(await self._answer("get", "pods/log", _text(call)))

    async def create_event(self, namespace: str, event: Object) -> None:
        """Create an Event."""
        body: Any = dict(event)
        call = self._core.create_namespaced_event_without_preload_content(
            namespace, body, _request_timeout=self._write_timeout()
        )
        await self._answer("create", "events", _decoded(call))

    def _write_timeout(self) -> float:
        seconds = min(_SECONDS, self.write_seconds())
        if seconds <= 0:
            raise ApiError(0, NOT_LEADING, "another replica may act now")
        return seconds

    async def _answer(self, verb: str, resource: str, call: Any) -> Any:
        code = 200
        try:
            return await call
        except ApiError as error:
            code = error.status
            raise
        except ApiException as error:
            code = error.status or 0
            raise _api_error(error.status, error.reason, error.body) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            code = 0
            raise ApiError(0, "Unreachable", str(error) or type(error).__name__) from error
        except asyncio.CancelledError:
            # Given up by the caller, whose patience is shorter.
            code = 0
            raise
        finally:
            self.count(verb, resource, code)


async def _decoded(call: Any) -> Any:
    """The JSON of a response that the client has not read. Raises ApiError."""
    return json.loads(await _read(call))


async def _text(call: Any) -> str:
    """The text of a response that the client has not read. Raises ApiError."""
    return (await _read(call)).decode(errors="replace")


async def _opened(call: Any) -> aiohttp.ClientResponse:
    """A response whose body is still to be read. Raises ApiError."""
    response = await call
    if response.status >= 400:
        raise _api_error(response.status, response.reason, await response.read())
    return cast(aiohttp.ClientResponse, response.response)


async def _read(call: Any) -> bytes:
    """The body of a response that the client has not read. Raises ApiError."""
    response = await call
    body: bytes = await response.read()
    if response.status >= 400:
        raise _api_error(response.status, response.reason, body)
    return body


def _api_error(status: int, reason: str | None, body: str | bytes | None) -> ApiError:
    """The server's words are in the body, a ``Status`` object; a proxy's page has none."""
    try:
        told = json.loads(body or "")
        return ApiError(status, told.get("reason") or reason or "", told.get("message") or "")
    except (ValueError, AttributeError):
        return ApiError(status, reason or "", str(body or "")[:500])
