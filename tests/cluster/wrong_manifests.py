"""One table of wrong manifests: what is changed in a good one, the field that the refusal must name, and its words.

The API server is asked in ``test_wrong_manifests``; ``unit/api/test_validation`` asks ``validate`` the same.
"""

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distillation_api.resource import API_VERSION, KIND

Manifest = dict[str, Any]
Change = Callable[[Manifest], None]

GOOD: Manifest = {
    "apiVersion": API_VERSION,
    "kind": KIND,
    "metadata": {"name": "good"},
    "spec": {
        "teacher": {"source": {"huggingFace": {"repo": "org/teacher"}}},
        "student": {"source": {"path": "models/student"}, "maxTextModel": "llama2-7b"},
        "dataset": {"source": {"gcs": {"uri": "gs://bucket/data.jsonl"}}, "messagesColumn": "messages"},
        "huggingFaceToken": {"secretName": "hf-token", "key": "token"},
        "storage": {"gcs": {"bucket": "bucket"}},
        "generation": {
            "shards": 4,
            "accelerator": {"type": "tpu-v5-lite-podslice", "topology": "2x4", "chipsPerHost": 8},
        },
        "training": {
            "accelerator": {"type": "tpu-v4-podslice", "topology": "2x2x2", "slices": 2},
            "stages": [
                {
                    "name": "first",
                    "steps": 10,
                    "parallelism": {"data": 2, "fsdp": -1},
                    "maxText": {"remat_policy": "full"},
                },
                {"name": "second", "steps": 10, "data": "OriginalDataset", "parallelism": {"fsdp": 8}},
            ],
        },
        "queue": {"name": "queue"},
    },
}
"""A manifest with nothing wrong, in which each case changes one thing."""


FINGERPRINT = "0123456789abcdef"


@dataclass(frozen=True)
class Wrong:
    """One wrong manifest."""

    id: str
    change: Change
    field: str
    """Path that the refusal names."""
    message: str
    """What the API server says about it."""

    def manifest(self) -> Manifest:
        """The good manifest with the change."""
        return changed(self.change)


def changed(*changes: Change) -> Manifest:
    """A copy of the good manifest with changes."""
    manifest = copy.deepcopy(GOOD)
    for change in changes:
        change(manifest)
    return manifest


def put(path: str, value: Any) -> Change:
    """Set a member; the objects on the way are made."""

    def change(manifest: Manifest) -> None:
        parent, last = _parent(manifest, path)
        parent[last] = copy.deepcopy(value)

    return change


def drop(path: str) -> Change:
    """Remove a member."""

    def change(manifest: Manifest) -> None:
        parent, last = _parent(manifest, path)
        del parent[last]

    return change


def both(*changes: Change) -> Change:
    """Several changes."""

    def change(manifest: Manifest) -> None:
        for one in changes:
            one(manifest)

    return change


def _parent(manifest: Manifest, path: str) -> tuple[Any, Any]:
    *way, last = [int(index) if index else name for name, index in re.findall(r"(\w+)|\[(\d+)\]", path)]
    node: Any = manifest
    for step in way:
        node = node[step] if isinstance(step, int) else node.setdefault(step, {})
    return node, last


FIRST = "spec.training.stages[0]"
TPU = "spec.training.accelerator"
TEACHER_TPU = "spec.generation.accelerator"
NO_TPU = drop(TPU)

WRONG = [
    # Structure
    Wrong("unknown field", put("spec.junk", 1), "spec.junk", "unknown field"),
    Wrong("unknown field in a stage", put(f"{FIRST}.batch", 1), f"{FIRST}.batch", "unknown field"),
    # MaxText 0.2.3 trains LoRA, but its conversion of the adapters back writes the base model's weights unchanged.
    Wrong("LoRA", put(f"{FIRST}.lora", {"rank": 8, "alpha": 16}), f"{FIRST}.lora", "unknown field"),
    Wrong(
        "LoRA through maxText",
        put(f"{FIRST}.maxText", {"lora.enable_lora": "true"}),
        f"{FIRST}.maxText",
        "maxText must not set lora.enable_lora; it may set remat_policy",
    ),
    Wrong("unknown axis", put(f"{FIRST}.parallelism.pipeline", 1), f"{FIRST}.parallelism.pipeline", "unknown field"),
    Wrong("field in snake case", put("spec.dataset.prompt_column", "p"), "spec.dataset.prompt_column", "unknown field"),
    Wrong("no spec", drop("spec"), "spec", "Required value"),
    Wrong("no teacher", drop("spec.teacher"), "spec.teacher", "Required value"),
    Wrong("no source", drop("spec.student.source"), "spec.student.source", "Required value"),
    *(
        Wrong(f"{role} of MaxText's model {name}", put(f"spec.{role}.maxTextModel", name), f"{role}.maxTextModel", told)
        for role, name, told in [
            ("student", "llama9", "llama9 is no model of MaxText; it has llama2-13b, llama2-70b, llama2-7b"),
            ("student", "Llama3-8B", "it has llama2-13b, "),
            ("teacher", "Qwen/Qwen3-4B", "it has qwen2.5-1.5b, "),
            ("teacher", "llama3x1-8b", "it has llama2-13b, "),
            ("student", "phi3-mini", "names that begin with deepseek, gemma, gpt, llama, mixtral, olmo, qwen"),
            ("student", "", "names that begin with deepseek, "),
            ("student", "x" * 65, "Too long: may not be more than 64"),
        ]
    ),
    Wrong("neither steps nor epochs", drop(f"{FIRST}.steps"), f"{FIRST}.steps", "steps or epochs must be set"),
    Wrong(
        "settings of another objective",
        put(f"{FIRST}.logitMatching", {}),
        f"{FIRST}.logitMatching",
        "goes with objective",
    ),
    Wrong(
        "an end without a schedule",
        both(put(f"{FIRST}.objective", "LogitMatching"), put(f"{FIRST}.logitMatching", {"alphaEnd": 0.5})),
        f"{FIRST}.logitMatching.alphaEnd",
        "goes with alphaSchedule of Linear or Cosine",
    ),
    Wrong(
        "alpha out of range",
        both(put(f"{FIRST}.objective", "LogitMatching"), put(f"{FIRST}.logitMatching", {"alpha": 2})),
        f"{FIRST}.logitMatching.alpha",
        "less than or equal to 1",
    ),
    Wrong(
        "samples of a greedy teacher",
        put("spec.generation.sampling", {"maxTokens": 64, "temperature": 0, "samplesPerPrompt": 2}),
        "spec.generation.sampling.samplesPerPrompt",
        "must be 1 with temperature 0",
    ),
    Wrong(
        "unknown reasoning policy", put("spec.generation.reasoning", "Drop"), "spec.generation.reasoning", "StripClosed"
    ),
    Wrong("LoRA", put(f"{FIRST}.lora", {"rank": 8}), f"{FIRST}.lora", "unknown field"),
    Wrong("no epochs", put(f"{FIRST}.epochs", 0), f"{FIRST}.epochs", "greater than or equal to 1"),
    Wrong("no training", drop("spec.training"), "spec.training", "Required value"),
    Wrong("no Secret key", drop("spec.huggingFaceToken.key"), "spec.huggingFaceToken.key", "Required value"),
    Wrong("text for a number", put(f"{FIRST}.steps", "10"), f"{FIRST}.steps", "must be of type integer"),
    Wrong("fraction for a number", put(f"{FIRST}.steps", 1.5), f"{FIRST}.steps", "must be of type integer"),
    Wrong("number for text", put("spec.queue.name", 5), "spec.queue.name", "must be of type string"),
    Wrong("number for a list", put("spec.training.stages", 5), "spec.training.stages", "must be of type array"),
    Wrong("text for true", put("spec.suspend", "yes"), "spec.suspend", "must be of type boolean"),
    Wrong(
        "number in maxText",
        put(f"{FIRST}.maxText.remat_policy", 1),
        f"{FIRST}.maxText.remat_policy",
        "must be of type string",
    ),
    # Names
    Wrong("41 characters", put("metadata.name", "a" * 41), "metadata.name", "at most 40 characters"),
    Wrong(
        "name with a dot", put("metadata.name", "a.b"), "metadata.name", "hold only lower case letters, digits and -"
    ),
    Wrong("key of a label", put("metadata.labels", {"bad label!": "x"}), "metadata.labels", "Invalid value"),
    Wrong("value of a label", put("metadata.labels", {"a": "x y"}), "metadata.labels", "Invalid value"),
    Wrong("label that is a number", put("metadata.labels", {"a": 1}), "labels", "number"),
    Wrong("key of an annotation", put("metadata.annotations", {"a b": "x"}), "metadata.annotations", "Invalid value"),
    Wrong("finalizers that are text", put("metadata.finalizers", "x"), "finalizers", "string"),
    Wrong("name of a finalizer", put("metadata.finalizers", ["a b"]), "metadata.finalizers", "Invalid value"),
    Wrong("name beginning with a digit", put("metadata.name", "1a"), "metadata.name", "begin with a letter"),
    Wrong("bad Secret name", put("spec.huggingFaceToken.secretName", "A B"), "huggingFaceToken.secretName", "A B"),
    Wrong("bad queue name", put("spec.queue.name", "Queue"), "spec.queue.name", "Queue"),
    Wrong("bad ServiceAccount", put("spec.pod.serviceAccountName", "a_b"), "spec.pod.serviceAccountName", "a_b"),
    # Unions
    Wrong(
        "both sources of the teacher",
        put("spec.teacher.source.path", "models/teacher"),
        "spec.teacher.source",
        "exactly one of huggingFace, gcs, path must be set, not huggingFace path",
    ),
    Wrong("no source of the teacher", put("spec.teacher.source", {}), "spec.teacher.source", "must be set, not none"),
    Wrong("both storages", put("spec.storage.persistentVolumeClaim.claimName", "c"), "spec.storage", "not gcs persist"),
    Wrong("neither storage", drop("spec.storage.gcs"), "spec.storage", "must be set, not none"),
    Wrong("both columns", put("spec.dataset.promptColumn", "p"), "spec.dataset", "not messagesColumn promptColumn"),
    Wrong("neither column", drop("spec.dataset.messagesColumn"), "spec.dataset", "must be set, not none"),
    Wrong(
        "a template beside a column",
        put("spec.dataset.promptTemplate", "{{ q }}"),
        "spec.dataset",
        "exactly one of messagesColumn, promptColumn, promptTemplate must be set, not messagesColumn promptTemplate",
    ),
    Wrong(
        "both export targets",
        put("spec.export.to", {"path": "out", "gcs": {"uri": "gs://bucket/out"}}),
        "spec.export.to",
        "exactly one of gcs, path must be set",
    ),
    # Where things lie
    Wrong("bad bucket", put("spec.storage.gcs.bucket", "gs://Bucket"), "spec.storage.gcs.bucket", "gs://Bucket"),
    Wrong("http URI", put("spec.dataset.source.gcs.uri", "https://x/y"), "spec.dataset.source.gcs.uri", "https://x/y"),
    Wrong("URI without bucket", put("spec.dataset.source.gcs.uri", "gs:///a"), "spec.dataset.source.gcs.uri", "gs:///"),
    Wrong("path with ..", put("spec.student.source.path", "models/../x"), "spec.student.source.path", "models/../x"),
    Wrong("absolute path", put("spec.student.source.path", "/models"), "spec.student.source.path", "/models"),
    Wrong("prefix with a leading slash", put("spec.storage.prefix", "/runs"), "spec.storage.prefix", "/runs"),
    Wrong("empty prefix", put("spec.storage.prefix", ""), "spec.storage.prefix", "should match"),
    Wrong(
        "spaces in a repository", put("spec.teacher.source.huggingFace.repo", "an org/m"), "huggingFace.repo", "an o"
    ),
    *(
        Wrong(f"{field} in a stage's folder", put(field, path), field, f"{path} lies in the folder of a stage")
        for field, path in {
            "spec.export.to.path": f"distillation/fetch-teacher/{FINGERPRINT}",
            "spec.export.to.gcs.uri": f"gs://bucket/distillation/fetch-teacher/{FINGERPRINT}/download",
            "spec.student.source.path": f"team/export/{FINGERPRINT}/work-1/model",
            "spec.storage.prefix": f"distillation/train-a-2/{FINGERPRINT}",
        }.items()
    ),
    Wrong(
        "prepared rows of a job as a dataset",
        put("spec.dataset.source", {"path": f"prepare-dataset/{FINGERPRINT}/work-1/train"}),
        "spec.dataset.source.path",
        "to use what a job has made, have it published by export.to",
    ),
    Wrong(
        "export to compiled programs",
        put("spec.export.to.path", "distillation/cache/jax"),
        "spec.export.to.path",
        "such as models/NAME",
    ),
    # Dataset
    Wrong("negative limit", put("spec.dataset.limit", -1), "spec.dataset.limit", "greater than or equal to 1"),
    Wrong("limit of the holdout", put("spec.dataset.limit", 64), "spec.dataset.limit", "greater than holdout"),
    Wrong(
        "part of a split",
        put("spec.dataset.source", {"huggingFace": {"repo": "org/data", "split": "train_sft[:10%]"}}),
        "spec.dataset.source.huggingFace.split",
        "set dataset.limit",
    ),
    Wrong(
        "two splits of a folder",
        put("spec.dataset.source", {"path": "datasets/x", "split": "train+test"}),
        "spec.dataset.source.split",
        "one whole split",
    ),
    Wrong(
        "split of a Hub dataset beside it",
        put("spec.dataset.source", {"huggingFace": {"repo": "org/data"}, "split": "test"}),
        "spec.dataset.source",
        "stand in huggingFace",
    ),
    Wrong("no holdout", put("spec.dataset.holdout", 0), "spec.dataset.holdout", "greater than or equal to 1"),
    Wrong(
        "response alone", put("spec.dataset.responseColumn", "r"), "dataset.responseColumn", "goes with promptColumn"
    ),
    Wrong(
        "original answers that aren't there",
        both(drop("spec.dataset.messagesColumn"), put("spec.dataset.promptColumn", "p")),
        "spec.training.stages",
        "needs dataset.responseColumn",
    ),
    Wrong(
        "original answers that aren't there beside a template",
        both(drop("spec.dataset.messagesColumn"), put("spec.dataset.promptTemplate", "{{ q }}")),
        "spec.training.stages",
        "needs dataset.responseColumn beside dataset.promptColumn or promptTemplate",
    ),
    Wrong(
        "template of a book",
        both(drop("spec.dataset.messagesColumn"), put("spec.dataset.promptTemplate", "q" * 8193)),
        "spec.dataset.promptTemplate",
        "may not be more than 8192",
    ),
    Wrong("empty system column", put("spec.dataset.systemColumn", ""), "dataset.systemColumn", "at least 1 char"),
    Wrong("empty tools column", put("spec.dataset.toolsColumn", ""), "dataset.toolsColumn", "at least 1 char"),
    Wrong(
        "spellings of messages that aren't there",
        both(
            drop("spec.dataset.messagesColumn"),
            put("spec.dataset.promptColumn", "p"),
            put("spec.dataset.responseColumn", "r"),
            put("spec.dataset.messages", {"roleKey": "who"}),
        ),
        "spec.dataset.messages",
        "goes with messagesColumn",
    ),
    Wrong(
        "one name of two roles",
        put("spec.dataset.messages", {"roles": {"user": ["bot"], "assistant": ["agent", "bot"]}}),
        "spec.dataset.messages.roles",
        "a name can stand for one role only",
    ),
    Wrong(
        "an unknown role",
        put("spec.dataset.messages", {"roles": {"tool": ["function"]}}),
        "spec.dataset.messages.roles.tool",
        "unknown field",
    ),
    Wrong(
        "nine names of a role",
        put("spec.dataset.messages", {"roles": {"user": [f"user {number}" for number in range(9)]}}),
        "spec.dataset.messages.roles.user",
        "must have at most 8 items",
    ),
    # Accelerators
    Wrong("unknown type", put(f"{TPU}.type", "tpu-v9"), f"{TPU}.type", 'supported values: "tpu-v4-podslice"'),
    Wrong(
        "topology of another type",
        both(put(f"{TPU}.topology", "2x4"), drop(f"{FIRST}.parallelism")),
        f"{TPU}.topology",
        "topology of tpu-v4-podslice must be one of 2x2x1, 2x2x2,",
    ),
    Wrong("topology that isn't one", put(f"{TPU}.topology", "big"), f"{TPU}.topology", "should match"),
    Wrong("chipsPerHost that no VM has", put(f"{TPU}.chipsPerHost", 2), f"{TPU}.chipsPerHost", "supported values"),
    Wrong("chipsPerHost of another VM", put(f"{TPU}.chipsPerHost", 8), f"{TPU}.chipsPerHost", "must be 4, not 8"),
    Wrong(
        "chipsPerHost of an ambiguous topology",
        put(f"{TEACHER_TPU}.chipsPerHost", 1),
        f"{TEACHER_TPU}.chipsPerHost",
        "chipsPerHost of tpu-v5-lite-podslice 2x4 must be 8 or 4, not 1",
    ),
    Wrong("no slices", put(f"{TPU}.slices", 0), f"{TPU}.slices", "greater than or equal to 1"),
    Wrong("unknown provisioning", put(f"{TPU}.provisioning", "Cheap"), f"{TPU}.provisioning", '"OnDemand", "Spot"'),
    Wrong(
        "the type of a plugin that is gone", put(f"{TPU}.type", "tpu-v5-lite-device"), f"{TPU}.type", "supported values"
    ),
    Wrong(
        "sides that are no multiples of four",
        put(f"{TPU}.topology", "4x4x6"),
        f"{TPU}.topology",
        "or AxBxC of multiples of 4, A <= B <= C, with at most 4096 chips, not 4x4x6",
    ),
    Wrong("sides in another order", put(f"{TPU}.topology", "4x8x4"), f"{TPU}.topology", "A <= B <= C"),
    Wrong("more chips than a pod has", put(f"{TPU}.topology", "16x16x20"), f"{TPU}.topology", "at most 4096 chips"),
    Wrong("a side of nothing", put(f"{TPU}.topology", "0x4x4"), f"{TPU}.topology", "should match"),
    Wrong(
        "slices of one host",
        put(f"{TPU}.topology", "2x2x1"),
        f"{TPU}.slices",
        "slices must be 1 for topology 2x2x1 of one host, of which GKE has no multi-slice",
    ),
    Wrong(
        "axes that make the chips and not the devices",
        both(put(f"{TPU}.type", "tpu7x"), put(f"{TPU}.topology", "2x2x2")),
        "spec.training.stages",
        "stages[1].parallelism must multiply to the devices of one slice, the product of its topology, twice that of "
        "tpu7x; it is tpu7x 2x2x2",
    ),
    Wrong(
        "queued nodes without a queue",
        both(put(f"{TPU}.provisioning", "FlexStartQueued"), drop("spec.queue")),
        "spec.queue",
        "queue must be set with provisioning FlexStartQueued",
    ),
    *(
        Wrong(
            f"the operator's own label of nodes, in {place}",
            put(f"{place}.nodeSelector", {"cloud.google.com/gke-flex-start": "true"}),
            f"{place}.nodeSelector",
            "nodeSelector must not set cloud.google.com/gke-flex-start: the accelerator sets",
        )
        for place in ("spec.pod", TPU, TEACHER_TPU)
    ),
    Wrong(
        "no label",
        put("spec.pod.nodeSelector", {"a b": "c"}),
        "spec.pod.nodeSelector",
        "form example.com/name, not a b",
    ),
    Wrong("no value of a label", put("spec.pod.labels", {"a": "b c"}), "spec.pod.labels.a", "should match"),
    Wrong(
        "too many labels",
        put("spec.pod.labels", {f"label-{number}": "a" for number in range(17)}),
        "spec.pod.labels",
        "must have at most 16 items",
    ),
    *(
        Wrong(
            f"the operator's {member} {key}",
            put(f"spec.pod.{member}", {key: "a"}),
            f"spec.pod.{member}",
            f"{member} must not set {key}: the operator, Kubernetes",
        )
        for member, key in (
            ("labels", "kueue.x-k8s.io/queue-name"),
            ("annotations", "gke-gcsfuse/volumes"),
        )
    ),
    *(
        Wrong(
            f"variable {name}",
            put("spec.pod.env", [{"name": name, "value": "a"}]),
            "spec.pod.env[0].name",
            f"name must not be {name}: the operator, GKE or the loader of the programs reads it",
        )
        for name in ("STAGE_SPEC", "LD_PRELOAD")
    ),
    Wrong(
        "a variable of Kubernetes' form",
        put("spec.pod.env", [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]),
        "spec.pod.env[0].valueFrom",
        "unknown field",
    ),
    Wrong(
        "many variables",
        put("spec.pod.env", [{"name": f"A_{number}", "value": "a"} for number in range(33)]),
        "spec.pod.env",
        "must have at most 32 items",
    ),
    Wrong(
        "an unknown effect",
        put("spec.pod.tolerations", [{"key": "team", "operator": "Exists", "effect": "Never"}]),
        "spec.pod.tolerations[0].effect",
        '"NoSchedule", "PreferNoSchedule"',
    ),
    Wrong(
        "an unknown operator",
        put("spec.pod.tolerations", [{"key": "team", "operator": "In", "value": "a"}]),
        "spec.pod.tolerations[0].operator",
        '"Equal", "Exists"',
    ),
    Wrong("no variable", put("spec.pod.env", [{"name": "A-B", "value": "a"}]), "spec.pod.env[0].name", "should match"),
    Wrong("a variable of nothing", put("spec.pod.env", [{"name": "A"}]), "spec.pod.env[0]", "not none"),
    Wrong(
        "a variable twice",
        put("spec.pod.env", [{"name": "A", "value": "a"}, {"name": "A", "value": "b"}]),
        "spec.pod.env[1]",
        "Duplicate value",
    ),
    Wrong(
        "the chips' taint",
        put("spec.pod.tolerations", [{"key": "google.com/tpu", "operator": "Exists"}]),
        "spec.pod.tolerations[0].key",
        "key must not be google.com/tpu",
    ),
    Wrong(
        "a taint that equals nothing",
        put("spec.pod.tolerations", [{"key": "team"}]),
        "spec.pod.tolerations[0].value",
        "value must be set with operator Equal",
    ),
    Wrong("no reservation", put(f"{TPU}.provisioning", "Reservation"), f"{TPU}.reservationName", "must be set"),
    Wrong("reservation of nothing", put(f"{TPU}.reservationName", "r"), f"{TPU}.reservationName", "not OnDemand"),
    Wrong("slices for generation", put(f"{TEACHER_TPU}.slices", 2), f"{TEACHER_TPU}.slices", "use shards"),
    Wrong(
        "several hosts for generation",
        put(f"{TEACHER_TPU}.chipsPerHost", 4),
        f"{TEACHER_TPU}.topology",
        "must be one host",
    ),
    # Generation
    Wrong(
        "no room for the prompt",
        put("spec.generation.maxModelLen", 512),
        "spec.generation.maxModelLen",
        "must be greater than sampling.maxTokens",
    ),
    Wrong("no shards", put("spec.generation.shards", 0), "spec.generation.shards", "greater than or equal to 1"),
    Wrong("hot", put("spec.generation.sampling.temperature", 2.5), "sampling.temperature", "less than or equal to 2"),
    Wrong("topP 0", put("spec.generation.sampling.topP", 0), "sampling.topP", "greater than 0"),
    # Training
    Wrong("no stages", put("spec.training.stages", []), "spec.training.stages", "at least 1 items"),
    Wrong(
        "nine stages",
        put("spec.training.stages", [{"name": f"stage-{i}", "steps": 1} for i in range(9)]),
        "spec.training.stages",
        "at most 8 items",
    ),
    Wrong("same name twice", put("spec.training.stages[1].name", "first"), "training.stages[1]", "Duplicate value"),
    Wrong("long stage name", put(f"{FIRST}.name", "a" * 17), f"{FIRST}.name", "Too long: may not be more than 16"),
    Wrong("unknown data", put(f"{FIRST}.data", "Both"), f"{FIRST}.data", '"TeacherCompletions", "OriginalDataset"'),
    Wrong("unknown turns", put(f"{FIRST}.trainOn", "All"), f"{FIRST}.trainOn", '"LastAssistantTurn", "Every'),
    Wrong(
        "every turn of the teacher's",
        put(f"{FIRST}.trainOn", "EveryAssistantTurn"),
        f"{FIRST}.trainOn",
        "trainOn EveryAssistantTurn goes with data OriginalDataset: of TeacherCompletions only the last turn is the ",
    ),
    Wrong("unknown objective", put(f"{FIRST}.objective", "Magic"), f"{FIRST}.objective", '"SupervisedFineTuning"'),
    Wrong("unknown dtype", put(f"{FIRST}.dtype", "int8"), f"{FIRST}.dtype", '"float32", "bfloat16"'),
    Wrong("zero steps", put(f"{FIRST}.steps", 0), f"{FIRST}.steps", "greater than or equal to 1"),
    Wrong("learning rate 0", put(f"{FIRST}.learningRate", 0), f"{FIRST}.learningRate", "greater than 0"),
    Wrong("hosts on an accelerator", put(f"{FIRST}.hosts", 2), "spec.training.stages", "stages[0].hosts must not be"),
    Wrong(
        "axes that don't make the chips",
        put("spec.training.stages[1].parallelism.fsdp", 4),
        "spec.training.stages",
        "stages[1].parallelism must multiply to the devices of one slice, the product of its topology, twice that of "
        "tpu7x; it is tpu-v4-podslice 2x2x2",
    ),
    Wrong(
        "axes that don't divide the chips",
        put(f"{FIRST}.parallelism.data", 3),
        "spec.training.stages",
        "stages[0].parallelism must multiply to the devices",
    ),
    Wrong(
        "axes that don't make the hosts",
        both(NO_TPU, drop(f"{FIRST}.parallelism"), put("spec.training.stages[1].hosts", 2)),
        "spec.training.stages",
        "stages[1].parallelism must multiply to stages[1].hosts",
    ),
    Wrong(
        "two axes for the rest",
        put(f"{FIRST}.parallelism.data", -1),
        f"{FIRST}.parallelism",
        "at most one axis may be -1",
    ),
    Wrong("axis of 0", put(f"{FIRST}.parallelism.data", 0), f"{FIRST}.parallelism.data", "must be at least 1, or -1"),
    Wrong(
        "axis of -2", put(f"{FIRST}.parallelism.data", -2), f"{FIRST}.parallelism.data", "greater than or equal to -1"
    ),
    # MaxText's own settings
    *(
        Wrong(f"MaxText setting {name}={value}", put(f"{FIRST}.maxText", {name: value}), f"{FIRST}.maxText", message)
        for name, value, message in [
            ("steps", "7", "maxText must not set steps: it follows from steps; use that"),
            ("gradient_accumulation_steps", "two", "follows from gradientAccumulationSteps; use that"),
            ("ici_fsdp_parallelism", "2", "must not set ici_fsdp_parallelism: it follows from parallelism; use that"),
            ("dcn_data_parallelism", "2", "follows from spec.training.accelerator.slices; use that"),
            ("base_config", "/x", "maxText must not set base_config: the operator sets it; remove it"),
            ("distill_alpha", "0.5", "it follows from logitMatching; use that"),
            ("formatting_func_path", "x", "maxText must not set formatting_func_path; it may set remat_policy, "),
            ("a b", "1", "maxText must not set a b; it may set remat_policy, "),
            ("megablox", "yes", "maxText.megablox must be true or false, not yes"),
            ("sa_block_q", "512.5", "maxText.sa_block_q must be a whole number from 128 to 65536, not 512.5"),
            ("sa_block_q", "64", "maxText.sa_block_q must be a whole number from 128 to 65536, not 64"),
            ("adam_b2", "much", "maxText.adam_b2 must be a number from 0 to 1, not much"),
            ("adam_b2", "1.5", "maxText.adam_b2 must be a number from 0 to 1, not 1.5"),
            ("adam_b2", "1e-999", "maxText.adam_b2 must be a number from 0 to 1, not 1e-999"),
            ("opt_type", "adam", "maxText.opt_type must be one of adamw, adam_pax, sgd, muon, not adam"),
            ("quantization", "intmp", "maxText.quantization must be int8, not intmp"),
        ]
    ),
    *(
        Wrong(
            f"unlisted MaxText setting {name}={value}",
            put(f"{FIRST}.maxTextUnlisted", {name: value}),
            f"{FIRST}.maxTextUnlisted",
            message,
        )
        for name, value, message in [
            ("steps", "7", "must not set steps: it belongs into maxText, or follows from another field"),
            ("adam_b2", "0.9", "must not set adam_b2: it belongs into maxText, or follows from another field"),
            ("Mla", "1", "must not set Mla: MaxText has only names of lower case letters"),
            ("formatting_func_path", "x", "must not set formatting_func_path: where things lie, what is run and"),
            ("prometheus_port", "9090", "must not set prometheus_port: where things lie, what is run and"),
            ("mtp_num_layers", "${oc.env:HF_TOKEN}", "${oc.env:HF_TOKEN}"),
        ]
    ),
    Wrong(
        "no gradient accumulation",
        put(f"{FIRST}.gradientAccumulationSteps", 0),
        f"{FIRST}.gradientAccumulationSteps",
        "greater than or equal to 1",
    ),
    # Arguments of chat templates
    *(
        Wrong(
            f"chat template argument {name} of {of}",
            put(f"spec.{of}.chatTemplateArguments", {name: "1"}),
            f"spec.{of}.chatTemplateArguments",
            message,
        )
        for of, name, message in [
            ("generation", "messages", "must not set what the renderer itself hands to templates: messages"),
            ("generation", "enableThinking", "digits and underscores, no digit first: enableThinking"),
            ("student", "tools", "must not set what the renderer itself hands to templates: tools"),
        ]
    ),
    Wrong(
        "too long a chat template argument",
        put("spec.generation.chatTemplateArguments", {"reasoning_effort": "x" * 257}),
        "spec.generation.chatTemplateArguments.reasoning_effort",
        "may not be more than 256",
    ),
    Wrong(
        "a boolean for a chat template argument",
        put("spec.generation.chatTemplateArguments", {"enable_thinking": False}),
        "spec.generation.chatTemplateArguments.enable_thinking",
        "must be of type string",
    ),
    Wrong(
        "too many chat template arguments",
        put("spec.student.chatTemplateArguments", {f"argument_{number}": "1" for number in range(17)}),
        "spec.student.chatTemplateArguments",
        "must have at most 16 items",
    ),
    # The rest
    Wrong("gate of 1", put("spec.evaluation.require.minCrossEntropyDrop", 1), "minCrossEntropyDrop", "less than 1"),
    Wrong("bad CPU", put("spec.conversion.resources.cpu", "two"), "spec.conversion.resources.cpu", "two"),
    Wrong("bad memory", put("spec.training.resources.memory", "8 GB"), "spec.training.resources.memory", "8 GB"),
    Wrong("memory of bytes", put("spec.training.resources.memory", "64"), "spec.training.resources.memory", "64"),
    Wrong("memory of a core", put("spec.training.resources.memory", "400m"), "spec.training.resources.memory", "400m"),
    Wrong("no memory", put("spec.training.resources.memory", "0Gi"), "spec.training.resources.memory", "0Gi"),
    Wrong("cpu in bytes", put("spec.training.resources.cpu", "4Gi"), "spec.training.resources.cpu", "4Gi"),
    Wrong("no cpu", put("spec.training.resources.cpu", "0"), "spec.training.resources.cpu", "0"),
    Wrong("negative retries", put("spec.retries.failures", -1), "spec.retries.failures", "greater than or equal to 0"),
    Wrong("preview of one step", put("spec.preview", {"steps": 1}), "spec.preview.steps", "greater than or equal to 2"),
    Wrong(
        "preview of many rows", put("spec.preview", {"rows": 2000}), "spec.preview.rows", "less than or equal to 1024"
    ),
    Wrong("preview that ends", put("spec.preview", {"then": "End"}), "spec.preview.then", '"Stop", "Continue"'),
    Wrong("negative TTL", put("spec.ttlSecondsAfterFinished", -1), "spec.ttlSecondsAfterFinished", "or equal to 0"),
]
