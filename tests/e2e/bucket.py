"""A bucket for Google's own client: fake-gcs-server on a folder, found through ``STORAGE_EMULATOR_HOST``."""

import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.eventually import eventually
from testbed import toolchain
from testbed.binaries import GCS
from testbed.console import silence

BUCKET = "models"


@contextmanager
def bucket(folder: Path, **directories: Path) -> Iterator[str]:
    """The server's address while it runs; the bucket ``models`` holds the directories under their names."""
    toolchain.build(silence, ["gcs"])
    folder.mkdir(exist_ok=True)
    data = folder / "data"
    for name, source in directories.items():
        shutil.copytree(source, data / BUCKET / name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [
        *(str(GCS.path), "-backend", "memory", "-data", str(data), "-scheme", "http", "-host", "127.0.0.1"),
        *("-port", str(port), "-external-url", address),
    ]
    with (folder / "bucket.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

        def ready() -> bool:
            assert server.poll() is None, (folder / "bucket.log").read_text()
            try:
                return bool(urllib.request.urlopen(f"{address}/storage/v1/b/{BUCKET}", timeout=5).status == 200)
            except OSError:
                return False

        try:
            eventually("the bucket", ready)
            yield address
        finally:
            server.terminate()
            server.wait(20)
