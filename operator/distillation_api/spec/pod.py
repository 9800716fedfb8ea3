"""What users may set on pods, and which names the operator keeps to itself."""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from distillation_api.accelerators import PLATFORMS
from distillation_api.cel import Rule, exactly_one_of, no_key
from distillation_api.model import ListMap, Model, Rules
from distillation_api.node_labels import FLEX_START, QUEUED, RESERVATION, SPOT
from distillation_api.spec.storage import SecretKey
from distillation_api.spec.types import Name

_TPU = PLATFORMS["tpu"]
_GKE = "cloud.google.com/"
OWN_NODE_LABELS = (
    _TPU.type_label, _TPU.topology_label, _TPU.chips_per_host_label, SPOT, FLEX_START, QUEUED, RESERVATION,
)  # fmt: skip
"""Selected by the operator, as an accelerator's other members ask for."""
_OWN_NODE_LABEL = f"^cloud[.]google[.]com/({'|'.join(label.removeprefix(_GKE) for label in OWN_NODE_LABELS)})$"
_OWN_LABEL = (
    r"^((distillation[.]dev|jobset[.]sigs[.]k8s[.]io|batch[.]kubernetes[.]io|kueue[.]x-k8s[.]io)/|"
    r"(app[.]kubernetes[.]io/managed-by|job-name|controller-uid)$)"
)
_OWN_ANNOTATION = (
    r"^((distillation[.]dev|(alpha[.])?jobset[.]sigs[.]k8s[.]io|batch[.]kubernetes[.]io)/|"
    r"container[.]apparmor[.]security[.]beta[.]kubernetes[.]io/|"
    r"gke-gcsfuse/(volumes|(cpu|memory|ephemeral-storage)-limit)$)"
)
_OWN_VARIABLE = (
    r"^((STAGE_SPEC|WRITER|DISTILLATION_JOB|SECRET_VARIABLES|LOG_TAILS|COMPILE_CACHE|GRACE_SECONDS|HOME|PATH|"
    r"STORAGE_MOUNT|SCRATCH|TERMINATION_LOG|"
    r"HF_TOKEN|HF_HUB_OFFLINE|JAX_PLATFORMS|JAX_COORDINATOR_ADDRESS|JAX_PROCESS_COUNT|JOB_INDEX|JOB_COMPLETION_INDEX|"
    r"PROCESSES_IN_JOB|GCONV_PATH|VLLM_PLUGINS|VLLM_LOGGING_CONFIG_PATH|VLLM_XLA_CACHE_PATH|JAX_COMPILATION_CACHE_DIR|"
    r"TPU_TOPOLOGY)$|LD_|PYTHON|PJRT_|OPENSSL_|TORCH_FORCE_|VLLM_ALLOW_|MEGASCALE_|"
    r"TPU_(WORKER|TOPOLOGY|PROCESS|ACCELERATOR|HOST|CHIPS|SKIP|RUNTIME|LIBRARY)_)"
)
"""Variables of the operator, of GKE's device plugin and webhooks, and those by which a program would run other code."""

_Key = Annotated[str, StringConstraints(max_length=317)]
_LABEL_KEY = r"^([a-z0-9][-.a-z0-9]{0,252}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
_LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)]
_Labels = Annotated[dict[_Key, _LabelValue], Field(max_length=16)]


def _key_rules(member: str, own: str, whose: str) -> Rules:
    """Rules about the keys of a map of labels or annotations. ``own``: a pattern of those that aren't for users."""
    return Rules(
        no_key(
            f"!k.matches('{_LABEL_KEY}')",
            f"keys of {member} must be of Kubernetes' form, as example.com/name",
            f"'{member} must have keys of the form example.com/name, not ' + k",
        ),
        no_key(
            f"k.matches('{own}')",
            f"{member} must not set what {whose}",
            f"'{member} must not set ' + k + ': {whose}'",
        ),
    )


_OF_NODES = "the accelerator sets by its type, topology, chipsPerHost, provisioning and reservationName"
NodeSelector = Annotated[_Labels, _key_rules("nodeSelector", _OWN_NODE_LABEL, _OF_NODES)]
_PodLabels = Annotated[_Labels, _key_rules("labels", _OWN_LABEL, "the operator, Kubernetes, JobSet or Kueue sets")]
_Annotations = Annotated[
    dict[_Key, Annotated[str, StringConstraints(max_length=1024)]],
    Field(max_length=16),
    _key_rules("annotations", _OWN_ANNOTATION, "the operator, Kubernetes or JobSet sets"),
]


class Toleration(Model):
    """A taint of nodes that the pods may run on."""

    key: Annotated[str, StringConstraints(pattern=_LABEL_KEY, max_length=317)]
    """Key of the taint."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """Equal: the taint has the value; Exists: whatever it has."""
    value: _LabelValue | None = None
    """Value of the taint, with operator Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint; absent: every one."""

    rules: ClassVar[list[Rule]] = [
        Rule(
            "has(self.value) == (self.operator == 'Equal')",
            "value must be set with operator Equal, and with it only",
            field="value",
        ),
        Rule(
            f"self.key != '{_TPU.resource}'",
            f"key must not be {_TPU.resource}: pods with an accelerator tolerate it, and no others may",
            field="key",
        ),
    ]


class EnvVariable(Model):
    """An environment variable. Exactly one of value and secret."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]
    """Name of the variable."""
    value: Annotated[str, StringConstraints(max_length=1024)] | None = None
    """Its value, as it is written: nothing is expanded."""
    secret: SecretKey | None = None
    """Secret that has the value; it is hidden in what programs tell."""

    rules: ClassVar[list[Rule]] = [
        exactly_one_of("value", "secret"),
        Rule(
            f"!self.name.matches('{_OWN_VARIABLE}')",
            "name must not be a variable that the operator, GKE or the programs' loader reads",
            field="name",
            message_expression="'name must not be ' + self.name + ': the operator, GKE or the loader of the programs "
            "reads it'",
        ),
    ]


class PodOptions(Model):
    """What users may set on all pods of the job; a change holds for pods that are made from then on."""

    service_account_name: Name | None = None
    """ServiceAccount, bound by Workload Identity to what the storage and sources need."""
    priority_class_name: Name | None = None
    """PriorityClass."""
    image_pull_secrets: (
        Annotated[
            list[Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)]],
            Field(max_length=8),
        ]
        | None
    ) = None
    """Names of Secrets with registry credentials."""
    node_selector: NodeSelector | None = None
    """Labels of the nodes, of all pods; for those with chips alone: nodeSelector of the accelerator."""
    tolerations: Annotated[list[Toleration], Field(max_length=16)] | None = None
    """Taints of nodes that all pods may run on."""
    labels: _PodLabels | None = None
    """Labels of all pods, and of their Jobs and JobSets."""
    annotations: _Annotations | None = None
    """Annotations of all pods, and of their Jobs and JobSets."""
    env: Annotated[list[EnvVariable], Field(max_length=32), ListMap("name")] | None = None
    """Environment variables of all pods, as HTTPS_PROXY and HF_ENDPOINT."""

    @property
    def secrets(self) -> Iterable[tuple[int, EnvVariable, SecretKey]]:
        """Variables whose value is a Secret's, with their place in the list."""
        return [(at, one, one.secret) for at, one in enumerate(self.env or ()) if one.secret is not None]
