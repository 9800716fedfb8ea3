"""The server over HTTP: who may ask, what the browser is told to forbid, and the stream of changes."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from distillation_operator.cli import main
from distillation_operator.dashboard.board import Board, Health
from distillation_operator.dashboard.guard import is_own_host, is_own_request
from distillation_operator.dashboard.server import Server
from support import dashboard_jobs
from support.dashboard_jobs import job

KEY = ("ml", "one")


def serve(use: Callable[[Board, aiohttp.ClientSession], Awaitable[None]], report: Path | None = None) -> None:
    """Use a server of one job, which has ended in time afterwards."""

    async def run() -> None:
        board = Board()
        board.tell("s", Health(loaded=True))
        board.put("s", KEY, job("one", dashboard_jobs.complete()))
        server = Server(board, "all namespaces", (lambda key, inside: report) if report else None)
        address = await server.start(0)
        try:
            async with aiohttp.ClientSession(address) as session:
                await use(board, session)
        finally:
            async with asyncio.timeout(5):
                await server.close()

    asyncio.run(run())


@asynccontextmanager
async def stream(
    session: aiohttp.ClientSession, path: str, **headers: str
) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    """The events of a stream, one by one."""
    async with session.get(path, headers=headers) as answer:
        assert answer.content_type == "text/event-stream"

        async def read() -> dict[str, Any]:
            block = (await asyncio.wait_for(answer.content.readuntil(b"\n\n"), 10)).decode()
            fields = dict(line.split(": ", 1) for line in block.strip().splitlines())
            return {"event": fields["event"], "id": fields.get("id", ""), **json.loads(fields["data"])}

        yield read


def test_it_listens_on_this_machine_alone() -> None:
    async def look(board: Board, session: aiohttp.ClientSession) -> None:
        async with session.get("/") as answer:
            assert answer.status == 200
            port = answer.url.port
        own = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {
            "127.0.0.1"
        }
        for address in [*own, "127.0.0.2"]:
            with pytest.raises(OSError):
                await asyncio.open_connection(address, port)

    serve(look)


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1:8642", True), ("localhost:1", True), ("LOCALHOST", True), ("evil.example:8642", False),
        ("127.0.0.1.evil.example", False), ("localhost.evil.example", False), ("", False), ("localhost:x", False),
        ("127.0.0.1:80@evil.example", False), ("[::1]:8642", False),
    ],
)  # fmt: skip
def test_own_hosts(host: str, own: bool) -> None:
    assert is_own_host(host) is own


@pytest.mark.parametrize(
    "path", ["/", "/job?namespace=ml&name=one", "/events", "/static/dashboard.js", "/report", "/x"]
)
def test_a_foreign_name_is_refused_everywhere(path: str) -> None:
    async def look(board: Board, session: aiohttp.ClientSession) -> None:
        async with session.get(path, headers={"Host": "evil.example"}) as answer:
            assert answer.status == 403
            assert "one" not in (await answer.text()).split()

    serve(look)


@pytest.mark.parametrize(
    ("site", "mode", "dest", "own"),
    [
        ("none", "navigate", "document", True), ("same-origin", "cors", "empty", True), (None, None, None, True),
        ("cross-site", "navigate", "document", True), ("cross-site", "navigate", "iframe", False),
        ("same-site", "cors", "empty", False), ("cross-site", "no-cors", "script", False),
    ],
)  # fmt: skip
def test_pages_of_others_may_link_here_and_no_more(
    site: str | None, mode: str | None, dest: str | None, own: bool
) -> None:
    told = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
    headers = {name: value for name, value in told.items() if value is not None}
    assert is_own_request(headers) is own

    async def look(board: Board, session: aiohttp.ClientSession) -> None:
        async with session.get("/", headers=headers) as answer:
            assert answer.status == (200 if own else 403)

    serve(look)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_writes(method: str) -> None:
    async def look(board: Board, session: aiohttp.ClientSession) -> None:
        for path in ("/", "/job", "/events", "/report", "/static/dashboard.js"):
            async with session.request(method, path) as answer:
                assert answer.status == 405

    serve(look)


def test_every_answer_forbids_scripts_of_others() -> None:
    async def look(board: Board, session: aiohttp.ClientSession) -> None:
        for path, status in (("/", 200), ("/job?name=x", 404), ("/static/dashboard.css", 200), ("/none", 404)):
            async with session.get(path) as answer:
                assert answer.status == status
                policy = answer.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'; script-src 'self';") and "unsafe" not in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "Access-Control-Allow-Origin" not in answer.headers

    serve(look)


@pytest.mark.parametrize(
    "path", ["/static/../command.py", "/static/%2e%2e/command.py", "/static/..%2fcommand.py", "/static/"]
)
def test_no_other_file_is_served(path: str) -> None:
    async def look(board: Board, session: aiohttp.ClientSession) -> None:
        async with session.get("/") as answer:
            address = str(answer.url).rstrip("/")
        async with session.get(URL(address + path, encoded=True)) as answer:
            assert answer.status in (403, 404)

    serve(look)


def test_a_report_has_an_origin_of_its_own(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("<script>1</script>")

    async def look(board: Board, session: aiohttp.ClientSession) -> None:
        async with session.get("/report?namespace=ml&name=one") as answer:
            assert await answer.text() == "<script>1</script>"
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("sandbox allow-scripts; default-src 'none'") and "same-origin" not in policy
        async with session.get("/report?namespace=ml&name=two") as answer:
            assert answer.status == 404

    serve(look, report)


def test_changes_come_as_one_and_a_reader_goes_on_where_it_was() -> None:
    async def look(board: Board, session: aiohttp.ClientSession) -> None:
        async with stream(session, "/events") as read:
            first = await read()
            assert first["whole"] and len(first["rows"]) == 1
            board.put("s", ("ml", "two"), job("two"))
            await read()
            # While the stream rests after a change, many come.
            for number in range(50):
                board.put("s", ("ml", "two"), job("two", dashboard_jobs.running(number)))
            board.drop(KEY)
            change = await read()
            assert len(change["rows"]) == 1 and "49 %" in change["rows"][0]
            assert (change["gone"], change["whole"]) == ([["ml", "one"]], False)
        board.put("s", ("ml", "three"), job("three"))
        async with stream(session, "/events?since=", **{"Last-Event-ID": change["id"]}) as read:
            again = await read()
            assert not again["whole"] and len(again["rows"]) == 1 and "three" in again["rows"][0]
        async with stream(session, "/events?since=of-another-run.3") as read:
            assert (await read())["whole"]

    serve(look)


def test_the_stream_of_a_job_has_its_changes_alone() -> None:
    async def look(board: Board, session: aiohttp.ClientSession) -> None:
        async with stream(session, "/events?namespace=ml&name=one") as read:
            assert "Complete" in (await read())["body"]
            board.put("s", ("ml", "two"), job("two"))
            assert "body" not in await read()
            board.tell("s", Health(loaded=True, problem="no answer"))
            told = await read()
            assert told["problem"] == "no answer" and told["since"]
            board.drop(KEY)
            assert "it was deleted" in (await read())["body"]

    serve(look)


def test_a_job_that_turns_out_not_to_exist_is_called_so() -> None:
    async def look(board: Board, session: aiohttp.ClientSession) -> None:
        board.tell("s", Health())
        async with session.get("/job?namespace=ml&name=two") as answer:
            assert (answer.status, "are being read" in await answer.text()) == (200, True)
        async with stream(session, "/events?namespace=ml&name=two") as read:
            assert "are being read" in (await read())["body"]
            board.tell("s", Health(loaded=True))
            assert "There is no job" in (await read())["body"]

    serve(look)


def test_the_server_ends_in_time_while_streams_are_open() -> None:
    async def look(board: Board, session: aiohttp.ClientSession) -> None:
        answers = [await session.get("/events") for _ in range(20)]
        assert all(answer.status == 200 for answer in answers)

    serve(look)


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_is_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", "--port", port]) == 1
    assert f"--port {port}: a port is a number from 0 (any free one) to 65535" in capsys.readouterr().err


def test_a_port_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["dashboard", "--port", str(port), "--file", str(tmp_path)]) == 1
    assert f"--port {port}: 127.0.0.1 can't listen there" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", "clusters: 5", "current-context: x\ncontexts: []\n", "a: \x1b[31m"]
)
def test_a_kubeconfig_that_cant_be_used(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    assert main(["dashboard", "--port", "0", "--kubeconfig", str(path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("distillation-operator: no cluster: ") and told.count("\n") == 1 and "\x1b" not in told


@pytest.mark.parametrize("name", ["", "a/b", "A", "-a", "a?b", "a\x1b[31m"])
def test_a_namespace_that_is_none(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", f"--namespace={name}"]) == 1
    told = capsys.readouterr().err
    assert f"--namespace {name!r}: a namespace has" in told and "\x1b" not in told


def test_files_and_a_cluster_at_once_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", "--file", ".", "-n", "ml"]) == 1
    assert "leave out --namespace" in capsys.readouterr().err
