"""A Hub for Hugging Face's own clients: dataset repositories of a folder, over HTTP as the Hub answers."""

import hashlib
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

COMMIT = hashlib.sha1(b"the only commit").hexdigest()
GATED = "users/gated"
"""A repository that nobody has access to."""
FAILING = "fails.jsonl"
"""A file that the Hub never hands out."""


@contextmanager
def hub(repositories: Path) -> Iterator[str]:
    """The address of a Hub with the repositories OWNER/NAME of the folder, each with one commit."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"folder": repositories}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """What the clients ask of a Hub when a dataset is streamed."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(json.loads(body) if body.startswith(b"{") else dict(urllib.parse.parse_qs(body.decode())))

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def _answer(self, asked: dict[str, list[str]] | None = None) -> None:
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        found = re.match(r"^(?:/api)?/datasets/([^/]+/[^/]+)/(\w[\w-]*)/([^/]+)(?:/(.*))?$", path)
        if found is None:
            return self._send(404, {"error": path})
        repository, what, revision, rest = found[1], found[2], found[3], found[4] or ""
        root = self.folder / repository
        if repository == GATED:
            return self._send(403, {"error": "gated"}, {"X-Error-Code": "GatedRepo"})
        if not root.is_dir():
            return self._send(404, {"error": "none"}, {"X-Error-Code": "RepoNotFound"})
        if revision not in ("main", COMMIT):
            return self._send(404, {"error": "none"}, {"X-Error-Code": "RevisionNotFound"})
        if what == "resolve":
            return self._send_file(root / rest)
        if what == "revision":
            return self._send(200, self._info(repository, root))
        if what == "tree":
            recursive = urllib.parse.parse_qs(url.query).get("recursive", ["False"])[0].lower() in ("true", "1")
            if not (root / rest).is_dir():
                return self._send(404, {"error": "none"}, {"X-Error-Code": "EntryNotFound"})
            entries = (root / rest).rglob("*") if recursive else (root / rest).iterdir()
            return self._send(200, [self._entry(entry, root) for entry in sorted(entries)])
        named = [root / name for name in (asked or {}).get("paths", [])]
        return self._send(200, [self._entry(path, root) for path in named if path.exists()])

    def _info(self, repository: str, root: Path) -> dict[str, object]:
        files = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*")) if path.is_file()]
        readme = root / "README.md"
        card = None
        if readme.exists() and readme.read_text().startswith("---"):
            with suppress(yaml.YAMLError):
                card = yaml.safe_load(readme.read_text().split("---")[1])
        return {
            "id": repository,
            "sha": COMMIT,
            "siblings": [{"rfilename": name} for name in files],
            "cardData": card,
            "tags": [],
        }

    def _entry(self, path: Path, root: Path) -> dict[str, object]:
        is_file = path.is_file()
        return {
            "type": "file" if is_file else "directory",
            "path": path.relative_to(root).as_posix(),
            "size": path.stat().st_size if is_file else 0,
            "oid": COMMIT,
        }

    def _send_file(self, path: Path) -> None:
        if not path.is_file():
            return self._send(404, {"error": "none"}, {"X-Error-Code": "EntryNotFound"})
        if path.name == FAILING:
            return self._send(500, {"error": "broken"})
        data, status, headers = path.read_bytes(), 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{path.name}"'}
        wanted = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first : last + 1], 206
        return self._send_bytes(status, data, headers)

    def _send(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        self._send_bytes(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send_bytes(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
