"""A model directory behind vLLM's own HTTP server, as its users would run it."""

import json
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.stage_programs import environment, interpreter
from support.eventually import eventually

Ask = Callable[[str, dict[str, Any]], Any]
"""Posts a JSON object to a path of the server; returns the answer."""

NAME = "student"


@contextmanager
def serving(model: Path, log: Path) -> Iterator[Ask]:
    """The server of that model, ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [
        str(interpreter("teacher")),
        *("-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--served-model-name", NAME),
        *("--host", "127.0.0.1", "--port", str(port), "--max-model-len", "128", "--enforce-eager"),
    ]
    variables = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HOME": str(log.parent)}
    with log.open("w") as out:
        server = subprocess.Popen(command, env=environment(**variables), stdout=out, stderr=subprocess.STDOUT)

        def ready() -> bool:
            assert server.poll() is None, log.read_text()[-4000:]
            try:
                return bool(urllib.request.urlopen(f"{url}/health", timeout=5).status == 200)
            except OSError:
                return False

        def ask(path: str, question: dict[str, Any]) -> Any:
            body = json.dumps({"model": NAME, **question}).encode()
            request = urllib.request.Request(url + path, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)

        try:
            eventually("the server", ready, 300)
            yield ask
        finally:
            server.terminate()
            server.wait(60)
