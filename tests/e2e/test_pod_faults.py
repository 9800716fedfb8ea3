"""What goes wrong around a pod on a real node is told in the job's status within ten seconds, with a reason that has a
remedy.

What a webhook of the cluster would put into a pod is put into the child's template: the Job is the operator's own, made
before the operator starts, which then takes it for what it is.
"""

import json
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.operator_process import OperatorProcess
from demo.places import NAMESPACE, Place
from distillation_api.reasons import REASONS
from distillation_api.resource import DistillationJob
from distillation_operator.manifests.kinds import child_manifest
from distillation_operator.manifests.labels import JOB_LABEL
from distillation_operator.manifests.settings import Installation
from distillation_operator.pipeline.graph import build_pipeline
from e2e.killed_run import CHECKOUT, EXAMPLE
from support.eventually import eventually
from testbed.cluster import Testbed, python_of

SECONDS = 10.0
"""From when the cluster tells it to when the job does."""
LONG = 90.0
STAGE = "fetch-teacher"
NODE = "node1"
CHIPS = 4

Object = dict[str, Any]


class Faults:
    """Jobs of one test, and the operator that is to tell of them."""

    def __init__(self, place: Place, operator: OperatorProcess) -> None:
        self.kubectl = place.kubectl
        self.operator = operator
        self._made: list[tuple[str, str]] = []

    def apply(self, *objects: Object) -> None:
        """Make objects that are removed after the test, the last first."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
        self._made += [(thing["kind"], thing["metadata"]["name"]) for thing in objects]

    def job(self, name: str, **spec: Any) -> None:
        """The example on CPU under another name, changed, with a folder of its own: nothing is found done there."""
        job = yaml.safe_load(EXAMPLE.read_text())
        job["metadata"]["name"] = name
        job["spec"]["storage"]["prefix"] = name
        job["spec"].update(spec)
        self.apply(job)

    def injected(self, name: str, change: Callable[[Object], None]) -> None:
        """A job with the child of its first stage, whose pod was changed as a webhook would."""
        self.job(name)
        job = DistillationJob.parse(self.kubectl.get("distillationjob", name) or {})
        child = child_manifest(job, build_pipeline(job.spec)[STAGE], 0, Installation())
        change(child["spec"]["template"]["spec"])
        self.kubectl("create", "-f", "-", stdin=json.dumps(child))

    def remove(self) -> None:
        """Remove what was made."""
        for kind, name in reversed(self._made):
            self.kubectl("delete", kind, name, "--ignore-not-found", "--wait=false")
            if kind == "Pod":
                self.kubectl("delete", kind, name, "--ignore-not-found", "--force", "--grace-period=0")

    def stage(self, job: str) -> Object:
        """The first stage as the status has it."""
        found = self.kubectl.get("distillationjob", job) or {}
        stages = (found.get("status") or {}).get("stages") or []
        return next((dict(stage) for stage in stages if stage["name"] == STAGE), {})

    def pods(self, job: str) -> list[Object]:
        """The pods of the job's first stage."""
        return self.kubectl.list("pod", f"{JOB_LABEL}={job},distillation.dev/stage={STAGE}")

    def warned(self, job: str, reason: str) -> Callable[[], bool]:
        """Whether the cluster has told of the stage's pod in an Event."""

        def look() -> bool:
            names = {pod["metadata"]["name"] for pod in self.pods(job)}
            events = self.kubectl.list("event")
            return any(e["reason"] == reason and e["involvedObject"]["name"] in names for e in events)

        return look

    def told(self, job: str, fact: Callable[[], bool], reasons: tuple[str, ...], words: str) -> Object:
        """The stage as the status tells of it, in time after the fact."""
        known: list[float] = []

        def look() -> Object | None:
            stage = self.stage(job)
            if not known and fact():
                known.append(time.monotonic())
            right = stage.get("reason") in reasons and words in stage.get("message", "")
            return stage if right else None

        try:
            seen = eventually(f"{job} tells {words!r}", look, LONG)
        except AssertionError as error:
            pods = [pod["status"] for pod in self.pods(job)]
            raise AssertionError(f"{error}; the stage is {self.stage(job)}, its pods {json.dumps(pods)}") from error
        waited = time.monotonic() - known[0] if known else 0.0
        print(f"{job}: {seen['reason']} {waited:.1f} s after the cluster", flush=True)
        assert waited <= SECONDS
        reason = REASONS[seen["reason"]]
        assert reason.remedy and f"| {reason.name} |" in (CHECKOUT / "docs" / "reasons.md").read_text()
        return seen


@pytest.fixture
def faults(place: Place) -> Iterator[Faults]:
    """With an operator that the test starts."""
    operator = OperatorProcess(place.kubeconfig, CHECKOUT / "build" / "e2e" / "operator-faults.log", NAMESPACE)
    made = Faults(place, operator)
    yield made
    made.remove()
    operator.stop()


def claim(name: str, mode: str, **source: Any) -> tuple[Object, Object]:
    """A volume of that source, and a claim that is bound to it."""
    common = {"accessModes": [mode], "storageClassName": ""}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            **common,
            "capacity": {"storage": "1Gi"},
            "claimRef": {"namespace": NAMESPACE, "name": name},
            "persistentVolumeReclaimPolicy": "Retain",
            **source,
        },
    }
    asked = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {**common, "volumeName": name, "resources": {"requests": {"storage": "1Gi"}}},
    }
    return volume, asked


# Volumes


def test_a_volume_that_cannot_be_mounted(faults: Faults) -> None:
    faults.apply(*claim("unmountable", "ReadWriteMany", hostPath={"path": "/nowhere", "type": "Directory"}))
    faults.operator.start()
    faults.job("unmountable", storage={"persistentVolumeClaim": {"claimName": "unmountable"}})
    warned = faults.warned("unmountable", "FailedMount")
    faults.told("unmountable", warned, ("FailedMount",), "/nowhere is not a directory")


def test_a_claim_that_another_node_holds(faults: Faults) -> None:
    """A disk of a cloud, whose driver is played: it has attached the disk to another node."""
    driver, node = "disk.example.com", "elsewhere"
    faults.apply(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": {"name": driver},
            "spec": {"attachRequired": True},
        },
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": node,
                "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
            },
            "spec": {"unschedulable": True},
        },
        *claim("held", "ReadWriteOnce", csi={"driver": driver, "volumeHandle": "disk-1"}),
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "holder", "namespace": NAMESPACE},
            "spec": {
                "nodeName": node,
                "containers": [{"name": "c", "image": "registry.invalid/holder:1"}],
                "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "held"}}],
            },
        },
    )

    def attachment() -> str | None:
        found = faults.kubectl.list("volumeattachment")
        return next((a["metadata"]["name"] for a in found if a["spec"]["nodeName"] == node), None)

    name = eventually("the disk is to be attached elsewhere", attachment)
    faults.kubectl("patch", "volumeattachment", name, "--subresource=status", "-p", '{"status": {"attached": true}}')

    def is_attached() -> bool:
        found = faults.kubectl.get("node", node) or {}
        return bool((found.get("status") or {}).get("volumesAttached"))

    eventually("the disk is attached elsewhere", is_attached)
    faults.operator.start()
    faults.job("held", storage={"persistentVolumeClaim": {"claimName": "held"}})
    warned = faults.warned("held", "FailedAttachVolume")
    faults.told("held", warned, ("FailedAttachVolume",), "Multi-Attach error")


# Containers beside the program


def container_fails(faults: Faults, job: str) -> Callable[[], bool]:
    """Whether an init container's status says that it can't start, or has ended."""

    def look() -> bool:
        states = [
            state
            for pod in faults.pods(job)
            for one in pod["status"].get("initContainerStatuses") or []
            for state in (one.get("state") or {}).values()
        ]
        return any(state.get("reason") not in (None, "PodInitializing") for state in states)

    return look


def test_an_image_that_does_not_exist_in_an_init_container(faults: Faults) -> None:
    def inject(pod: Object) -> None:
        pod["initContainers"] = [{"name": "mesh-init", "image": "registry.invalid/mesh:1"}]

    faults.injected("no-init-image", inject)
    faults.operator.start()
    fact = container_fails(faults, "no-init-image")
    told = faults.told("no-init-image", fact, ("ErrImagePull", "ImagePullBackOff"), "registry.invalid/mesh:1")
    assert told["message"].startswith("mesh-init: ")


def test_a_native_sidecar_that_cannot_start(faults: Faults) -> None:
    def inject(pod: Object) -> None:
        image = pod["containers"][0]["image"]
        sidecar = {"name": "gcs-fuse", "image": image, "command": ["/missing"], "restartPolicy": "Always"}
        pod["initContainers"] = [sidecar]

    faults.injected("no-sidecar", inject)
    faults.operator.start()
    fact = container_fails(faults, "no-sidecar")
    # In a pod that isn't restarted the kubelet shows how it has ended, though it starts a sidecar again.
    reasons = ("RunContainerError", "CrashLoopBackOff", "ContainerCrashed")
    assert "gcs-fuse: " in faults.told("no-sidecar", fact, reasons, "/missing")["message"]


# Nodes


WAITS = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); signal.pause()"
"""A program that works until it is told to end."""


def test_a_node_that_is_drained(faults: Faults) -> None:
    def inject(pod: Object) -> None:
        pod["containers"][0]["command"] = [str(python_of("fetcher")), "-c", WAITS]

    faults.injected("drained", inject)
    faults.operator.start()
    eventually("it runs", lambda: faults.stage("drained").get("state") == "Running", LONG)
    try:
        flags = ("--force", "--delete-emptydir-data", "--ignore-daemonsets", f"--pod-selector={JOB_LABEL}=drained")
        faults.kubectl("cordon", NODE)
        began = time.monotonic()
        faults.kubectl("drain", NODE, *flags, "--timeout=60s")

        def failure() -> Object | None:
            told = (faults.kubectl.get("distillationjob", "drained") or {})["status"]
            failures = told.get("lastFailures") or []
            return next((dict(one) for one in failures if one["reason"] == "PodDisrupted"), None)

        disrupted = eventually("the eviction is told", failure, LONG)
        assert time.monotonic() - began <= SECONDS + 5.0, "the back-off of a disruption is five seconds"
        # The pod goes with its eviction: what it said of it stays, or else what its Job says.
        assert disrupted["message"].startswith("pod drained-") and disrupted["class"] == "Disruption"
        assert any(words in disrupted["message"] for words in ("was evicted from", "DisruptionTarget"))
        faults.told("drained", lambda: bool(faults.pods("drained")), ("Unschedulable",), "unschedulable")
    finally:
        faults.kubectl("uncordon", NODE)
        faults.operator.stop()


# Chips


DENIED = """
import sys
from distillation_stages.programs import fetch
from distillation_stages.runtime.failure_words import known_failure

def run(spec, storage):
    try:
        open("/dev/vfio/0", "r+b")
    except OSError as error:
        raise known_failure(f"Couldn't open iommu group /dev/vfio/0: {error}", "libtpu gave up")

fetch.run = run
from distillation_stages.__main__ import main
sys.exit(main())
"""
"""The program of a stage that opens the accelerator as libtpu would."""


@pytest.fixture
def chips(testbed: Testbed, faults: Faults, tmp_path: Path) -> Iterator[None]:
    """A node with chips, whose device files only root may open."""
    device = tmp_path / "vfio"
    os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    device.chmod(0o600)
    plugin = str(Path(__file__).with_name("device_plugin.py"))
    argv = [str(python_of("converter")), plugin, str(CHIPS), str(device)]
    process = testbed.site.namespace.spawn(argv, testbed.site.folder.log("device-plugin"), {})

    def offered() -> bool:
        node = faults.kubectl.get("node", NODE) or {}
        return str(node["status"]["allocatable"].get("google.com/tpu")) == str(CHIPS)

    try:
        eventually("chips are offered", offered)
        yield
    finally:
        os.kill(process, signal.SIGKILL)


def has_failed(faults: Faults, job: str) -> Callable[[], bool]:
    """Whether a pod of the stage has failed."""
    return lambda: any(pod["status"].get("phase") == "Failed" for pod in faults.pods(job))


def with_chips(pod: Object, count: int) -> Object:
    """The pod's container, which asks for chips."""
    container: Object = pod["containers"][0]
    container["resources"] = {"limits": {"google.com/tpu": count}}
    return container


def test_a_device_file_without_permission(faults: Faults, chips: None) -> None:
    def inject(pod: Object) -> None:
        container = with_chips(pod, CHIPS)
        container["command"] = [str(python_of("fetcher")), "-c", DENIED]

    faults.injected("denied", inject)
    faults.operator.start()
    told = faults.told("denied", has_failed(faults, "denied"), ("AcceleratorDenied",), "uid 65532")
    assert told["state"] == "Failed"


def test_a_part_of_a_machines_chips(faults: Faults, chips: None) -> None:
    def inject(pod: Object) -> None:
        with_chips(pod, CHIPS // 2)

    faults.injected("part", inject)
    faults.operator.start()
    told = faults.told("part", has_failed(faults, "part"), ("ChipsRefused",), f"all {CHIPS} chips")
    assert told["state"] == "Failed"
