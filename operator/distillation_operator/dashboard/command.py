"""``dashboard``: serve the page until Ctrl-C."""

import asyncio
import re
import signal
import sys
import webbrowser
from collections.abc import Sequence

from distillation_operator.commands.errors import CommandError
from distillation_operator.dashboard.board import Board
from distillation_operator.dashboard.cluster import Cluster
from distillation_operator.dashboard.folders import Folders
from distillation_operator.dashboard.guard import ADDRESS
from distillation_operator.dashboard.server import Server

_LARGEST_PORT = 65535
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def run(
    namespaces: Sequence[str],
    kubeconfig: str | None,
    files: Sequence[str],
    port: int,
    open_browser: bool,
    context: str | None = None,
) -> int:
    """Show the jobs of a cluster, or those of ``files``, until the process is told to end. Raises CommandError."""
    if not 0 <= port <= _LARGEST_PORT:
        raise CommandError(f"--port {port}: a port is a number from 0 (any free one) to {_LARGEST_PORT}")
    if files and (namespaces or kubeconfig or context):
        raise CommandError(
            "--file shows files in place of a cluster: leave out --namespace, --kubeconfig and --context"
        )
    for name in namespaces:
        if not _NAMESPACE.fullmatch(name):
            raise CommandError(f"--namespace {name!r}: a namespace has lower case letters, digits and - between them")
    board, places = Board(), list(dict.fromkeys(namespaces))
    source = Folders(board, files) if files else Cluster(board, kubeconfig, places, context=context)
    shown = ", ".join(files or [f"namespace {name}" for name in places]) or "all namespaces"
    asyncio.run(_serve(board, source, shown, port, open_browser))
    return 0


async def _serve(board: Board, source: Folders | Cluster, shown: str, port: int, open_browser: bool) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await source.connect()
    server = Server(board, shown, source.report if isinstance(source, Folders) else None)
    try:
        address = await server.start(port)
    except OSError as error:
        await server.close()
        raise CommandError(
            f"--port {port}: {ADDRESS} can't listen there ({error.strerror or error}); 0 takes any free one"
        ) from error
    following = asyncio.create_task(source.run())
    print(f"The dashboard is at {address} (Ctrl-C ends it)", flush=True)
    if open_browser:
        opened = await asyncio.to_thread(webbrowser.open, address)
        if not opened:
            print("No browser could be opened: open the address yourself.", file=sys.stderr)
    waiting = asyncio.create_task(ended.wait())
    try:
        await asyncio.wait([following, waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        following.cancel()
        result = (await asyncio.gather(following, return_exceptions=True))[0]
        await server.close()
    # Following never ends by itself.
    if isinstance(result, Exception):
        raise result
