"""The port that Kubernetes and Prometheus ask: /healthz, /readyz and /metrics."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from distillation_operator.controller.metrics import Metrics

RENDER_SECONDS = 5.0
"""Many jobs take a while to render, and the port is open to whoever reaches it."""

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
        self._rendered: tuple[float, bytes] | None = None
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self, port: int) -> None:
        """Listen on that port of all addresses."""
        await self._runner.setup()
        await web.TCPSite(self._runner, port=port).start()

    async def close(self) -> None:
        """Stop."""
        await self._runner.cleanup()

    async def _tell(self, request: web.Request) -> web.Response:
        return web.Response(body=self.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def render(self) -> bytes:
        """The metrics as text, at most ``RENDER_SECONDS`` old: whoever asks often gets the same again."""
        now = asyncio.get_running_loop().time()
        if self._rendered is None or now - self._rendered[0] >= RENDER_SECONDS:
            self._rendered = now, generate_latest(self._metrics.registry)
        return self._rendered[1]


def _answering(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        problem = await check()
        return web.Response(text=f"{problem or 'ok'}\n", status=503 if problem else 200)

    return answer
