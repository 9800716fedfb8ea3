"""Nodes that no kubelet runs, for the real scheduler: they stay Ready as long as somebody renews their leases."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from kubernetes import client

LEASES = "kube-node-lease"
SECONDS_BETWEEN_RENEWALS = 10.0


class FakeNodes:
    """Creates nodes and keeps them Ready."""

    def __init__(self, api_client: client.ApiClient) -> None:
        self._core: Any = client.CoreV1Api(api_client)
        self._leases: Any = client.CoordinationV1Api(api_client)
        self._names: list[str] = []
        self._over = threading.Event()

    def create(self, manifests: Iterable[dict[str, Any]]) -> None:
        """Make nodes, as a kubelet registers them."""
        for manifest in manifests:
            name = manifest["metadata"]["name"]
            self._core.create_node(manifest)
            self._leases.create_namespaced_lease(LEASES, {"metadata": {"name": name}, "spec": _renewed(name)})
            self._names.append(name)

    def names(self, label: str, value: str) -> set[str]:
        """The nodes with a label."""
        return {node.metadata.name for node in self._core.list_node(label_selector=f"{label}={value}").items}

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """While this lasts the nodes' leases are renewed."""
        thread = threading.Thread(target=self._renew, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _renew(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_RENEWALS):
            for name in list(self._names):
                self._leases.patch_namespaced_lease(name, LEASES, {"spec": _renewed(name)})


def _renewed(holder: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"holderIdentity": holder, "leaseDurationSeconds": 40, "renewTime": now}
