"""The port that Kubernetes and Prometheus ask: /healthz, /readyz and /metrics."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from distillation_operator.controller.metrics import Metrics

Check = Callable[[], Awaitable[str | None]]
"""What is wrong, for people; None when all is well."""


class Probes:
    """A small HTTP server in the operator's own event loop: when that is stuck, it doesn't answer either."""

    def __init__(self, metrics: Metrics, alive: Check, ready: Check) -> None:
        self._metrics = metrics
        application = web.Application()
        application.router.add_get("/healthz", _answering(alive))
        application.router.add_get("/readyz", _answering(ready))
        application.router.add_get("/metrics", self._tell)
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self, port: int) -> None:
        """Listen on that port of all addresses."""
        await self._runner.setup()
        await web.TCPSite(self._runner, port=port).start()

    async def close(self) -> None:
        """Stop."""
        await self._runner.cleanup()

    async def _tell(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answering(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        problem = await check()
        return web.Response(text=f"{problem or 'ok'}\n", status=503 if problem else 200)

    return answer
