"""What Google's own client makes of a bucket's answers, and what the user is told."""

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from distillation_api.contract import EXIT_BAD_INPUT, FetchProgram, Source, StageFailure, StageSpec
from e2e.bucket import BUCKET, bucket
from e2e.stage_programs import environment, interpreter

pytestmark = pytest.mark.timeout(120)


class Denying(BaseHTTPRequestHandler):
    """Answers as a bucket does on which the asker has no role."""

    def do_GET(self) -> None:
        body = json.dumps({"error": {"code": 403, "message": "does not have storage.objects.list access"}}).encode()
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def denying() -> Iterator[str]:
    """The address of a server that denies everything."""
    server = HTTPServer(("127.0.0.1", 0), Denying)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def refusal(uri: str, address: str, folder: Path) -> StageFailure:
    """How a fetch from there ends."""
    spec = StageSpec(
        stage="fetch-teacher",
        fingerprint="f",
        output="out",
        program=FetchProgram(source=Source(gcs_uri=uri), role="teacher"),
    )
    message = folder / "termination"
    variables = {
        "STAGE_SPEC": spec.model_dump_json(by_alias=True),
        "STORAGE_MOUNT": str(folder),
        "TERMINATION_LOG": str(message),
        "STORAGE_EMULATOR_HOST": address,
        "HOME": str(folder),
    }
    command = [str(interpreter("fetcher")), "-m", "distillation_stages"]
    done = subprocess.run(command, env=environment(**variables), capture_output=True, text=True, timeout=100)
    assert done.returncode == EXIT_BAD_INPUT, done.stderr
    return StageFailure.model_validate_json(message.read_text())


def test_a_missing_permission_does_not_read_as_a_missing_bucket(denying: str, tmp_path: Path) -> None:
    """M14, D6: told with what is missing, and not tried again."""
    told = refusal("gs://private/teacher", denying, tmp_path)
    assert told.reason == "BucketAccessDenied" and told.permanent
    for part in ("gs://private/teacher", "storage.objects.list", "storage.objectUser", "serviceAccountName"):
        assert part in told.message


def test_a_bucket_that_is_not_there_is_named(tmp_path: Path) -> None:
    with bucket(tmp_path / "server", teacher=Path(__file__).parent) as address:
        told = refusal("gs://no-such-bucket/teacher", address, tmp_path)
        assert told.reason == "BucketNotFound" and "gs://no-such-bucket/teacher" in told.message
        told = refusal(f"gs://{BUCKET}/techer", address, tmp_path)
        assert told.reason == "ModelNotFound" and f"gs://{BUCKET}/techer" in told.message
