"""DistillationJobs on the API server, as the tests write and read them."""

import json
from pathlib import Path
from typing import Any

from kubernetes import client

from distillation_api.resource import GROUP, PLURAL, VERSION

CHECKOUT = Path(__file__).resolve().parents[2]


class Jobs:
    """The DistillationJobs of one namespace, strict about unknown fields as kubectl is."""

    def __init__(self, api: client.CustomObjectsApi, namespace: str) -> None:
        self._api = api
        self.namespace = namespace

    def create(self, manifest: dict[str, Any], dry_run: bool = False) -> dict[str, Any]:
        """Create an object; returns it as the API server has it."""
        options: dict[str, Any] = {"dry_run": "All"} if dry_run else {}
        body = {**manifest, "metadata": {**manifest["metadata"], "namespace": self.namespace}}
        made = self._api.create_namespaced_custom_object(
            GROUP, VERSION, self.namespace, PLURAL, body, field_validation="Strict", **options
        )
        assert isinstance(made, dict)
        return made

    def get(self, name: str) -> dict[str, Any]:
        """Read an object."""
        found = self._api.get_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, name)
        assert isinstance(found, dict)
        return found

    def patch(self, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        """Merge into an object's spec."""
        made = self._api.patch_namespaced_custom_object(
            GROUP, VERSION, self.namespace, PLURAL, name, {"spec": spec}, field_validation="Strict"
        )
        assert isinstance(made, dict)
        return made

    def annotate(self, name: str, annotations: dict[str, str]) -> None:
        """Merge into an object's annotations."""
        body = {"metadata": {"annotations": annotations}}
        self._api.patch_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, name, body)

    def set_status(self, name: str, status: dict[str, Any]) -> None:
        """Merge into an object's status."""
        self._api.patch_namespaced_custom_object_status(
            GROUP, VERSION, self.namespace, PLURAL, name, {"status": status}, field_validation="Strict"
        )

    def replace_status(self, name: str, status: dict[str, Any]) -> None:
        """Replace an object's status, as the operator does."""
        body = {**self.get(name), "status": status}
        self._api.replace_namespaced_custom_object_status(GROUP, VERSION, self.namespace, PLURAL, name, body)

    def delete(self, name: str) -> None:
        """Delete an object."""
        self._api.delete_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, name)


def refusal(error: client.ApiException) -> str:
    """What the API server said."""
    return str(json.loads(error.body or "{}")["message"])
