"""What must hold of every Job and JobSet, whatever the user asks for."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.wrong_manifests import changed, put
from distillation_api.accelerators import ACCELERATORS
from distillation_api.contract import STAGE_SPEC_ENV, StageSpec
from distillation_api.resource import DistillationJob
from distillation_operator.commands.validation import validate
from distillation_operator.manifests.kinds import child_manifest
from distillation_operator.manifests.settings import Installation
from distillation_operator.manifests.stage_pods import StagePods
from distillation_operator.pipeline.graph import build_pipeline
from distillation_operator.pipeline.stage import Stage
from support.scenario import small_spec

Object = dict[str, Any]
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
QUEUE = "kueue.x-k8s.io/queue-name"
EXCLUSIVE = "alpha.jobset.sigs.k8s.io/exclusive-topology"
V5E = {"type": "tpu-v5-lite-podslice", "topology": "2x4"}
V4 = {"type": "tpu-v4-podslice", "topology": "2x2x1"}
quick = settings(max_examples=15, deadline=None, database=None)

hub_words = st.text("abcXYZ019", min_size=1, max_size=5)
hub_repos = st.one_of(
    st.builds(
        lambda owner, name, end: f"{owner}/{name}{end}",
        hub_words,
        hub_words,
        st.sampled_from(["", "--x", ".gguf", "_", "-", "A" * 85]),
    ),
    st.sampled_from(["gpt2", "Org.Name/model--v1.0", "a/" + "B" * 96]),
)
column_names = st.text(min_size=1, max_size=20)


def job_with(metadata: Object | None = None, **members: Any) -> DistillationJob:
    """A job with publication, so that every kind of stage is there."""
    spec = small_spec(**{"export": {"to": {"path": "models/new"}}, **members})
    return DistillationJob.parse(
        {
            "apiVersion": "distillation.dev/v1alpha1",
            "kind": "DistillationJob",
            "metadata": {"name": "job", "namespace": "ml", "uid": "uid-1", **(metadata or {})},
            "spec": spec,
        }
    )


def on_tpu(**members: Any) -> DistillationJob:
    """Generation and training on TPUs, all else on CPU."""
    training = {"accelerator": V4, "stages": [{"name": "one", "steps": 10}]}
    return job_with(**{"generation": {"shards": 4, "accelerator": V5E}, "training": training, **members})


def children(job: DistillationJob, attempt: int = 0, installation: Installation | None = None) -> dict[str, Object]:
    """The manifest of each stage."""
    stages = build_pipeline(job.spec)
    installation = installation or Installation()
    return {name: child_manifest(job, stage, attempt, installation) for name, stage in stages.items()}


def pod_template(child: Object) -> Object:
    template: Object = (
        child["spec"]["replicatedJobs"][0]["template"]["spec"] if child["kind"] == "JobSet" else child["spec"]
    )
    pod: Object = template["template"]
    return pod


def pod_of(child: Object) -> Object:
    pod: Object = pod_template(child)["spec"]
    return pod


def container_of(child: Object) -> Object:
    containers = pod_of(child)["containers"]
    assert len(containers) == 1
    container: Object = containers[0]
    return container


def has_chips(child: Object) -> bool:
    return "google.com/tpu" in container_of(child)["resources"]["limits"]


def env_of(child: Object) -> dict[str, Object]:
    variables = container_of(child)["env"]
    assert len({variable["name"] for variable in variables}) == len(variables)
    return {variable["name"]: variable for variable in variables}


def all_labels(child: Object) -> Iterator[dict[str, str]]:
    """The labels on the child, on the Jobs that it makes, and on the pods."""
    yield child["metadata"]["labels"]
    yield pod_template(child)["metadata"]["labels"]
    for made in child["spec"].get("replicatedJobs", []):
        yield made["template"]["metadata"]["labels"]


def expanded(value: str, variables: dict[str, str]) -> str:
    """What the kubelet makes of a variable's value: $(NAME) is replaced, $$ is one dollar."""

    def replacement(match: re.Match[str]) -> str:
        if match.group() == "$$":
            return "$"
        return variables.get(match.group(1), match.group())

    return re.sub(r"\$\$|\$\(([^)]*)\)", replacement, value)


# What children are called and whose they are.


def test_children_carry_nothing_of_their_parents_labels_and_annotations() -> None:
    odd = {
        "labels": {"app.kubernetes.io/instance": "argo-app", "team": "ml"},
        "annotations": {"argocd.argoproj.io/tracking-id": "app:distillation.dev/DistillationJob:ml/job", "x": "y"},
    }
    assert children(job_with(odd)) == children(job_with())


def test_children_are_owned_by_their_job() -> None:
    for child in children(on_tpu()).values():
        assert child["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "distillation.dev/v1alpha1",
                "kind": "DistillationJob",
                "name": "job",
                "uid": "uid-1",
                "controller": True,
            }
        ]
        assert child["metadata"]["namespace"] == "ml"


def test_each_attempt_has_a_name_of_its_own_and_its_pods_tell_it() -> None:
    names = {child["metadata"]["name"] for attempt in (0, 1) for child in children(on_tpu(), attempt).values()}
    assert len(names) == 2 * len(children(on_tpu()))
    for child in children(on_tpu(), 3).values():
        for labels in all_labels(child):
            assert labels["distillation.dev/child"] == child["metadata"]["name"]
            assert labels["distillation.dev/attempt"] == "3"


@quick
@given(hub_repos, hub_repos, column_names)
def test_no_string_of_a_user_is_in_a_label(teacher: str, data: str, column: str) -> None:
    """Case 60."""
    fuzzed = on_tpu(
        teacher={"source": {"huggingFace": {"repo": teacher, "revision": column}}},
        dataset={"source": {"huggingFace": {"repo": data}}, "messagesColumn": column},
    )
    for child, plain in zip(children(fuzzed).values(), children(on_tpu()).values(), strict=True):
        assert list(all_labels(child)) == list(all_labels(plain))
        assert all(LABEL_VALUE.fullmatch(value) for labels in all_labels(child) for value in labels.values())
        assert pod_template(child)["metadata"] == pod_template(plain)["metadata"]


def test_pods_with_chips_name_the_port_of_their_metrics() -> None:
    ports = {name: container_of(child).get("ports") for name, child in children(on_tpu()).items()}
    named = [{"name": "tpu-metrics", "containerPort": 8431}]
    assert {name for name, found in ports.items() if found == named} == {"generate", "train-one"}
    assert all(found is None for name, found in ports.items() if name not in ("generate", "train-one"))


# Kinds of workloads.


def test_training_is_a_jobset_and_all_else_a_job() -> None:
    kinds = {name: child["kind"] for name, child in children(on_tpu()).items()}
    assert {name for name, kind in kinds.items() if kind == "JobSet"} == {"train-one"}
    assert set(kinds.values()) == {"Job", "JobSet"}


def test_generation_is_one_index_per_shard_that_is_tried_again_by_itself() -> None:
    spec = children(on_tpu(retries={"failures": 3}))["generate"]["spec"]
    assert spec["completionMode"] == "Indexed"
    assert (spec["completions"], spec["parallelism"], spec["backoffLimitPerIndex"]) == (4, 4, 3)


def test_one_attempt_of_any_other_stage_is_one_run() -> None:
    for name, child in children(on_tpu()).items():
        if name == "generate":
            continue
        if child["kind"] == "JobSet":
            assert child["spec"]["failurePolicy"] == {"maxRestarts": 0}
            assert child["spec"]["replicatedJobs"][0]["template"]["spec"]["backoffLimit"] == 0
        else:
            assert child["spec"]["backoffLimit"] == 0


def test_wrong_input_is_never_retried_and_a_disruption_ends_all_that_is_one_attempt() -> None:
    for name, child in children(on_tpu()).items():
        is_jobset = child["kind"] == "JobSet"
        spec = child["spec"]["replicatedJobs"][0]["template"]["spec"] if is_jobset else child["spec"]
        rules = spec["podFailurePolicy"]["rules"]
        permanent = next(rule for rule in rules if "onExitCodes" in rule)
        assert permanent["action"] == "FailJob"
        assert permanent["onExitCodes"] == {"containerName": "stage", "operator": "In", "values": [65, 78]}
        disrupted = next(rule for rule in rules if "onPodConditions" in rule)
        assert disrupted["onPodConditions"] == [{"type": "DisruptionTarget"}]
        assert disrupted["action"] == ("Ignore" if name == "generate" else "FailJob")


# Queues.


def test_only_children_with_chips_are_queued_and_created_suspended() -> None:
    for name, child in children(on_tpu(queue={"name": "tpu-queue"})).items():
        queued = name in ("generate", "train-one")
        assert child["metadata"]["labels"].get(QUEUE) == ("tpu-queue" if queued else None), name
        assert child["spec"].get("suspend") == (True if queued else None), name
        assert QUEUE not in pod_template(child)["metadata"]["labels"]


def test_what_a_queue_asks_of_its_provisioner_stands_on_what_is_queued() -> None:
    annotation = "provreq.kueue.x-k8s.io/maxRunDurationSeconds"
    made = children(on_tpu(queue={"name": "flex", "maxRunDurationSeconds": 86400}))
    asked = {name: child["metadata"]["annotations"].get(annotation) for name, child in made.items()}
    assert {name for name, value in asked.items() if value == "86400"} == {
        name for name, child in made.items() if QUEUE in child["metadata"]["labels"]
    }
    assert annotation not in str(children(on_tpu(queue={"name": "flex"})))


def test_a_queue_may_hold_the_stages_without_chips_too() -> None:
    annotation = "provreq.kueue.x-k8s.io/maxRunDurationSeconds"
    made = children(on_tpu(queue={"name": "all", "cpuStages": True, "maxRunDurationSeconds": 86400}))
    for name, child in made.items():
        assert child["metadata"]["labels"][QUEUE] == "all", name
        assert child["spec"]["suspend"] is True, name
        # A node of CPU isn't asked for by a ProvisioningRequest of the job's.
        assert (annotation in child["metadata"]["annotations"]) == (name in ("generate", "train-one")), name
    without = children(on_tpu(queue={"name": "all", "cpuStages": False}))
    assert {name for name, child in without.items() if "suspend" in child["spec"]} == {"generate", "train-one"}


def test_the_priority_of_a_queue_is_a_label_of_what_is_queued_and_of_no_pod() -> None:
    label = "kueue.x-k8s.io/priority-class"
    for name, child in children(on_tpu(queue={"name": "tpu-queue", "priorityClass": "urgent"})).items():
        wanted = "urgent" if name in ("generate", "train-one") else None
        assert child["metadata"]["labels"].get(label) == wanted, name
        assert label not in pod_template(child)["metadata"]["labels"]
    assert label not in str(children(on_tpu(queue={"name": "tpu-queue"})))


def test_without_a_queue_nothing_is_suspended() -> None:
    for child in children(on_tpu()).values():
        assert QUEUE not in child["metadata"]["labels"]
        assert "suspend" not in child["spec"]


# Pods.


@pytest.mark.parametrize("job", [job_with(), on_tpu(), on_tpu(storage={"gcs": {"bucket": "my-bucket"}})])
def test_pods_pass_pod_security_restricted(job: DistillationJob) -> None:
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    for child in children(job).values():
        pod, container = pod_of(child), container_of(child)
        assert not any(pod.get(field) for field in ("hostNetwork", "hostPID", "hostIPC", "initContainers"))
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert not security.get("privileged")
        assert not any("hostPort" in port for port in container.get("ports", []))
        for volume in pod["volumes"]:
            assert set(volume) - {"name"} <= allowed


def test_pods_have_no_credential_of_the_api_server() -> None:
    assert all(pod_of(child)["automountServiceAccountToken"] is False for child in children(on_tpu()).values())


def test_the_storage_and_scratch_space_are_all_that_can_be_written() -> None:
    for child in children(on_tpu()).values():
        assert container_of(child)["securityContext"]["readOnlyRootFilesystem"] is True
        mounts = {mount["mountPath"]: mount["name"] for mount in container_of(child)["volumeMounts"]}
        shared = {"/dev/shm": "shared-memory"} if has_chips(child) else {}
        assert mounts == {"/storage": "storage", "/tmp": "scratch", **shared}


def test_a_bucket_is_mounted_by_its_driver_and_a_claim_by_its_name() -> None:
    bucket = children(on_tpu(storage={"gcs": {"bucket": "my-bucket"}}))["generate"]
    volume = next(volume for volume in pod_of(bucket)["volumes"] if volume["name"] == "storage")
    assert volume["csi"]["driver"] == "gcsfuse.csi.storage.gke.io"
    assert volume["csi"]["volumeAttributes"]["bucketName"] == "my-bucket"
    assert pod_template(bucket)["metadata"]["annotations"]["gke-gcsfuse/volumes"] == "true"
    claim = children(on_tpu())["generate"]
    volume = next(volume for volume in pod_of(claim)["volumes"] if volume["name"] == "storage")
    assert volume["persistentVolumeClaim"] == {"claimName": "claim"}
    assert "annotations" not in pod_template(claim)["metadata"]


def test_pod_options_reach_every_pod() -> None:
    options = {"serviceAccountName": "distill", "priorityClassName": "batch", "imagePullSecrets": ["registry"]}
    for child in children(on_tpu(pod=options)).values():
        pod = pod_of(child)
        assert (pod["serviceAccountName"], pod["priorityClassName"]) == ("distill", "batch")
        assert pod["imagePullSecrets"] == [{"name": "registry"}]


# What programs are told.


def test_the_hub_token_is_a_reference_and_only_where_the_hub_is_read() -> None:
    """V19, D4: no stage on accelerators asks the Hub; what it needs lies in the storage before it starts."""
    token = {"secretName": "hf-token", "key": "token"}
    for name, child in children(on_tpu(huggingFaceToken=token)).items():
        env = env_of(child)
        if name == "fetch-teacher":
            assert env["HF_TOKEN"]["valueFrom"] == {"secretKeyRef": {"name": "hf-token", "key": "token"}}
            assert "value" not in env["HF_TOKEN"]
        else:
            assert "hf-token" not in json.dumps(child), name
            assert env["HF_HUB_OFFLINE"]["value"] == "1"
        assert "args" not in container_of(child)
        assert "command" not in container_of(child)


@quick
@given(column_names, hub_repos)
def test_the_stage_spec_comes_out_of_the_environment_as_it_went_in(column: str, repo: str) -> None:
    dataset = {"source": {"huggingFace": {"repo": repo}}, "messagesColumn": column}
    assert_spec_survives(on_tpu(dataset=dataset))


@pytest.mark.parametrize(
    "column", ["$$price", "$(HOME)", "$(KUBERNETES_PORT)", "$$(HF_TOKEN)", "a'b\"c\\d\ne", "naïve 💥"]
)
def test_the_kubelet_does_not_change_a_users_string(column: str) -> None:
    assert_spec_survives(job_with(dataset={"source": {"path": "data.jsonl"}, "messagesColumn": column}))


def assert_spec_survives(job: DistillationJob) -> None:
    service = {"KUBERNETES_PORT": "tcp://10.0.0.1:443", "HOME": "/tmp", "HF_TOKEN": "secret"}
    for name, stage in build_pipeline(job.spec).items():
        value = env_of(child_manifest(job, stage, 0, Installation()))[STAGE_SPEC_ENV]["value"]
        assert StageSpec.model_validate_json(expanded(value, service)) == stage.spec(), name


def test_the_token_is_in_the_fetchers_image_alone() -> None:
    pipeline = build_pipeline(on_tpu().spec)
    assert {stage.image for stage in pipeline.values() if stage.needs_token} == {"fetcher"}


def test_each_stage_runs_its_image() -> None:
    installation = Installation(fetcher_image="f:1", converter_image="c:1", teacher_image="t:1", trainer_image="r:1")
    job = on_tpu()
    images = {
        name: container_of(child_manifest(job, stage, 0, installation))["image"]
        for name, stage in build_pipeline(job.spec).items()
    }
    assert images == {
        "fetch-teacher": "f:1",
        "fetch-student": "f:1",
        "prepare-dataset": "f:1",
        "convert-student": "c:1",
        "preflight": "c:1",
        "generate": "t:1",
        "pack-one": "c:1",
        "train-one": "r:1",
        "export": "c:1",
        "evaluate": "c:1",
        "publish": "f:1",
    }


# Accelerators.


def training_on(accelerator: Object, **stage: Any) -> Object:
    training = {"accelerator": accelerator, "stages": [{"name": "one", "steps": 10, **stage}]}
    return children(job_with(training=training))["train-one"]


def shapes() -> list[Any]:
    return [
        pytest.param(kind, shape.topology, size, id=f"{kind}-{shape.topology}-{size}")
        for kind, family in ACCELERATORS.items()
        for shape in family.shapes
        for size in shape.chips_per_host
    ]


@pytest.mark.parametrize(("kind", "topology", "chips_per_host"), shapes())
def test_each_row_of_the_accelerator_table(kind: str, topology: str, chips_per_host: int) -> None:
    child = training_on({"type": kind, "topology": topology, "chipsPerHost": chips_per_host, "slices": 2})
    replicated = child["spec"]["replicatedJobs"][0]
    hosts = replicated["template"]["spec"]["completions"]
    assert replicated["replicas"] == 2
    assert replicated["template"]["spec"]["parallelism"] == hosts
    resources = container_of(child)["resources"]
    assert resources["requests"]["google.com/tpu"] == resources["limits"]["google.com/tpu"] == str(chips_per_host)
    chips = 1
    for side in topology.split("x"):
        chips *= int(side)
    assert hosts * chips_per_host == chips
    assert pod_of(child)["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": kind,
        "cloud.google.com/gke-tpu-topology": topology,
        "cloud.google.com/gke-accelerator-count": str(chips_per_host),
    }


def test_chips_are_asked_for_beside_cpu_and_memory() -> None:
    training = {
        "accelerator": V4,
        "resources": {"cpu": "32", "memory": "200Gi"},
        "stages": [{"name": "one", "steps": 10}],
    }
    assert container_of(children(job_with(training=training))["train-one"])["resources"] == {
        "requests": {"cpu": "32", "memory": "200Gi", "google.com/tpu": "4"},
        "limits": {"memory": "200Gi", "google.com/tpu": "4"},
    }


@pytest.mark.parametrize(
    ("given", "requests", "limits"),
    [
        ({"cpu": "32"}, {"cpu": "32", "memory": "153G"}, {}),
        ({"memory": "90Gi"}, {"cpu": "89", "memory": "90Gi"}, {"memory": "90Gi"}),
        ({}, {"cpu": "89", "memory": "153G"}, {}),
    ],
)
def test_what_resources_leave_out_beside_chips_is_of_the_vm(given: Object, requests: Object, limits: Object) -> None:
    """8Gi, as on CPU, would end a training on a VM of 192 GB."""
    accelerator = {"type": "tpu-v5-lite-podslice", "topology": "4x4"}
    training = {"accelerator": accelerator, "resources": given, "stages": [{"name": "one", "steps": 10}]}
    chips = {"google.com/tpu": "4"}
    made = container_of(children(job_with(training=training))["train-one"])["resources"]
    assert made == {"requests": {**requests, **chips}, "limits": {**limits, **chips}}


def test_what_resources_leave_out_on_cpu_has_its_default() -> None:
    child = children(job_with(conversion={"resources": {"memory": "16Gi"}}))["convert-student"]
    assert container_of(child)["resources"] == {
        "requests": {"cpu": "2", "memory": "16Gi"},
        "limits": {"memory": "16Gi"},
    }


@pytest.mark.parametrize(
    ("accelerator", "cpu", "memory"),
    [
        ({"type": "tpu-v5-lite-podslice", "topology": "1x1"}, "19", "38G"),
        ({"type": "tpu-v5-lite-podslice", "topology": "2x4"}, "179", "307G"),
        ({"type": "tpu-v5-lite-podslice", "topology": "4x4"}, "89", "153G"),
        ({"type": "tpu7x", "topology": "2x2x1"}, "179", "768G"),
    ],
)
def test_a_pod_that_has_a_vm_to_itself_asks_for_most_of_it(accelerator: Object, cpu: str, memory: str) -> None:
    chips = container_of(training_on(accelerator))["resources"]["limits"]
    requests = container_of(training_on(accelerator))["resources"]["requests"]
    assert requests == {"cpu": cpu, "memory": memory, **chips}


def test_chips_alone_are_asked_for_in_a_queue_and_of_a_vm_that_is_not_known() -> None:
    training = {"accelerator": V4, "stages": [{"name": "one", "steps": 10}]}
    queued = children(job_with(training=training, queue={"name": "tpus"}))["train-one"]
    assert container_of(queued)["resources"]["requests"] == {"google.com/tpu": "4"}
    unknown = training_on({"type": "tpu7x", "topology": "1x1x1"})
    assert container_of(unknown)["resources"]["requests"] == {"google.com/tpu": "1"}


def test_cpu_stages_ask_for_no_chips_and_choose_no_node() -> None:
    for child in children(job_with()).values():
        assert "google.com/tpu" not in container_of(child)["resources"]["limits"]
        assert "nodeSelector" not in pod_of(child)
        assert env_of(child)["JAX_PLATFORMS"]["value"] == "cpu"
    assert "JAX_PLATFORMS" not in env_of(training_on(V4))


def together(child: Object) -> Object | None:
    """The pod's affinity, as the API server writes it once it knows the pod's labels: of slice ``own`` here."""
    affinity: Object | None = pod_of(child).get("affinity")
    if affinity is None:
        return None
    told = {}
    for kind, (keys, operator) in {
        "podAffinity": ("matchLabelKeys", "In"),
        "podAntiAffinity": ("mismatchLabelKeys", "NotIn"),
    }.items():
        [term] = affinity[kind]["requiredDuringSchedulingIgnoredDuringExecution"]
        [key] = term[keys]
        assert all(match["key"] != key for match in term["labelSelector"]["matchExpressions"]), "the API refuses that"
        merged = [*term["labelSelector"]["matchExpressions"], {"key": key, "operator": operator, "values": ["own"]}]
        told[kind] = (term["topologyKey"], term["namespaceSelector"], merged)
    return told


@pytest.mark.parametrize("slices", [1, 4])
@pytest.mark.parametrize(
    ("accelerator", "several_hosts"),
    [
        ({"type": "tpu-v5-lite-podslice", "topology": "4x4"}, True),
        ({"type": "tpu-v6e-slice", "topology": "2x4", "chipsPerHost": 4}, True),
        ({"type": "tpu7x", "topology": "2x2x2"}, True),
        (V5E, False),
        (V4, False),
    ],
)
def test_each_slice_of_several_hosts_has_a_node_pool_to_itself(
    accelerator: Object, several_hosts: bool, slices: int
) -> None:
    """U23: the pods of one slice on one pool, and those of others on none of it; all pods may be made at once."""
    child = training_on({**accelerator, "slices": slices})
    assert EXCLUSIVE not in child["metadata"]["annotations"]
    if not several_hosts:
        assert together(child) is None
        return
    jobset = {"key": "jobset.sigs.k8s.io/jobset-name", "operator": "Exists"}
    key = "jobset.sigs.k8s.io/job-key"
    pool = "cloud.google.com/gke-nodepool"
    assert together(child) == {
        "podAffinity": (pool, {}, [jobset, {"key": key, "operator": "In", "values": ["own"]}]),
        "podAntiAffinity": (pool, {}, [jobset, {"key": key, "operator": "NotIn", "values": ["own"]}]),
    }


def test_kueue_is_told_of_slices_where_its_queue_knows_node_pools() -> None:
    """U23."""
    of_pools = {"name": "tpus", "topology": "cloud.google.com/gke-nodepool"}
    accelerator = {"type": "tpu-v5-lite-podslice", "topology": "4x4", "slices": 2}
    training = {"accelerator": accelerator, "stages": [{"name": "one", "steps": 10}]}
    told = pod_template(children(job_with(training=training, queue=of_pools))["train-one"])["metadata"]["annotations"]
    assert told == {
        "kueue.x-k8s.io/podset-slice-required-topology": "cloud.google.com/gke-nodepool",
        "kueue.x-k8s.io/podset-slice-size": "4",
    }
    others = children(on_tpu(queue=of_pools)) | {"train-one": training_on(accelerator)}
    assert not any(
        "kueue" in key for child in others.values() for key in pod_template(child)["metadata"].get("annotations", {})
    )


def test_the_job_index_is_told_of_several_slices() -> None:
    several = {"type": "tpu-v4-podslice", "topology": "2x2x2", "slices": 4}
    assert "valueFrom" in env_of(training_on(several))["JOB_INDEX"]
    assert env_of(training_on(V4))["JOB_INDEX"]["value"] == "0"


def test_spot_nodes_are_chosen_and_tolerated_only_when_asked_for() -> None:
    spot = pod_of(training_on({**V4, "provisioning": "Spot"}))
    assert spot["nodeSelector"]["cloud.google.com/gke-spot"] == "true"
    assert {
        "key": "cloud.google.com/gke-spot",
        "operator": "Equal",
        "value": "true",
        "effect": "NoSchedule",
    } in spot["tolerations"]
    on_demand = pod_of(training_on(V4))
    assert "cloud.google.com/gke-spot" not in on_demand["nodeSelector"]
    assert [toleration["key"] for toleration in on_demand["tolerations"]] == ["google.com/tpu"]


@pytest.mark.parametrize(
    ("provisioning", "label", "taints"),
    [
        ("FlexStart", "gke-flex-start", ["gke-flex-start"]),
        ("FlexStartQueued", "gke-queued", ["gke-queued", "gke-flex-start"]),
    ],
)
def test_flex_start_nodes_are_chosen_with_and_without_a_queue(provisioning: str, label: str, taints: list[str]) -> None:
    """U26."""
    pod = pod_of(training_on({**V4, "provisioning": provisioning}))
    assert pod["nodeSelector"][f"cloud.google.com/{label}"] == "true"
    assert [taint["key"] for taint in pod["tolerations"]] == [
        "google.com/tpu",
        *(f"cloud.google.com/{taint}" for taint in taints),
    ]


def test_a_compute_class_chooses_the_accelerator_itself() -> None:
    """U26."""
    compute_class = {"cloud.google.com/compute-class": "tpus"}
    pod = pod_of(training_on({**V4, "nodeSelector": compute_class}))
    assert pod["nodeSelector"] == compute_class
    assert pod["tolerations"][0]["key"] == "google.com/tpu"
    job = on_tpu(pod={"nodeSelector": compute_class})
    assert pod_of(children(job)["train-one"])["nodeSelector"] == compute_class


def test_labels_of_nodes_are_added_to_ours() -> None:
    """U26: those of the accelerator for its pods alone, and before those of all pods."""
    accelerator = {**V4, "provisioning": "Reservation", "reservationName": "may", "nodeSelector": {
        "cloud.google.com/reservation-blocks": "block-1", "disk": "fast"}}  # fmt: skip
    training = {"accelerator": accelerator, "stages": [{"name": "one", "steps": 10}]}
    made = children(job_with(training=training, pod={"nodeSelector": {"disk": "slow", "zone": "a"}}))
    assert pod_of(made["train-one"])["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v4-podslice",
        "cloud.google.com/gke-tpu-topology": "2x2x1",
        "cloud.google.com/reservation-name": "may",
        "cloud.google.com/reservation-blocks": "block-1",
        "disk": "fast",
        "zone": "a",
    }
    assert pod_of(made["export"])["nodeSelector"] == {"disk": "slow", "zone": "a"}


def test_tainted_nodes_are_tolerated_by_all_pods() -> None:
    """U26."""
    taint = {"key": "team", "operator": "Equal", "value": "ml", "effect": "NoSchedule"}
    for name, child in children(on_tpu(pod={"tolerations": [taint]})).items():
        chips = name in ("generate", "train-one")
        assert pod_of(child)["tolerations"][chips:] == [taint], name


def test_labels_and_annotations_of_users_stand_beside_ours() -> None:
    """U26."""
    pod = {"labels": {"team": "ml"}, "annotations": {"example.com/cost": "42"}}
    ours = children(on_tpu(storage={"gcs": {"bucket": "bucket"}}))
    for name, child in children(on_tpu(storage={"gcs": {"bucket": "bucket"}}, pod=pod)).items():
        for metadata, own in (
            (child["metadata"], ours[name]["metadata"]),
            (pod_template(child)["metadata"], pod_template(ours[name])["metadata"]),
        ):
            assert metadata["labels"] == {**own["labels"], "team": "ml"}
            assert metadata["annotations"] == {**own["annotations"], "example.com/cost": "42"}


def test_a_proxy_and_a_mirror_of_the_hub_are_variables_of_all_pods() -> None:
    """U26: as they are written, and a Secret's by reference."""
    variables = [
        {"name": "HF_ENDPOINT", "value": "https://mirror.example/$(HOME)/$$"},
        {"name": "HTTPS_PROXY", "secret": {"secretName": "proxy", "key": "url"}},
    ]
    for child in children(on_tpu(pod={"env": variables})).values():
        env = env_of(child)
        assert expanded(env["HF_ENDPOINT"]["value"], {"HOME": "/tmp"}) == "https://mirror.example/$(HOME)/$$"
        assert env["HTTPS_PROXY"]["valueFrom"] == {"secretKeyRef": {"name": "proxy", "key": "url"}}
        assert env["SECRET_VARIABLES"]["value"] == "HTTPS_PROXY"


def test_no_variable_of_the_operator_is_for_users() -> None:
    token = {"secretName": "hf", "key": "token"}
    two_hosts = {"stages": [{"name": "one", "steps": 1, "hosts": 2}]}
    secret = [{"name": "PASSWORD", "secret": token}]
    jobs = [job_with(huggingFaceToken=token, training=two_hosts, pod={"env": secret}), on_tpu()]
    all_of_them = Installation(stage_pods=StagePods(log_tails=False, shared_compile_cache=True))
    made = [child for job in jobs for child in children(job, installation=all_of_them).values()]
    names = {name for child in made for name in env_of(child)} - {"PASSWORD"}
    assert {"LOG_TAILS", "COMPILE_CACHE"} <= names
    assert len(names) > 9
    for name in names:
        [message] = validate(changed(put("spec.pod.env", [{"name": name, "value": "a"}])))
        assert f"name must not be {name}" in message


def test_nodes_of_a_reservation_are_chosen_by_its_name() -> None:
    reserved = pod_of(training_on({**V4, "provisioning": "Reservation", "reservationName": "tpus-of-may"}))
    assert reserved["nodeSelector"]["cloud.google.com/reservation-name"] == "tpus-of-may"


def test_cpu_processes_of_a_training_stage_find_each_other() -> None:
    training = {"stages": [{"name": "one", "steps": 10, "hosts": 3}]}
    child = children(job_with(training=training))["train-one"]
    env = env_of(child)
    name = child["metadata"]["name"]
    assert env["JAX_COORDINATOR_ADDRESS"]["value"] == f"{name}-slice-0-0.{name}"
    assert env["JAX_PROCESS_COUNT"]["value"] == "3"
    assert child["spec"]["network"]["enableDNSHostnames"] is True
    assert child["spec"]["replicatedJobs"][0]["template"]["spec"]["completions"] == 3


def test_the_same_stage_always_becomes_the_same_manifest() -> None:
    def made() -> list[tuple[Stage, Object]]:
        job = on_tpu()
        return [(stage, child_manifest(job, stage, 0, Installation())) for stage in build_pipeline(job.spec).values()]

    assert json.dumps([child for _, child in made()]) == json.dumps([child for _, child in made()])
