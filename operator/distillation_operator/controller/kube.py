"""The calls to the API server, as plain objects. Its errors come as ``ApiError`` with the server's own words."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Literal, NamedTuple, cast
from urllib.request import getproxies

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException

from distillation_api.resource import GROUP, PLURAL, VERSION
from distillation_operator.controller import pages
from distillation_operator.controller.answers import api_error, decoded, opened, sized, text
from distillation_operator.controller.api_error import ApiError as ApiError
from distillation_operator.controller.foreign_pages import refuse_pages
from distillation_operator.controller.patience import Patience
from distillation_operator.controller.queue import Key
from distillation_operator.controller.served_version import ServedVersion
from distillation_operator.manifests.kept_fields import kept_child
from distillation_operator.manifests.labels import JOB_LABEL, SELECTOR
from distillation_operator.manifests.pod import CONTAINER

Object = Mapping[str, Any]
ChildKind = Literal["Job", "JobSet"]

RESOURCES: Mapping[str, tuple[str, str, str]] = {
    "JobSet": ("jobset.x-k8s.io", "v1alpha2", "jobsets"),
    "Job": ("batch", "v1", "jobs"),
    "Pod": ("", "v1", "pods"),
}
"""Group, version and plural of what jobs have as children, in the order in which they are listed: owners before what
they own, and effects before their causes, so that no end is seen without its reason."""
_KUEUE = "kueue.x-k8s.io"
_KUEUE_VERSIONS = ("v1beta2", "v1beta1")
"""Newest first. Kueue serves the second up to 0.19, and the first since 0.15."""
_JSON = "application/json"
_METADATA_ALONE = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_SECONDS = 15.0
PATIENCE_SECONDS = 10.0
"""Of these, for how long an API server that is overloaded may have a call wait."""
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
        api.configuration.client_session_kwargs = {
            "middlewares": (Patience(PATIENCE_SECONDS), refuse_pages),
            # Where the environment names no proxy all that it does is to read ~/.netrc with each call.
            "trust_env": bool(getproxies()),
        }
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
        group, version, plural = RESOURCES[manifest["kind"]]
        seconds = self._write_timeout()
        call = self._objects.create_namespaced_custom_object_without_preload_content(
            group, version, manifest["metadata"]["namespace"], plural, dict(manifest), _request_timeout=seconds
        )
        return dict(await self._answer("create", plural, decoded(call)))

    async def read_child(self, kind: str, namespace: str, name: str) -> Object:
        """A Job or JobSet."""
        return dict((await self._get("get", RESOURCES[kind][2], f"{_children_path(kind, namespace)}/{name}"))[0])

    async def read_job(self, key: Key) -> Object:
        """A DistillationJob."""
        return dict((await self._get("get", PLURAL, f"{_jobs_path(key[0])}/{key[1]}"))[0])

    async def delete_child(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Delete a Job or JobSet with its pods. One that is gone is fine, also when another has its name now."""
        group, version, plural = RESOURCES[kind]
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
        return dict(await self._answer("get", "nodes", decoded(call)))

    async def _list_events(self, namespace: str, fields: str) -> list[Object]:
        call = self._core.list_namespaced_event_without_preload_content(
            namespace, field_selector=fields, limit=EVENTS_LIMIT, _request_timeout=_SECONDS
        )
        return list((await self._answer("list", "events", decoded(call)))["items"])

    async def list_children(self, kind: str, key: Key) -> Listed:
        """What is kept of the Jobs, JobSets or Pods of a DistillationJob; nothing where the cluster lacks the kind."""
        namespace, name = key
        found: list[Object] = []
        version = None
        async for page in self.list_pages(kind, namespace, f"{SELECTOR},{JOB_LABEL}={name}"):
            found += page.items
            version = page.version
        return Listed(found, version)

    async def list_pages(self, kind: str, namespace: str | None, selector: str = SELECTOR) -> AsyncIterator[Listed]:
        """What is kept of the Jobs, JobSets or Pods of a namespace, or of all, page by page; none where the cluster
        lacks the kind. All pages have one version."""
        plural, path = RESOURCES[kind][2], _children_path(kind, namespace)
        asked = {"labelSelector": selector, "limit": str(pages.FIRST)}
        while True:
            try:
                page, size = await self._get("list", plural, path, asked)
            except ApiError as error:
                if error.status == 404:
                    return
                raise
            yield Listed([kept_child(kind, item) for item in page["items"]], int(page["metadata"]["resourceVersion"]))
            if not page["metadata"].get("continue"):
                return
            asked["continue"] = page["metadata"]["continue"]
            asked["limit"] = str(pages.next_page(len(page["items"]), size))

    async def count_jobs(self, namespace: str | None) -> int:
        """How many DistillationJobs there are in a namespace, or in all."""
        page, _ = await self._get("list", PLURAL, _jobs_path(namespace), {"limit": "1"})
        return len(page["items"]) + int(page["metadata"].get("remainingItemCount") or 0)

    async def list_uids(self, namespace: str | None) -> dict[Key, str]:
        """The UIDs of all DistillationJobs in a namespace, or in all."""
        found: dict[Key, str] = {}
        asked = {"limit": str(pages.METADATA)}
        while True:
            page, _ = await self._get("list", PLURAL, _jobs_path(namespace), asked, _METADATA_ALONE)
            for item in page["items"]:
                found[item["metadata"]["namespace"], item["metadata"]["name"]] = item["metadata"]["uid"]
            if not page["metadata"].get("continue"):
                return found
            asked["continue"] = page["metadata"]["continue"]

    async def read_document(self, path: str) -> Object:
        """What the API server says of itself at that path, e.g. its OpenAPI documents."""
        return dict((await self._get("get", "openapi", path))[0])

    async def open(
        self, verb: str, resource: str, path: str, asked: Mapping[str, str], seconds: float
    ) -> aiohttp.ClientResponse:
        """The answer to a GET, whose body is still to be read; all of it must come within these seconds. Raises
        ApiError; reading the body raises aiohttp's errors and TimeoutError."""
        call = opened(self._asking(path, asked, _JSON, seconds))
        return cast(aiohttp.ClientResponse, await self._answer(verb, resource, call))

    async def _read_group(self, path: str) -> Object:
        """What the API server says of the versions of a group, which every account may ask."""
        return dict((await self._get("get", "apis", path))[0])

    async def _get(
        self, verb: str, resource: str, path: str, asked: Mapping[str, str] | None = None, accept: str = _JSON
    ) -> tuple[Any, int]:
        """What there is at a path, and how many bytes it had."""
        call = sized(self._asking(path, asked or {}, accept, _SECONDS))
        return cast(tuple[Any, int], await self._answer(verb, resource, call))

    async def _asking(self, path: str, asked: Mapping[str, str], accept: str, seconds: float) -> Any:
        request = await self._api.param_serialize(
            "GET",
            path,
            query_params=list(asked.items()),
            header_params={"Accept": accept},
            auth_settings=["BearerToken"],
        )
        return await self._api.call_api(*request, _request_timeout=seconds)

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
        call = self._objects.replace_namespaced_custom_object_status_without_preload_content(
            GROUP, VERSION, namespace, PLURAL, name, {**job, "status": status}, _request_timeout=seconds
        )
        return dict(await self._answer("update", f"{PLURAL}/status", decoded(call)))

    async def read_log_tail(self, namespace: str, pod: str, lines: int) -> str:
        """The last lines of the stage container's log. A limit in bytes may cut a character, and programs write what
        they like: what isn't UTF-8 is replaced."""
        call = self._core.read_namespaced_pod_log_without_preload_content(
            pod, namespace, container=CONTAINER, tail_lines=lines, limit_bytes=65_536, _request_timeout=_SECONDS
        )
        return str(await self._answer("get", "pods/log", text(call)))

    async def create_event(self, namespace: str, event: Object) -> None:
        """Create an Event."""
        body: Any = dict(event)
        call = self._core.create_namespaced_event_without_preload_content(
            namespace, body, _request_timeout=self._write_timeout()
        )
        await self._answer("create", "events", decoded(call))

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
            raise api_error(error.status, error.reason, error.body) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            code = 0
            raise ApiError(0, "Unreachable", str(error) or type(error).__name__) from error
        except ValueError as error:
            # A proxy's page in place of the API server's JSON.
            code = 0
            raise ApiError(0, "Unreadable", f"the answer isn't the API server's: {error}") from error
        except asyncio.CancelledError:
            # Given up by the caller, whose patience is shorter.
            code = 0
            raise
        finally:
            self.count(verb, resource, code)


def _jobs_path(namespace: str | None) -> str:
    return _path(f"/apis/{GROUP}/{VERSION}", namespace, PLURAL)


def _children_path(kind: str, namespace: str | None) -> str:
    group, version, plural = RESOURCES[kind]
    return _path(f"/apis/{group}/{version}" if group else f"/api/{version}", namespace, plural)


def _path(root: str, namespace: str | None, plural: str) -> str:
    return f"{root}/{plural}" if namespace is None else f"{root}/namespaces/{namespace}/{plural}"
