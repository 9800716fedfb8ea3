"""Who is compared: the operator, and Argo Workflows as it is installed and as it is fastest."""

import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.control_plane.argo import installation
from benchmarks.control_plane.argo.audit import Name
from benchmarks.control_plane.argo.workflow import (
    INSTANCE_LABEL,
    NODE_ANNOTATION,
    WORKFLOW_LABEL,
    Graph,
    stage_of_task,
    workflow,
)
from distillation_api.contract import StageResult
from distillation_api.resource import GROUP, PLURAL, VERSION
from distillation_operator.manifests.labels import CHILD_LABEL, JOB_LABEL, STAGE_LABEL
from support.small_job import manifest, named
from testbed.components import Component
from testbed.site import Site

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """What a pod stands for: its job, its stage, the child that the controller made for it, and its last words."""

    job: Name
    stage: str
    child: Name
    message: str


class Contestant(ABC):
    """A controller with the kind of job that it runs."""

    name: str
    agents: tuple[str, ...]
    """How the user agents of its requests begin."""
    collection: tuple[str, str, str]
    """Group, version and plural of its jobs."""
    pods: str
    """The label selector of its pods."""
    good_end: str
    """``status.phase`` of a job that has ended as it should."""

    @abstractmethod
    def install(self, site: Site) -> None:
        """Bring into the cluster what its controller needs."""

    @abstractmethod
    def component(self, site: Site) -> Component:
        """Its controller's process."""

    @abstractmethod
    def job(self, name: str) -> Manifest:
        """A job of the graph."""

    @abstractmethod
    def read(self, pod: Manifest) -> Pod:
        """What one of its pods stands for."""


class Operator(Contestant):
    """The distillation-operator of this checkout, whose CRD is there."""

    name = "operator"
    agents = ("distillation-operator/", "kopf/")
    collection = (GROUP, VERSION, PLURAL)
    pods = JOB_LABEL
    good_end = "Complete"

    def install(self, site: Site) -> None:
        """Nothing is missing."""

    def component(self, site: Site) -> Component:
        """One replica for all namespaces."""
        argv = [sys.executable, "-m", "distillation_operator", "run", "--kubeconfig", str(site.folder.kubeconfig)]
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
        return Component(self.name, argv, lambda: True, env={"PYTHONPATH": path, "POD_NAME": "benchmark"})

    def job(self, name: str) -> Manifest:
        """The small job with a folder of its own."""
        return named(manifest(), name)

    def read(self, pod: Manifest) -> Pod:
        """Its program's result is the last word."""
        labels, namespace = pod["metadata"]["labels"], pod["metadata"]["namespace"]
        variables = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
        asked = json.loads(variables["STAGE_SPEC"])
        result = StageResult(stage=asked["stage"], fingerprint=asked["fingerprint"])
        child, job = (namespace, labels[CHILD_LABEL]), (namespace, labels[JOB_LABEL])
        return Pod(job, labels[STAGE_LABEL], child, result.model_dump_json(by_alias=True))


@dataclass(frozen=True)
class ArgoSettings:
    """How Argo is installed: form of its CRDs, flags, environment, and members of its controller's ConfigMap."""

    crds: installation.Crds = "full"
    flags: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)


ARGO_DEFAULT = ArgoSettings()
ARGO_BEST = ArgoSettings(
    # The API server checks each update against the schema, which is 2.6 MB of YAML in full.
    crds="minimal",
    # The client's limit of 20 requests a second is what a busy controller waits for most.
    flags=("--qps=1000", "--burst=2000", "--workflow-workers=64", "--pod-cleanup-workers=32", "--loglevel=error"),
    environment={
        # Each change of a pod is looked at so much later; the default of 10 s is nearly all of a hand-off.
        "DEFAULT_REQUEUE_TIME": "100ms",
        # Otherwise a worker sleeps a second after each update of a Workflow.
        "INFORMER_WRITE_BACK": "true",
        "SKIP_WORKFLOW_DURATION_ESTIMATION": "true",
        "WATCH_CONTROLLER_SEMAPHORE_CONFIGMAPS": "false",
    },
    configuration={"nodeEvents": {"enabled": False}, "workflowEvents": {"enabled": False}},
)


class Argo(Contestant):
    """Argo's workflow-controller with an ``instanceID`` of its own."""

    agents = (f"{installation.CONTROLLER.path.name}/",)
    """The client calls itself by the program's file."""
    collection = ("argoproj.io", "v1alpha1", "workflows")
    good_end = "Succeeded"

    def __init__(self, name: str, settings: ArgoSettings, graph: Graph) -> None:
        self.name = name
        self.pods = f"{WORKFLOW_LABEL},{INSTANCE_LABEL}={name}"
        self._settings = settings
        self._graph = graph

    def install(self, site: Site) -> None:
        """Argo's CRDs, and its configuration in a namespace of its own."""
        installation.install(site, self.name, self._settings.crds, self._settings.configuration)

    def component(self, site: Site) -> Component:
        """Its controller; as the operator here, it is the only replica and looks for no other."""
        argv = [
            str(installation.CONTROLLER.path),
            "--kubeconfig", str(site.folder.kubeconfig),
            "--namespace", self.name,
            "--executor-image", "argoexec",
            *self._settings.flags,
        ]  # fmt: skip
        environment = {"LEADER_ELECTION_DISABLE": "true", **self._settings.environment}
        return Component(self.name, argv, lambda: True, env=environment)

    def job(self, name: str) -> Manifest:
        """The same graph as a Workflow."""
        return workflow(name, self._graph, self.name)

    def read(self, pod: Manifest) -> Pod:
        """Argo makes its pods itself."""
        metadata = pod["metadata"]
        namespace, job = metadata["namespace"], metadata["labels"][WORKFLOW_LABEL]
        task = metadata["annotations"][NODE_ANNOTATION].removeprefix(f"{job}.")
        return Pod((namespace, job), stage_of_task(task), (namespace, metadata["name"]), "")
