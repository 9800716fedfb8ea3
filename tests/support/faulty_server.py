"""A reverse proxy before a testbed's API server, which fails as networks, proxies and API servers do.

It ends TLS with the API server's own certificate and speaks to it as the administrator; who uses its kubeconfig has a
token that it alone takes. Faults of calls last while they are set in ``faults``; faults of connections and watches
befall those that are open, and new ones work.
"""

import asyncio
import json
import random
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp
from aiohttp import web

from testbed.cluster import Testbed

TOKEN = "faulty"
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"
GARBAGE = b"\x15\x03\x01\x00\x02\xff{]\n"
_OF_ONE_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "host",
               "authorization", "accept-encoding")  # fmt: skip
_PIECE = 4096

Cut = Literal["aborted", "ended"]
"""How a connection ends: by a reset, or as if all had been sent."""


@dataclass
class Faults:
    """What befalls each call while it is set."""

    storm: float = 0.0
    """Share of the calls that are answered 500, 502 or 503 by a page of HTML."""
    throttled: float = 0.0
    """Share of the calls that are answered 429."""
    retry_after: float = 1.0
    """Seconds, said with each 429."""
    unauthorized: bool = False
    """Each call is answered 401."""
    pages_gone: bool = False
    """Lists can't be continued: 410."""
    cut_after: int | None = None
    """Watches that begin are reset after so many lines."""
    unreadable: float = 0.0
    """Share of the calls but watches that are answered 200 with a page of HTML."""
    latency: float = 0.0
    """Seconds before each call."""
    bytes_per_second: float | None = None
    """Of each answer."""


class FaultyServer:
    """The proxy, in a thread of its own. A context manager: it listens within.

    ``kubeconfig``: leads to it. ``met``: how often each fault befell something, so that a test can tell that it tested.
    """

    def __init__(self, testbed: Testbed, folder: Path, seed: int = 1) -> None:
        self.kubeconfig = folder / "faulty.kubeconfig"
        self.faults = Faults()
        self.met: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._upstream = testbed.site.server
        self._pki = testbed.site.pki
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._connections: set[asyncio.Transport] = set()
        self._dead: set[asyncio.Transport] = set()
        self._watches: set[_Watch] = set()
        self._port = 0

    def __enter__(self) -> "FaultyServer":
        self._thread.start()
        self._do(self._open())
        kubeconfig = json.loads(self._pki.kubeconfig("admin", f"https://127.0.0.1:{self._port}", "faulty"))
        kubeconfig["users"][0]["user"] = {"token": TOKEN}
        self.kubeconfig.write_text(json.dumps(kubeconfig))
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def failing(self, **faults: Any) -> Iterator[None]:
        """Within, calls fail like this."""
        self.faults = Faults(**faults)
        try:
            yield
        finally:
            self.faults = Faults()

    def watched(self) -> Counter[str]:
        """How many watches of each plural are open and work."""
        return self._here(lambda: Counter(watch.plural for watch in self._watches if not self._is_silent(watch)))

    def hang_watches(self) -> None:
        """The open watches stay open, and nothing comes any more."""

        def hang() -> None:
            for watch in self._watches:
                watch.silent = True

        self._here(hang)

    def go_half_open(self) -> None:
        """On the open connections nothing comes any more, and what is sent on them is lost; nobody closes them."""
        self._here(lambda: self._dead.update(self._connections))

    def cut_watches(self, how: Cut) -> None:
        """The open watches end in the middle of their next line."""

        def cut() -> None:
            for watch in self._watches:
                watch.cut = how

        self._here(cut)

    def say(self, line: bytes) -> None:
        """A line comes in all open watches, also in those that hang otherwise."""
        self._do(self._say(line))

    def say_error(self, code: int, reason: str) -> None:
        """An ERROR event comes in all open watches."""
        said = {"type": "ERROR", "object": _status(code, reason)}
        self._do(self._say(json.dumps(said).encode() + b"\n"))

    def drop_connections(self) -> None:
        """The open connections are reset."""

        def drop() -> None:
            for connection in self._connections:
                connection.abort()

        self._here(drop)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Within, the open connections are reset and new ones refused."""
        self._do(self._site.stop())
        self.drop_connections()
        self.met["refusing"] += 1
        try:
            yield
        finally:
            self._do(self._listen())

    def _do[T](self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(timeout=30)

    def _here[T](self, what: Callable[[], T]) -> T:
        async def do() -> T:
            return what()

        return self._do(do())

    async def _open(self) -> None:
        context = ssl.create_default_context(cafile=self._pki.file("ca.crt"))
        context.load_cert_chain(self._pki.file("admin.crt"), self._pki.file("admin.key"))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=context),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            auto_decompress=True,
        )
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        # Otherwise what waits for ever would do so when its client has gone.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await self._listen()

    async def _listen(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._pki.file("apiserver.crt"), self._pki.file("apiserver.key"))
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=context, reuse_address=True)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        if transport is None:
            raise web.HTTPBadGateway
        self._remember(transport)
        await self._while_dead(transport)
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        await asyncio.sleep(self.faults.latency)
        body = await request.read()
        # One that is dead by now has lost it.
        await self._while_dead(transport)
        try:
            async with self._session.request(
                request.method,
                self._upstream + request.path_qs,
                headers={name: value for name, value in request.headers.items() if name.lower() not in _OF_ONE_HOP},
                data=body or None,
            ) as upstream:
                if "watch" in request.query and upstream.status == 200:
                    return await self._watch(request, transport, upstream)
                return await self._pass(request, transport, upstream)
        except aiohttp.ClientError:
            # As proxies answer where the server behind them has gone.
            return web.Response(status=502, body=PAGE, content_type="text/html")

    def _remember(self, transport: asyncio.Transport) -> None:
        self._connections = {known for known in self._connections if not known.is_closing()} | {transport}
        self._dead &= self._connections

    async def _while_dead(self, transport: asyncio.Transport) -> None:
        if transport in self._dead:
            self.met["half-open"] += 1
            await asyncio.Event().wait()

    def _refusal(self, request: web.Request) -> web.Response | None:
        faults, chance = self.faults, self._chance.random()
        if faults.unauthorized or request.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.met["unauthorized"] += 1
            return web.json_response(_status(401, "Unauthorized"), status=401)
        if chance < faults.storm:
            self.met["storm"] += 1
            return web.Response(status=self._chance.choice((500, 502, 503)), body=PAGE, content_type="text/html")
        if chance < faults.throttled:
            self.met["throttled"] += 1
            said = {"Retry-After": f"{faults.retry_after:.0f}"}
            return web.json_response(_status(429, "TooManyRequests"), status=429, headers=said)
        if chance < faults.unreadable and "watch" not in request.query:
            self.met["unreadable"] += 1
            return web.Response(body=PAGE, content_type="text/html")
        if faults.pages_gone and "continue" in request.query:
            self.met["pages gone"] += 1
            return web.json_response(_status(410, "Expired"), status=410)
        return None

    async def _pass(
        self, request: web.Request, transport: asyncio.Transport, upstream: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        body = await upstream.read()
        await self._while_dead(transport)
        response = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=_headers(upstream))
        response.content_length = len(body)
        await response.prepare(request)
        await self._write(response, body)
        await response.write_eof()
        return response

    async def _watch(
        self, request: web.Request, transport: asyncio.Transport, upstream: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=200, headers=_headers(upstream))
        await response.prepare(request)
        watch = _Watch(request.path.rpartition("/")[2], transport, response)
        self._watches.add(watch)
        left = self.faults.cut_after
        try:
            rest = b""
            async for data in upstream.content.iter_any():
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    if left is not None:
                        left -= 1
                        if left < 0:
                            self.met["cut short"] += 1
                            transport.abort()
                            return response
                    if not await self._forward(watch, line + b"\n"):
                        return response
            if self._is_silent(watch):
                # Its end is lost too.
                await asyncio.Event().wait()
            await response.write_eof()
            return response
        finally:
            self._watches.discard(watch)

    async def _forward(self, watch: "_Watch", line: bytes) -> bool:
        """Hand a line on; False when that has ended the watch."""
        if self._is_silent(watch):
            self.met["half-open" if watch.transport in self._dead else "hung"] += 1
            return True
        if watch.cut is None:
            await self._write(watch.response, line)
            return True
        self.met[f"cut, {watch.cut}"] += 1
        await watch.response.write(line[: len(line) // 2])
        if watch.cut == "aborted":
            watch.transport.abort()
        else:
            await watch.response.write_eof()
        return False

    async def _say(self, line: bytes) -> None:
        for watch in list(self._watches):
            self.met["said"] += 1
            await watch.response.write(line)

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        speed = self.faults.bytes_per_second
        if speed is None:
            await response.write(data)
            return
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            await response.write(piece)
            await asyncio.sleep(len(piece) / speed)

    def _is_silent(self, watch: "_Watch") -> bool:
        return watch.silent or watch.transport in self._dead


@dataclass(eq=False)
class _Watch:
    """One that is open."""

    plural: str
    transport: asyncio.Transport
    response: web.StreamResponse
    silent: bool = False
    cut: Cut | None = None


def _headers(upstream: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: value for name, value in upstream.headers.items() if name.lower() not in _OF_ONE_HOP}


def _status(code: int, reason: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": code, "reason": reason,
        "message": f"{reason}, says the test",
    }  # fmt: skip
