"""The pod of a stage: one container, the storage, scratch space, a TPU.

Strings of users reach the container as JSON in one environment variable, never through a shell.
"""

import json
from typing import Any

from distillation_api.contract import (
    COMPILE_CACHE_ENV,
    JOB_ENV,
    LOG_TAILS_ENV,
    NO_LOG_TAILS,
    SCRATCH_MOUNT,
    SECRET_VARIABLES_ENV,
    STAGE_SPEC_ENV,
    STORAGE_MOUNT,
    WRITER_ENV,
)
from distillation_api.resource import DistillationJob
from distillation_api.spec import DistillationJobSpec, PodOptions
from distillation_operator.manifests.gcs_fuse import mount_options
from distillation_operator.manifests.grace import grace_seconds, grace_variable
from distillation_operator.manifests.node_scheduling import node_scheduling
from distillation_operator.manifests.scratch_volumes import mounts, volumes
from distillation_operator.manifests.security_profiles import GROUP, container_security, owner_of_files, pod_security
from distillation_operator.manifests.settings import Installation
from distillation_operator.manifests.stage_pods import GcsFuseLimits
from distillation_operator.manifests.weights_cache import MEMORY_LIMIT, MOUNT_OPTIONS, WeightsCache, weights_cache
from distillation_operator.pipeline.placement import Placement
from distillation_operator.pipeline.stage import Stage

CONTAINER = "stage"
CACHE_FOLDER = "cache"
"""Of the storage's prefix; no stage has that name."""
TPU_METRICS_PORT = 8431
MACHINE_PERCENT = 80
"""Of a VM's CPU and memory that its one pod requests: the rest is for the node's own pods and the sidecar's."""

_DEFAULT_ON_CPU = {"cpu": "2", "memory": "8Gi"}
Object = dict[str, Any]


def pod_template(
    job: DistillationJob,
    stage: Stage,
    installation: Installation,
    labels: dict[str, str],
    env: list[Object] | None = None,
) -> Object:
    """The pod template of a stage. ``env``: what the workload's kind adds."""
    spec = job.spec
    limits = installation.stage_pods
    cache = weights_cache(stage, limits, spec.storage.gcs is not None, MACHINE_PERCENT)
    owner = owner_of_files(limits.accelerator_profile, stage.placement.chips)
    storage_volume, annotations = _storage(spec, limits.gcs_fuse, owner, cache)
    options = spec.pod
    metadata: Object = {"labels": {**(options.labels or {}), **labels}}
    annotations = {**(options.annotations or {}), **annotations}
    if annotations:
        metadata["annotations"] = annotations
    pod: Object = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": grace_seconds(spec, stage),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "containers": [_container(job, stage, installation, env or [], cache)],
        "volumes": [
            {"name": "storage", **storage_volume},
            *volumes(stage.placement, limits.scratch_limit),
            *([cache.volume] if cache is not None else []),
        ],
    }
    if limits.deadline_seconds is not None:
        # Of the pod, not of the Job: the time that a Job waits for its pods to be scheduled isn't the stage's.
        pod["activeDeadlineSeconds"] = limits.deadline_seconds
    pod.update(node_scheduling(options, stage))
    if options.service_account_name is not None:
        pod["serviceAccountName"] = options.service_account_name
    if options.priority_class_name is not None:
        pod["priorityClassName"] = options.priority_class_name
    if options.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in options.image_pull_secrets]
    return {"metadata": metadata, "spec": pod}


def _container(
    job: DistillationJob, stage: Stage, installation: Installation, env: list[Object], cache: WeightsCache | None
) -> Object:
    return {
        "name": CONTAINER,
        "image": installation.image(stage.image, stage.placement.hardware),
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": STAGE_SPEC_ENV, "value": encoded_input(stage)},
            {"name": WRITER_ENV, "value": job.metadata.uid},
            {"name": JOB_ENV, "value": f"{job.metadata.namespace}/{job.metadata.name}"},
            *_environment(job.spec, stage),
            *([] if installation.stage_pods.log_tails else [{"name": LOG_TAILS_ENV, "value": NO_LOG_TAILS}]),
            *_compile_cache(job.spec, installation),
            *grace_variable(job.spec, stage),
            *env,
            *_users_environment(job.spec.pod),
        ],
        **_ports(stage),
        "resources": _resources(job.spec, stage, installation.stage_pods.scratch_limit, cache),
        "securityContext": container_security(installation.stage_pods.accelerator_profile, stage.placement.chips),
        # A program that is killed writes no message: then the tail of its log shows what it was doing.
        "terminationMessagePolicy": "FallbackToLogsOnError" if installation.stage_pods.log_tails else "File",
        "volumeMounts": [
            {"name": "storage", "mountPath": STORAGE_MOUNT},
            *mounts(stage.placement),
        ],
    }


def _ports(stage: Stage) -> Object:
    if stage.placement.hardware != "tpu":
        return {}
    # Opens nothing. libtpu tells its metrics there, and the device plugin on the node asks for them.
    return {"ports": [{"name": "tpu-metrics", "containerPort": TPU_METRICS_PORT}]}


def _environment(spec: DistillationJobSpec, stage: Stage) -> list[Object]:
    env: list[Object] = [{"name": "HOME", "value": SCRATCH_MOUNT}]
    token = spec.hugging_face_token
    if stage.needs_token:
        if token is not None:
            reference = {"name": token.secret_name, "key": token.key}
            env.append({"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": reference}})
    else:
        # What a stage needs lies in the storage; a library that would ask the Hub is a mistake, and told at once.
        env.append({"name": "HF_HUB_OFFLINE", "value": "1"})
    if stage.placement.hardware == "cpu":
        env.append({"name": "JAX_PLATFORMS", "value": stage.placement.platform.jax})
    return env


def _compile_cache(spec: DistillationJobSpec, installation: Installation) -> list[Object]:
    if not installation.stage_pods.shared_compile_cache:
        return []
    return [{"name": COMPILE_CACHE_ENV, "value": f"{spec.storage.prefix}/{CACHE_FOLDER}"}]


def _users_environment(options: PodOptions) -> list[Object]:
    env: list[Object] = []
    for variable in options.env or ():
        if variable.secret is not None:
            reference = {"name": variable.secret.secret_name, "key": variable.secret.key}
            env.append({"name": variable.name, "valueFrom": {"secretKeyRef": reference}})
        else:
            # The kubelet replaces $(NAME) by a variable, and $$ by a dollar.
            env.append({"name": variable.name, "value": (variable.value or "").replace("$", "$$")})
    secrets = [variable.name for _, variable, _ in options.secrets]
    return [*env, {"name": SECRET_VARIABLES_ENV, "value": ",".join(secrets)}] if secrets else env


def _resources(
    spec: DistillationJobSpec, stage: Stage, scratch_limit: str | None, cache: WeightsCache | None
) -> Object:
    placement = stage.placement
    wanted, resource = placement.resources, placement.platform.resource
    chips = {resource: str(placement.chips_per_host)} if resource else {}
    # A limit without a request would be the request too, and a pod would wait for a node with all of it free.
    requested: Object = {"ephemeral-storage": "0"} if scratch_limit else {}
    limited: Object = {"ephemeral-storage": scratch_limit} if scratch_limit else {}
    given = {} if wanted is None else wanted.model_dump(include={"cpu", "memory"}, exclude_none=True)
    if not chips:
        asked = {**_DEFAULT_ON_CPU, **given}
        return {"requests": {**asked, **requested}, "limits": {"memory": asked["memory"], **limited}}
    # Kueue admits no pod that asks for what its ClusterQueue doesn't cover, and most cover the chips alone.
    share = {} if spec.queue is not None else _share_of_machine(placement, cache)
    limit = {"memory": given["memory"]} if "memory" in given else {}
    return {"requests": {**share, **given, **chips, **requested}, "limits": {**limit, **chips, **limited}}


def _share_of_machine(placement: Placement, cache: WeightsCache | None) -> dict[str, str]:
    """What a pod asks for that has the VM to itself: without any request it is the first to be evicted."""
    machine = placement.machine
    if machine is None:
        return {}
    return {
        "cpu": str(machine.cpus * MACHINE_PERCENT // 100),
        "memory": f"{machine.memory_gb * MACHINE_PERCENT // 100 - (cache.memory_gb if cache else 0)}G",
    }


def _storage(
    spec: DistillationJobSpec, sidecar: GcsFuseLimits, owner: int, cache: WeightsCache | None
) -> tuple[Object, dict[str, str]]:
    """The storage's volume, and the annotations that its driver reads."""
    storage = spec.storage
    if storage.persistent_volume_claim is not None:
        return {"persistentVolumeClaim": {"claimName": storage.persistent_volume_claim.claim_name}}, {}
    assert storage.gcs is not None
    attributes = {
        "bucketName": storage.gcs.bucket,
        "mountOptions": mount_options(owner, GROUP, *(MOUNT_OPTIONS if cache is not None else ())),
        **(cache.attributes if cache is not None else {}),
    }
    volume = {"csi": {"driver": "gcsfuse.csi.storage.gke.io", "volumeAttributes": attributes}}
    return volume, {
        "gke-gcsfuse/volumes": "true",
        "gke-gcsfuse/cpu-limit": sidecar.cpu,
        MEMORY_LIMIT: sidecar.memory,
        "gke-gcsfuse/ephemeral-storage-limit": sidecar.ephemeral_storage,
        **(cache.annotations(sidecar.memory) if cache is not None else {}),
    }


def encoded_input(stage: Stage) -> str:
    """What a stage's program is told."""
    return encoded(stage.spec().to_json_dict())


def encoded(value: Object) -> str:
    """JSON of one line of ASCII, in which a character is a byte."""
    # The kubelet replaces $(NAME) and $$ in a variable's value; a dollar written as an escape comes through.
    return json.dumps(value, separators=(",", ":"), sort_keys=True).replace("$", "\\u0024")
