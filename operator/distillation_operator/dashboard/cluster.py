"""Jobs of a cluster: listed once, then watched, with the user's own rights and by reading alone.

Each watch lasts half a minute and is followed by another from where it ended. So a connection that broke without a word
is noticed by then, however quiet the cluster is.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp
import yaml

from distillation_api.resource import GROUP, PLURAL, VERSION
from distillation_operator import __version__
from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.kubeconfig import require_kubeconfig
from distillation_operator.controller import pages
from distillation_operator.controller.api_error import ApiError
from distillation_operator.controller.kube import Kube, NoCluster, context_namespace
from distillation_operator.dashboard.board import Board, Health
from distillation_operator.dashboard.lenient import Object, text
from distillation_operator.dashboard.row import Key
from distillation_operator.manifests.kept_fields import kept_job

WATCH_SECONDS = 30
_SLACK = 10.0
_LIST_SECONDS = 30
LONGEST_WAIT = 10.0
"""Seconds between two tries while there is no API server."""
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _GONE = 401, 403, 404, 410
ALL = ""
"""In place of a namespace: all of them."""

# The client reads whatever file it is given and fails where that isn't what it expects.
_BAD_KUBECONFIG = (NoCluster, yaml.YAMLError, OSError, ValueError, TypeError, LookupError, AttributeError)


class Cluster:
    """A source of jobs: of the namespaces that are named, else of all that the user may list."""

    def __init__(
        self,
        board: Board,
        kubeconfig: str | None,
        namespaces: Sequence[str],
        watch_seconds: int = WATCH_SECONDS,
        slack_seconds: float = _SLACK,
        context: str | None = None,
    ) -> None:
        """``watch_seconds``: how long the API server is asked to keep one watch; ``slack_seconds``: how much longer it
        may take before the connection counts as broken; ``context``: of the kubeconfig, None for its current one."""
        self._watch_seconds = watch_seconds
        self._slack_seconds = slack_seconds
        self._board = board
        self._kubeconfig = kubeconfig
        self._context = context
        self._namespaces = tuple(namespaces) or (ALL,)
        self._kube: Kube | None = None
        self._connecting = asyncio.Lock()
        for namespace in self._namespaces:
            board.tell(namespace, Health())

    async def connect(self) -> None:
        """Read the kubeconfig. Raises CommandError."""
        await self._connected()

    async def run(self) -> None:
        """Follow the jobs for good."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for namespace in self._namespaces:
                    tasks.create_task(self._follow(namespace))
        finally:
            await self._disconnect()

    async def _follow(self, scope: str) -> None:
        place, version, failures, loaded, note = scope, "", 0, False, ""
        while True:
            try:
                if not version:
                    version = await self._list(scope, place)
                    loaded = True
                begun = asyncio.get_running_loop().time()
                async for seen in self._watch(scope, place, version):
                    version, failures = seen, 0
                    self._board.tell(scope, Health(loaded, note=note))
                # Whatever stands between may end each watch at once.
                await asyncio.sleep(max(0.0, begun + 1 - asyncio.get_running_loop().time()))
                continue
            except ApiError as error:
                if error.status == _FORBIDDEN and place == ALL and not loaded:
                    place = await asyncio.to_thread(context_namespace, self._kubeconfig, self._context)
                    note = f"Only namespace {place}: you may not list DistillationJobs in all (-n names others)."
                    continue
                if error.status == _UNAUTHORIZED:
                    # Tokens are renewed by reading the kubeconfig anew.
                    await self._disconnect()
                if error.status in (_GONE, _FORBIDDEN):
                    # What was watched from is too old; or who may not watch may list at least.
                    version = ""
                problem, is_usual = _words(error, place), error.status in (_GONE, _UNAUTHORIZED)
            except CommandError as error:
                problem, is_usual = str(error), False
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                problem, is_usual = f"an answer of the API server can't be read ({type(error).__name__})", False
                version = ""
            failures += 1
            if failures > 1 or not is_usual:
                self._board.tell(scope, Health(loaded, problem, note=note))
            await asyncio.sleep(min(LONGEST_WAIT, 0.25 * 2 ** min(failures, 6)) * random.uniform(0.75, 1.0))

    async def _list(self, scope: str, place: str) -> str:
        """All jobs of a namespace; returns the version at which they were listed."""
        found: dict[Key, Object] = {}
        asked = {"limit": str(pages.MOST)}
        while True:
            body = await self._read(place, asked)
            answer = _decoded(body)
            for item in answer.get("items") or []:
                found[_key(item)] = kept_job(item)
            token = answer["metadata"].get("continue")
            if not token:
                self._board.replace(scope, found)
                return str(answer["metadata"]["resourceVersion"])
            asked = {"limit": str(pages.next_page(len(answer["items"]), len(body))), "continue": token}

    async def _watch(self, scope: str, place: str, version: str) -> AsyncIterator[str]:
        """Follow the changes of a while; yields the version at the beginning, once the API server answers, and after
        each."""
        asked = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(self._watch_seconds),
        }
        async for line in self._lines(place, asked):
            if not line:
                yield version
                continue
            event = _decoded(line)
            job = event["object"]
            match event["type"]:
                case "ERROR":
                    raise ApiError(int(job.get("code") or 0), text(job.get("reason")), text(job.get("message")))
                case "ADDED" | "MODIFIED":
                    self._board.put(scope, _key(job), kept_job(job))
                case "DELETED":
                    self._board.drop(_key(job))
            yield str(job["metadata"]["resourceVersion"])

    async def _lines(self, place: str, asked: dict[str, str]) -> AsyncIterator[bytes]:
        """The lines of a watch; an empty one at the beginning, once the API server answers."""
        kube = await self._connected()
        response = await kube.open("watch", PLURAL, _path(place), asked, self._watch_seconds + self._slack_seconds)
        begun = bytearray()
        try:
            yield b""
            # Not the stream's own lines: an object may be longer than its buffer.
            async for chunk in response.content.iter_any():
                *lines, rest = (bytes(begun) + chunk).split(b"\n") if b"\n" in chunk else (begun + chunk,)
                begun = bytearray(rest)
                for line in lines:
                    if line:
                        yield line
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, "Unreachable", str(error) or type(error).__name__) from error
        finally:
            response.close()

    async def _read(self, place: str, asked: dict[str, str]) -> bytes:
        kube = await self._connected()
        response = await kube.open("list", PLURAL, _path(place), asked, _LIST_SECONDS)
        try:
            return await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, "Unreachable", str(error) or type(error).__name__) from error
        finally:
            response.close()

    async def _connected(self) -> Kube:
        async with self._connecting:
            if self._kube is None:
                require_kubeconfig(self._kubeconfig)
                try:
                    agent = f"distillation-operator-dashboard/{__version__}"
                    self._kube = await Kube.connect(self._kubeconfig, agent, self._context)
                except _BAD_KUBECONFIG as error:
                    reason = " ".join(text(str(error), 300).split())
                    raise CommandError(f"no cluster: {reason} (--kubeconfig FILE or $KUBECONFIG names one)") from error
            return self._kube

    async def _disconnect(self) -> None:
        kube, self._kube = self._kube, None
        if kube is not None:
            await kube.close()


def _path(place: str) -> str:
    within = f"/namespaces/{quote(place, safe='')}" if place != ALL else ""
    return f"/apis/{GROUP}/{VERSION}{within}/{PLURAL}"


def _key(job: Any) -> Key:
    return str(job["metadata"]["namespace"]), str(job["metadata"]["name"])


def _decoded(body: bytes) -> Any:
    """JSON of the API server. Raises ApiError: a proxy's page has the status of a success too."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ApiError(0, "Unreadable", "the answer isn't JSON: does a proxy stand between?")
    return answer


def _words(error: ApiError, place: str) -> str:
    where = f"in namespace {place}" if place != ALL else "in all namespaces"
    match error.status:
        case 0:
            return f"no answer from the API server ({text(error.message, 200)})"
        case status if status == _UNAUTHORIZED:
            return "the API server doesn't accept the kubeconfig's login (401): log in again"
        case status if status == _FORBIDDEN:
            return f"the API server refuses to show DistillationJobs {where}: {text(error.message, 300)}"
        case status if status == _NOT_FOUND:
            return "the cluster knows no DistillationJobs: its CRD isn't installed"
    return f"the API server answers {error.status} {text(error.reason, 64)}: {text(error.message, 200)}"
