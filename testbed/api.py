"""The little of the Kubernetes API that the testbed itself uses, over plain HTTPS with the administrator's certificate.

A poll costs a millisecond or two here; starting kubectl or importing a client library costs hundreds.
"""

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from testbed.errors import TestbedError
from testbed.pki import Pki


class Api:
    """The API server of one testbed."""

    def __init__(self, server: str, pki: Pki) -> None:
        self._server = server
        self._context = ssl.create_default_context(cafile=pki.file("ca.crt"))
        self._context.load_cert_chain(pki.file("admin.crt"), pki.file("admin.key"))

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """One request: status code and body. Raises OSError while there is no server."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._server + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10, context=self._context) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def answers(self, path: str) -> bool:
        """Whether a GET succeeds now."""
        return self.accepts("GET", path)

    def accepts(self, method: str, path: str, body: Any = None) -> bool:
        """Whether a request succeeds now."""
        try:
            return self.request(method, path, body)[0] < 300
        except OSError:
            return False

    def get(self, path: str) -> dict[str, Any] | None:
        """An object, or None while it doesn't exist."""
        status, body = self.request("GET", path)
        if status == 404:
            return None
        return _object(status, body, path)

    def create(self, path: str, manifest: dict[str, Any]) -> None:
        """Create an object unless one of its name exists."""
        status, body = self.request("POST", path, manifest)
        if status != 409:
            _object(status, body, path)

    def delete(self, path: str) -> None:
        """Delete an object if it exists."""
        status, body = self.request("DELETE", path)
        if status != 404:
            _object(status, body, path)


def _object(status: int, body: bytes, path: str) -> dict[str, Any]:
    if status >= 300:
        raise TestbedError(f"the API server answered {status} to {path}: {body.decode(errors='replace')[:500]}")
    decoded: dict[str, Any] = json.loads(body)
    return decoded
