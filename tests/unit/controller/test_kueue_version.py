"""Kueue is asked in the version that it serves, over HTTP as an API server answers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client

from distillation_operator.controller.kube import ApiError, Kube
from distillation_operator.controller.served_version import SECONDS_ABSENT, SECONDS_KNOWN, ServedVersion
from distillation_operator.manifests.reading import queue_message
from support.virtual_time import run

WORDS = "couldn't assign flavors to pod set main: insufficient unused quota"
WAITING = {"type": "QuotaReserved", "status": "False", "message": WORDS}


class Server:
    """An API server in which Kueue is served in some versions."""

    def __init__(self, *versions: str) -> None:
        self.versions = versions
        self.asked: list[str] = []

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.asked.append(request.path)
        served = [{"groupVersion": f"kueue.x-k8s.io/{version}", "version": version} for version in self.versions]
        if request.path == "/apis/kueue.x-k8s.io" and served:
            return web.json_response({"kind": "APIGroup", "versions": served, "preferredVersion": served[0]})
        if request.path in {f"/apis/kueue.x-k8s.io/{version}/namespaces/ml/workloads" for version in self.versions}:
            return web.json_response({"items": [{"status": {"conditions": [WAITING]}}]})
        status = {"kind": "Status", "code": 404, "reason": "NotFound", "message": "could not find the resource"}
        return web.json_response(status, status=404)


def before(server: Server, scenario: Callable[[Kube], Awaitable[None]]) -> None:
    """Run a scenario with a connection to the server."""

    async def whole() -> None:
        runner = web.ServerRunner(web.Server(server.answer))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        configuration: Any = client.Configuration()
        configuration.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
        kube = Kube(client.ApiClient(configuration))
        try:
            await scenario(kube)
        finally:
            await kube.close()
            await runner.cleanup()

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("versions", "asked"),
    [
        (("v1beta2",), "v1beta2"),
        (("v1beta1",), "v1beta1"),
        (("v1beta1", "v1beta2"), "v1beta2"),
        (("v1", "v2alpha1"), "v1"),
    ],
)
def test_the_version_that_is_served_is_asked_for(versions: tuple[str, ...], asked: str) -> None:
    """U24: where v1beta1 is gone a job that waits shows Kueue's words nevertheless."""
    server = Server(*versions)

    async def scenario(kube: Kube) -> None:
        for _ in range(3):
            assert queue_message(await kube.list_workloads("ml", "uid-1")) == WORDS

    before(server, scenario)
    assert server.asked == ["/apis/kueue.x-k8s.io", *[f"/apis/kueue.x-k8s.io/{asked}/namespaces/ml/workloads"] * 3]


def test_where_there_is_no_kueue_nothing_is_said() -> None:
    async def scenario(kube: Kube) -> None:
        assert await kube.list_workloads("ml", "uid-1") == []

    before(Server(), scenario)


def test_after_an_upgrade_of_kueue_the_new_version_is_found() -> None:
    server = Server("v1beta1")

    async def scenario(kube: Kube) -> None:
        assert len(await kube.list_workloads("ml", "uid-1")) == 1
        server.versions = ("v1beta2",)
        assert await kube.list_workloads("ml", "uid-1") == []
        assert len(await kube.list_workloads("ml", "uid-1")) == 1

    before(server, scenario)


@pytest.mark.parametrize(("is_served", "seconds"), [(True, SECONDS_KNOWN), (False, SECONDS_ABSENT)])
def test_an_answer_is_remembered_for_a_while(is_served: bool, seconds: float) -> None:
    asked = []

    async def read(path: str) -> dict[str, Any]:
        asked.append(path)
        if not is_served:
            raise ApiError(404, "NotFound", "")
        return {"versions": [{"version": "v1beta2"}]}

    async def scenario() -> None:
        version = ServedVersion("kueue.x-k8s.io", ("v1beta2",), read)
        for _ in range(2):
            await version.get()
        assert len(asked) == 1
        await asyncio.sleep(seconds)
        assert await version.get() == ("v1beta2" if is_served else None)
        assert len(asked) == 2

    run(scenario())


def test_an_answer_that_does_not_come_is_not_remembered() -> None:
    async def read(path: str) -> dict[str, Any]:
        raise ApiError(0, "Unreachable", "")

    async def scenario() -> None:
        version = ServedVersion("kueue.x-k8s.io", ("v1beta2",), read)
        for _ in range(2):
            with pytest.raises(ApiError):
                await version.get()

    run(scenario())
