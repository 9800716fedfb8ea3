"""DistillationJobs of the cluster that the kubeconfig names."""

from typing import Any, cast

import urllib3
from kubernetes import client

from distillation_api.resource import GROUP, PLURAL, VERSION
from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.watch import connect

_NOT_FOUND = 404
_SECONDS = 30
"""For one answer of the API server."""


class Cluster:
    """Reads jobs; connects when the first one is asked for."""

    def __init__(self, kubeconfig: str | None, context: str | None, namespace: str | None) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._namespace = namespace
        self._api: client.CustomObjectsApi | None = None
        self._default_namespace = "default"

    def job(self, name: str, namespace: str | None) -> dict[str, Any]:
        """One job. Raises CommandError when there is none, or no cluster."""
        if self._api is None:
            self._api, self._default_namespace = connect(self._kubeconfig, self._context)
        place = namespace or self._namespace or self._default_namespace
        try:
            found = self._api.get_namespaced_custom_object(
                GROUP, VERSION, place, PLURAL, name, _request_timeout=_SECONDS
            )
        except client.ApiException as error:
            raise CommandError(_refusal(error, place, name)) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = getattr(error, "reason", None)
            kind = type(reason if isinstance(reason, Exception) else error).__name__
            raise CommandError(f"no cluster: no answer from the API server ({kind})") from error
        return cast(dict[str, Any], found)


def _refusal(error: client.ApiException, namespace: str, name: str) -> str:
    if error.status != _NOT_FOUND:
        return f"the API server refuses to show {namespace}/{name}: {error.status} {error.reason}"
    if "page not found" in str(error.body):
        return "the cluster knows no DistillationJobs: its CRD isn't installed"
    return f"there is no DistillationJob {name} in namespace {namespace}"
