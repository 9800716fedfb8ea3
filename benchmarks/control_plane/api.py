"""The API server as the benchmark uses it: many requests at once, on as few processor cycles as possible."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import aiohttp

from testbed.cluster import Testbed

AGENT = "control-plane-benchmark"
"""By which the audit log tells the benchmark's requests from the operator's."""
CONNECTIONS = 32
SECONDS = 60.0
"""A saturated API server answers late; one that is silent for longer is broken."""
ATTEMPTS = 5
AGAIN_SECONDS = 1.0
BUSY = (429, 500, 503, 504)
"""What a saturated API server answers."""
JSON = {"Content-Type": "application/json"}
GROUP = "/apis/distillation.dev/v1alpha1"

Object = dict[str, Any]


class Refused(Exception):
    """The API server's answer was an error; its status code and words."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text[:500]}")
        self.status = status


class Api:
    """Connections with the administrator's certificate; an asynchronous context manager."""

    def __init__(self, testbed: Testbed) -> None:
        site = testbed.site
        self._server = site.server
        self._tls = ssl.create_default_context(cafile=site.pki.file("ca.crt"))
        self._tls.load_cert_chain(site.pki.file("admin.crt"), site.pki.file("admin.key"))

    async def __aenter__(self) -> "Api":
        self._session = aiohttp.ClientSession(
            self._server,
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=self._tls),
            headers={"User-Agent": AGENT},
            timeout=aiohttp.ClientTimeout(total=SECONDS),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, path: str, accept: str = "application/json", **query: str) -> Object:
        """An object or a list. Raises Refused."""
        return await self._patiently(lambda: self._request("GET", path, None, {"Accept": accept}, query))

    async def create(self, path: str, body: Mapping[str, Any]) -> Object:
        """The object as it was created. Raises Refused."""
        return await self._patiently(
            lambda: self._request("POST", path, body, JSON), f"{path}/{body['metadata']['name']}"
        )

    async def replace(self, path: str, body: Mapping[str, Any]) -> Object:
        """The object after it, or its part of that path, was replaced. Raises Refused."""
        return await self._patiently(lambda: self._request("PUT", path, body, JSON), path)

    async def patch(self, path: str, body: Mapping[str, Any]) -> Object:
        """The object after a strategic merge. Raises Refused."""
        merge = {"Content-Type": "application/strategic-merge-patch+json"}
        return await self._patiently(lambda: self._request("PATCH", path, body, merge))

    async def watch(self, path: str, **query: str) -> AsyncIterator[Object]:
        """Events of a list from its beginning on, until the API server ends the connection. Raises Refused."""
        patient = aiohttp.ClientTimeout(total=None, sock_read=None)
        asked = {"watch": "true", **query}
        async with self._session.get(path, params=asked, timeout=patient) as answer:
            if answer.status >= 400:
                raise Refused(answer.status, await answer.text())
            rest = b""
            async for part in answer.content.iter_any():
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    yield json.loads(line)

    async def _patiently(self, send: Callable[[], Awaitable[Object]], made: str | None = None) -> Object:
        """The answer to what is sent again where the API server had no time for it. A conflict then says that the lost
        answer was a good one; ``made`` is where the object is that was written."""
        for attempt in range(ATTEMPTS):
            try:
                return await send()
            except Refused as refused:
                if refused.status == 409 and attempt and made is not None:
                    return await self.get(made)
                if refused.status not in BUSY or attempt == ATTEMPTS - 1:
                    raise
            except (aiohttp.ClientError, TimeoutError):
                if attempt == ATTEMPTS - 1:
                    raise
            await asyncio.sleep(AGAIN_SECONDS)
        raise AssertionError("the last attempt returns or raises")

    async def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        query: Mapping[str, str] | None = None,
    ) -> Object:
        data = None if body is None else json.dumps(body).encode()
        async with self._session.request(method, path, data=data, headers=headers, params=query) as answer:
            text = await answer.read()
            if answer.status >= 400:
                raise Refused(answer.status, text.decode(errors="replace"))
            return dict(json.loads(text))
