"""A DistillationJob's graph as an Argo Workflow: a task for each pod, with the same dependencies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distillation_api.spec import DistillationJobSpec
from distillation_operator.pipeline.graph import build_pipeline

INSTANCE_LABEL = "workflows.argoproj.io/controller-instanceid"
NODE_ANNOTATION = "workflows.argoproj.io/node-name"
WORKFLOW_LABEL = "workflows.argoproj.io/workflow"
_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True)
class Node:
    """A stage of the graph: names of the stages that it waits for, and how many pods it has."""

    needs: tuple[str, ...]
    pods: int

    def tasks(self, stage: str) -> list[str]:
        """The names of a Workflow's tasks that stand for it."""
        return [stage] if self.pods == 1 else [f"{stage}-pod{index}" for index in range(self.pods)]


Graph = Mapping[str, Node]


def graph(spec: Mapping[str, Any]) -> dict[str, Node]:
    """The operator's own graph of a job's spec, in dataflow order."""
    parsed = DistillationJobSpec.model_validate(spec)
    shards = parsed.generation.shards
    return {
        name: Node(stage.needs, stage.placement.pods * (shards if stage.is_indexed else 1))
        for name, stage in build_pipeline(parsed).items()
    }


def workflow(name: str, stages: Graph, instance: str) -> dict[str, Any]:
    """The manifest of a Workflow of these stages, for the Argo controller with this ``instanceID``."""
    tasks = [
        {
            "name": task,
            "template": "stage",
            "arguments": {"parameters": [{"name": "stage", "value": stage}]},
            "dependencies": [needed for need in node.needs for needed in stages[need].tasks(need)],
        }
        for stage, node in stages.items()
        for task in node.tasks(stage)
    ]
    container = {
        "image": "i",
        "command": ["stage"],
        "args": ["{{inputs.parameters.stage}}"],
        "securityContext": _SECURITY,
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name, "labels": {INSTANCE_LABEL: instance}},
        "spec": {
            "entrypoint": "graph",
            "templates": [
                {"name": "graph", "dag": {"tasks": tasks}},
                {"name": "stage", "inputs": {"parameters": [{"name": "stage"}]}, "container": container},
            ],
        },
    }


def stage_of_task(task: str) -> str:
    """The stage that a task of `workflow` stands for."""
    stage, _, index = task.rpartition("-pod")
    return stage if stage and index.isdigit() else task
