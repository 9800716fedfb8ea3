"""The HTTP server: pages, their parts as they change, and nothing that writes."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from distillation_operator.dashboard import guard
from distillation_operator.dashboard.board import Board
from distillation_operator.dashboard.lenient import mapping, text
from distillation_operator.dashboard.pages import FOLDER, Pages
from distillation_operator.dashboard.row import Key
from distillation_operator.dashboard.stream import encode, mark, revision_of

BEAT_SECONDS = 10.0
"""Between two signs of life to a page; it waits for a few of them."""
TOGETHER_SECONDS = 0.3
"""Changes of that time are sent as one."""
_CLOSE_SECONDS = 2.0
"""What requests that are under way may still take at the end."""

Report = Callable[[Key, str], Path | None]


class Server:
    """The dashboard's server for what a board knows. ``place``: where the jobs are, for people. ``report``: finds the
    file of a job's report; None where reports aren't on this machine."""

    def __init__(self, board: Board, place: str, report: Report | None = None) -> None:
        self._board = board
        self._name = secrets.token_hex(8)
        self._report = report
        self._pages = Pages(self._name, place, has_reports=report is not None)
        self._closing = False
        application = web.Application(middlewares=[guard.refuse_foreign])
        application.on_response_prepare.append(guard.add_headers)
        application.router.add_get("/", self._jobs)
        application.router.add_get("/job", self._job)
        application.router.add_get("/report", self._report_file)
        application.router.add_get("/events", self._events)
        application.router.add_static("/static", FOLDER / "static")
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=_CLOSE_SECONDS)

    async def start(self, port: int) -> str:
        """Listen on that port of this machine alone, 0 for a free one; returns the address. Raises OSError."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, guard.ADDRESS, port)
        await site.start()
        return f"http://{guard.ADDRESS}:{self._runner.addresses[0][1]}/"

    async def close(self) -> None:
        """Stop, and end what pages keep open."""
        self._closing = True
        self._board.wake()
        await self._runner.cleanup()

    async def _jobs(self, request: web.Request) -> web.Response:
        board = self._board
        jobs = [(key, job) for key, _, job in board.jobs()]
        return _html(self._pages.jobs(jobs, board.health, mark(self._name, board.revision)))

    async def _job(self, request: web.Request) -> web.Response:
        board, key = self._board, _key(request)
        job = board.job(key)
        status = 404 if job is None and board.health.loaded else 200
        return _html(self._pages.job(key, job, board.health, mark(self._name, board.revision)), status)

    async def _report_file(self, request: web.Request) -> web.StreamResponse:
        key = _key(request)
        job = self._board.job(key) or {}
        inside = text(mapping(mapping(job.get("status")).get("results")).get("report"), 1024)
        found = await asyncio.to_thread(self._report, key, inside) if self._report and inside else None
        if found is None:
            return _html(self._pages.error("No report", "This job has no report that can be opened from here."), 404)
        headers = {"Content-Security-Policy": guard.REPORT_POLICY, "Content-Type": "text/html; charset=utf-8"}
        return web.FileResponse(found, headers=headers)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        key = _key(request) if "name" in request.query else None
        seen = revision_of(self._name, request.headers.get("Last-Event-ID") or request.query.get("since", ""))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        try:
            while not self._closing:
                revision = self._board.revision
                if seen is None or revision > seen:
                    told = self._rows(seen) if key is None else self._body(key, seen)
                    await response.write(encode("change", told | self._state(), mark(self._name, revision)))
                    seen = revision
                else:
                    await response.write(encode("beat", self._state()))
                await self._board.wait(seen, BEAT_SECONDS)
                if not self._closing:
                    await asyncio.sleep(TOGETHER_SECONDS)
        except ConnectionError:
            # The page was closed.
            pass
        return response

    def _rows(self, seen: int | None) -> dict[str, Any]:
        changes = self._board.changes(seen)
        for key in changes.gone:
            self._pages.forget(key)
        return {
            "rows": [self._pages.row(key, job) for key, job in changes.jobs.items()],
            "gone": [list(key) for key in changes.gone],
            "whole": changes.whole,
        }

    def _body(self, key: Key, seen: int | None) -> dict[str, Any]:
        changes = self._board.changes(seen)
        job = self._board.job(key)
        # Without the job the page depends on whether all was read.
        if job is not None and not changes.whole and key not in changes.jobs:
            return {}
        return {"body": self._pages.body(key, job, self._board.health)}

    def _state(self) -> dict[str, Any]:
        health = self._board.health
        since = health.since.strftime("%Y-%m-%dT%H:%M:%SZ") if health.since else ""
        return {"loaded": health.loaded, "problem": health.problem, "since": since, "note": health.note}


def _key(request: web.Request) -> Key:
    return request.query.get("namespace", ""), request.query.get("name", "")


def _html(page: str, status: int = 200) -> web.Response:
    return web.Response(text=page, status=status, content_type="text/html", charset="utf-8")
