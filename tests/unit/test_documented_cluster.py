"""The node pools of docs/gke.md hold what the examples ask for; its commands stand in an order in which they work."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillation_api.resource import DistillationJob
from distillation_api.spec import Student, Teacher
from distillation_operator.manifests.kinds import child_manifest
from distillation_operator.manifests.settings import Installation
from distillation_operator.pipeline.graph import build_pipeline
from distillation_operator.pipeline.stage import Stage
from distillation_stages.programs.convert import require_memory
from support.documented_cluster import MACHINES, Machine, NodePool, documents, is_whole_slice, node_pools, steps

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = CHECKOUT / "docs" / "gke.md"
EXAMPLES = [
    *sorted(path for path in (CHECKOUT / "examples").glob("*.yaml") if "namespace: ml" in path.read_text()),
    CHECKOUT / "examples" / "kustomize" / "objects.yaml",
]
SHOWN = [*EXAMPLES, CHECKOUT / "docs" / "guide.md"]
PARAMETERS = {
    "deepseek-ai/DeepSeek-V2-Lite-Chat": 15.7e9,
    "meta-llama/Llama-2-7b-chat-hf": 6.74e9,
    "meta-llama/Llama-3.1-8B-Instruct": 8.03e9,
    "meta-llama/Llama-3.2-1B-Instruct": 1.24e9,
    "meta-llama/Llama-3.3-70B-Instruct": 70.6e9,
    "Qwen/Qwen2.5-1.5B-Instruct": 1.54e9,
    "Qwen/Qwen2.5-7B-Instruct": 7.62e9,
    "models/student": 8.03e9,
    "models/teacher": 8.03e9,
}
"""As the models' pages on the Hub say; of those in a folder, what the example's MaxText name says."""
REGIONS = {
    "tpu-v4-podslice": {"us-central2"},
    "tpu-v5-lite-podslice": {"us-central1", "us-south1", "us-west1", "us-west4"},
    "tpu-v5p-slice": {"us-central1", "us-east5"},
    "tpu-v6e-slice": {"us-central1", "us-east1", "us-east5"},
}
"""Google's page "TPU regions and zones", North America."""
POOLS = node_pools(PAGE)


def jobs_of(path: Path) -> list[DistillationJob]:
    texts = (
        re.findall(r"^```yaml\n(.*?)^```", path.read_text(), re.M | re.S)
        if path.suffix == ".md"
        else [path.read_text()]
    )
    found = [one for text in texts for one in yaml.safe_load_all(text) if one["kind"] == "DistillationJob"]
    return [DistillationJob.parse(one) for one in found]


def job_of(path: Path) -> DistillationJob:
    [job] = jobs_of(path)
    return job


def parameters_of(model: Teacher | Student) -> float:
    source = model.source
    return PARAMETERS[source.hugging_face.repo if source.hugging_face else str(source.path)]


def pods_of(path: Path) -> list[tuple[str, int, dict[str, Any]]]:
    """Stage, hosts of a slice, and the pod's spec."""
    job = job_of(path)
    found = []
    for stage in build_pipeline(job.spec).values():
        spec = child_manifest(job, stage, 0, Installation())["spec"]
        if stage.is_training:
            spec = spec["replicatedJobs"][0]["template"]["spec"]
        found.append((stage.name, stage.placement.hosts, spec["template"]["spec"]))
    return found


def fits(pool: NodePool, pod: dict[str, Any]) -> bool:
    if any(pool.labels.get(key) != value for key, value in pod.get("nodeSelector", {}).items()):
        return False
    tolerated = {(one["key"], one["effect"]) for one in pod.get("tolerations", [])}
    if any((key, effect) not in tolerated for key, _, effect in pool.taints):
        return False
    has = pool.machine.allocatable()
    requests = pod["containers"][0]["resources"]["requests"]
    return all(number(amount) <= number(has.get(name, "0")) for name, amount in requests.items())


def number(quantity: str) -> float:
    units = {"": 1.0, "m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}
    [(digits, unit)] = re.findall(r"^([0-9.]+)([a-zA-Z]*)$", quantity)
    return float(digits) * units[unit]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_each_pod_of_an_example_fits_a_pool_of_the_page(example: Path) -> None:
    """A machine of 128 GB has no room for 128Gi, and what the page had was v5e alone."""
    for stage, hosts, pod in pods_of(example):
        right = [pool for pool in POOLS if fits(pool, pod)]
        assert right, f"{stage} asks for {pod['containers'][0]['resources']['requests']} and {pod.get('nodeSelector')}"
        assert max(pool.nodes for pool in right) >= hosts, stage


@pytest.mark.parametrize("shown", SHOWN, ids=lambda path: path.stem)
def test_the_models_of_a_manifest_that_is_shown_fit_into_its_pods(shown: Path) -> None:
    """A conversion that needs more ends the job for good, after the fetch."""
    jobs = jobs_of(shown)
    assert jobs
    for job in jobs:
        memory = {
            stage.name: int(number(container["resources"]["limits"]["memory"]))
            for stage, container in cpu_containers_of(job)
        }
        require_memory(int(parameters_of(job.spec.student)), memory["convert-student"])
        if job.spec.training.needs_teacher_logits:
            require_memory(int(parameters_of(job.spec.teacher)), memory["convert-teacher"])
        weights = 2 * (parameters_of(job.spec.teacher) + parameters_of(job.spec.student))
        assert memory["evaluate"] > 1.2 * weights, "the teacher's KL isn't measured where its weights don't fit"


def cpu_containers_of(job: DistillationJob) -> list[tuple[Stage, dict[str, Any]]]:
    return [
        (stage, child_manifest(job, stage, 0, Installation())["spec"]["template"]["spec"]["containers"][0])
        for stage in build_pipeline(job.spec).values()
        if not stage.is_training and not stage.placement.chips
    ]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_what_an_example_asks_for_is_there_in_one_region(example: Path) -> None:
    spec = job_of(example).spec
    types = {part.type for part in (spec.generation.accelerator, spec.training.accelerator) if part is not None}
    assert set.intersection(*(REGIONS[accelerator] for accelerator in types)), types


def test_a_pool_of_several_hosts_is_a_whole_slice() -> None:
    slices = [pool for pool in POOLS if pool.is_one_slice]
    assert len(slices) >= 3
    assert all(is_whole_slice(pool) for pool in slices)


def test_no_object_is_made_before_its_namespace() -> None:
    there: set[str] = set()
    for language, text in steps(PAGE):
        if language == "yaml":
            wanted = {one["metadata"].get("namespace") for one in documents(text)} - {None}
            assert wanted <= there, text
        elif text.startswith("kubectl create namespace "):
            there.add(shlex.split(text)[3])
        elif text.startswith("kubectl -n "):
            assert shlex.split(text)[2] in there, text


def test_the_queue_covers_what_the_examples_ask_for() -> None:
    objects = [one for language, text in steps(PAGE) if language == "yaml" for one in documents(text)]
    [queue] = [one for one in objects if one["kind"] == "ClusterQueue"]
    [group] = queue["spec"]["resourceGroups"]
    quotas = {
        flavor["name"]: {one["name"]: str(one["nominalQuota"]) for one in flavor["resources"]}
        for flavor in group["flavors"]
    }
    labels = {one["metadata"]["name"]: one["spec"].get("nodeLabels", {}) for one in objects if "Flavor" in one["kind"]}
    queued = [path for path in EXAMPLES if job_of(path).spec.queue is not None]
    assert len(queued) >= 2
    for example in queued:
        for stage, _, pod in pods_of(example):
            requests = pod["containers"][0]["resources"]["requests"]
            if "google.com/tpu" not in requests:
                continue
            assert set(requests) <= set(group["coveredResources"]), stage
            accelerator = pod["nodeSelector"]["cloud.google.com/gke-tpu-accelerator"]
            assert any(
                accelerator in labels[flavor].values()
                and all(number(amount) <= number(quota[name]) for name, amount in requests.items())
                for flavor, quota in quotas.items()
            ), stage


def test_what_a_node_has_for_pods_is_what_googles_page_shows() -> None:
    """Of its example: 4 vCPU and 16 GB."""
    shown = MACHINES["e2-standard-4"].allocatable()
    assert shown["cpu"] == "3920m"
    assert number(shown["memory"]) == pytest.approx(13498416 * 1024, rel=0.002)
    assert number(Machine(16, 128).allocatable()["memory"]) < 128 * 2**30
