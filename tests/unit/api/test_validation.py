"""``validate`` says without a cluster what the API server would say: the same table, the same fields."""

import copy

import pytest

from cluster.wrong_manifests import GOOD, WRONG, Wrong, changed, drop, put
from distillation_api.maxtext import MAX_TEXT_MODELS
from distillation_operator.commands.validation import validate


def test_nothing_is_wrong_with_a_good_manifest() -> None:
    assert validate(GOOD) == []


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_the_field_is_named(wrong: Wrong) -> None:
    messages = validate(wrong.manifest())
    assert any(wrong.field in message.split(": ")[0] for message in messages), messages


def test_the_manifest_is_left_as_it_was() -> None:
    manifest = copy.deepcopy(GOOD)
    validate(manifest)
    assert manifest == GOOD


@pytest.mark.parametrize(
    "path",
    [
        "spec.queue",
        "spec.generation",
        "spec.training.accelerator",
        "spec.huggingFaceToken",
        "spec.student.maxTextModel",
    ],
)
def test_what_is_optional_may_be_absent(path: str) -> None:
    changes = [drop(path)]
    if path == "spec.training.accelerator":
        changes += [drop(f"spec.training.stages[{index}].parallelism") for index in (0, 1)]
    assert validate(changed(*changes)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.dataset.limit", None),
        ("spec.suspend", None),
        ("spec.generation", None),
        ("spec.training.stages[0].steps", 10.0),
        ("spec.training.stages[0].learningRate", 1),
        ("metadata.labels", {"team": "ml"}),
        ("status", {"anything": "the API server drops it"}),
    ],
)
def test_what_the_api_server_takes_is_valid(path: str, value: object) -> None:
    assert validate(changed(put(path, value))) == []


@pytest.mark.parametrize("source", [{"huggingFace": {"repo": "org/chats", "split": "train[:10%]"}}, {"path": "chats"}])
def test_a_part_of_a_split_is_refused_with_the_field_for_it(source: dict[str, object]) -> None:
    """U30."""
    part = source if "huggingFace" in source else source | {"split": "train[:10%]"}
    (message,) = validate(changed(put("spec.dataset.source", part)))
    assert "for a part of it, such as train[:10%], set dataset.limit to a number of rows" in message


@pytest.mark.parametrize(
    "path",
    [
        "distillation/students/one",
        "models/0123456789abcdef",
        "distillation/fetch-teacher/main",
        "export/0123456789abcdef0",
        "my-export/0123456789abcdef",
        "models/cache",
    ],
)
def test_folders_that_no_stage_writes_are_the_users_own(path: str) -> None:
    published = put("spec.export.to", {"path": path})
    assert validate(changed(put("spec.student.source.path", path), published)) == []


def test_a_required_field_that_is_null_is_missing() -> None:
    (message,) = validate(changed(put("spec.teacher", None)))
    assert message.startswith("spec.teacher: Required value")


def test_a_generated_name_counts_with_its_suffix() -> None:
    assert validate(changed(put("metadata", {"generateName": "a" * 35}))) == []
    (message,) = validate(changed(put("metadata", {"generateName": "a" * 36})))
    assert message.startswith("metadata.name: ")


def test_all_faults_are_told_at_once() -> None:
    manifest = changed(put("spec.training.stages[0].steps", 0), drop("spec.student.source"), put("spec.junk", 1))
    assert validate(manifest) == [
        "spec.student.source: Required value: Where the student lies.",
        "spec.training.stages[0].steps: Invalid value: 0: should be greater than or equal to 1",
        "spec.junk: Unknown field: the fields here are teacher, student, dataset, huggingFaceToken, storage, "
        "generation, training, conversion, evaluation, export, queue, retries, budget, preview, suspend, "
        "ttlSecondsAfterFinished, pod",
    ]


def test_broken_rules_come_together_with_faults_of_structure() -> None:
    both = {"path": "models/teacher", "huggingFace": {"repo": "org/teacher"}}
    manifest = changed(
        put("spec.dataset.holdOut", 24), put("spec.teacher.source", both), put("spec.training.stages[1].steps", 0)
    )
    messages = validate(manifest)
    assert [message.split(": ")[0] for message in messages] == [
        "spec.dataset.holdOut",
        "spec.training.stages[1].steps",
        "spec.teacher.source",
    ]
    assert "exactly one of huggingFace, gcs, path must be set" in messages[-1]


@pytest.mark.parametrize("value", ["eight", [], {"a": 1}, 2.5, True])
def test_a_value_of_another_type_names_its_field(value: object) -> None:
    accelerator = {"type": "tpu-v5-lite-podslice", "topology": "2x4", "chipsPerHost": value}
    messages = validate(changed(put("spec.generation.accelerator", accelerator)))
    assert [message.split(": ")[0] for message in messages] == ["spec.generation.accelerator.chipsPerHost"]


@pytest.mark.parametrize("spec", [None, [], {}, {"teacher": []}, {"training": {"stages": [5, {"name": "a"}]}}])
def test_rules_are_not_asked_of_what_has_another_type(spec: object) -> None:
    messages = validate({**GOOD, "spec": spec})
    assert messages
    assert all(message.startswith("spec") for message in messages)


@pytest.mark.parametrize(
    ("path", "value", "meant"),
    [
        ("spec.dataset.holdOut", 24, "holdout"),
        ("spec.trainning", {}, "training"),
        ("spec.training.stages[0].data", "originaldataset", "OriginalDataset"),
        ("spec.training.stages[0].objective", "LogitsMatching", "LogitMatching"),
    ],
)
def test_the_nearest_name_is_asked_for(path: str, value: object, meant: str) -> None:
    assert any(f": did you mean {meant}? " in message for message in validate(changed(put(path, value))))


def test_a_name_of_any_length_is_refused_at_once() -> None:
    (message,) = validate(changed(put("spec." + "x" * 1_000_000, 1)))
    assert "Unknown field: the fields here are teacher" in message


def test_logit_matching_needs_no_name_of_the_teachers_model() -> None:
    assert validate(changed(put("spec.training.stages[0].objective", "LogitMatching"))) == []


@pytest.mark.parametrize("name", MAX_TEXT_MODELS)
def test_every_model_of_maxtext_may_be_named(name: str) -> None:
    assert validate(changed(put("spec.student.maxTextModel", name), put("spec.teacher.maxTextModel", name))) == []


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("llama3.1-8", "llama3.1-8b or "),
        ("Qwen3-4B", "qwen3-4b or "),
        ("gptoss-20b", "gpt-oss-20b or "),
        ("mistral-8x7b", "mixtral-8x7b or "),
    ],
)
def test_a_misspelt_model_is_told_with_the_nearest_names(name: str, nearest: str) -> None:
    (message,) = validate(changed(put("spec.student.maxTextModel", name)))
    assert message.startswith(f'spec.student.maxTextModel: Invalid value: "{name}": did you mean {nearest}')
    assert f"{name} is no model of MaxText; it has " in message
    assert len(message) < 600


def test_the_message_has_the_names_of_one_series_alone() -> None:
    (message,) = validate(changed(put("spec.student.maxTextModel", "meta-llama/Llama-3.1-8B")))
    told, names = message.split("it has ")
    assert told == (
        'spec.student.maxTextModel: Invalid value: "meta-llama/Llama-3.1-8B": did you mean llama3.1-8b? '
        "meta-llama/Llama-3.1-8B is no model of MaxText; "
    )
    assert names == (
        "llama2-13b, llama2-70b, llama2-7b, llama3-70b, llama3-8b, llama3.1-405b, llama3.1-70b, llama3.1-8b, "
        "llama3.1-8b-Instruct, llama3.3-70b; left out, it is found from config.json"
    )


@pytest.mark.parametrize(
    ("kind", "topology"),
    [
        ("tpu-v4-podslice", "4x4x12"),
        ("tpu-v4-podslice", "16x16x16"),
        ("tpu-v5p-slice", "4x4x4"),
        ("tpu-v5p-slice", "16x16x24"),
        ("tpu7x", "4x4x244"),
        ("tpu7x", "16x24x24"),
    ],
)
def test_slices_of_whole_cubes_are_what_gke_has(kind: str, topology: str) -> None:
    accelerator = {"type": kind, "topology": topology, "slices": 2}
    stages = [{"name": "one", "steps": 1}]
    assert validate(changed(put("spec.training", {"accelerator": accelerator, "stages": stages}))) == []


@pytest.mark.parametrize(
    ("axes", "right"), [({"fsdp": 8}, True), ({"fsdp": 4, "tensor": -1}, True), ({"fsdp": 4}, False)]
)
def test_the_axes_of_ironwood_multiply_to_two_devices_a_chip(axes: dict[str, int], right: bool) -> None:
    """U21."""
    stages = [{"name": "one", "steps": 1, "parallelism": axes}]
    training = {"accelerator": {"type": "tpu7x", "topology": "2x2x1"}, "stages": stages}
    messages = validate(changed(put("spec.training", training)))
    assert (messages == []) is right
    assert all("must multiply to the devices of one slice" in message for message in messages)


@pytest.mark.parametrize(
    ("accelerator", "one_host"),
    [
        ({"type": "tpu-v5-lite-podslice", "topology": "2x2"}, True),
        ({"type": "tpu-v5-lite-podslice", "topology": "2x4"}, True),
        ({"type": "tpu-v5-lite-podslice", "topology": "2x4", "chipsPerHost": 4}, False),
        ({"type": "tpu-v6e-slice", "topology": "4x4"}, False),
        ({"type": "tpu-v5p-slice", "topology": "2x2x1"}, True),
        ({"type": "tpu7x", "topology": "1x1x1"}, True),
        ({"type": "tpu7x", "topology": "2x2x2"}, False),
    ],
)
def test_several_slices_are_taken_only_of_several_hosts_each(accelerator: dict[str, object], one_host: bool) -> None:
    training = {"accelerator": {**accelerator, "slices": 2}, "stages": [{"name": "one", "steps": 1}]}
    messages = validate(changed(put("spec.training", training)))
    assert [message.split(": ")[0] for message in messages] == ["spec.training.accelerator.slices"] * one_host


@pytest.mark.parametrize(
    ("member", "key"),
    [
        ("labels", "distillation.dev/job"),
        ("labels", "app.kubernetes.io/managed-by"),
        ("labels", "jobset.sigs.k8s.io/job-key"),
        ("labels", "batch.kubernetes.io/job-completion-index"),
        ("labels", "controller-uid"),
        ("annotations", "distillation.dev/output"),
        ("annotations", "alpha.jobset.sigs.k8s.io/exclusive-topology"),
        ("annotations", "gke-gcsfuse/memory-limit"),
    ],
)
def test_keys_that_others_set_are_refused_by_name(member: str, key: str) -> None:
    """U26."""
    (message,) = validate(changed(put(f"spec.pod.{member}", {"team": "ml", key: "a"})))
    assert message.startswith(f"spec.pod.{member}: ") and f"{member} must not set {key}: " in message


@pytest.mark.parametrize(
    "name",
    [
        "HF_HUB_OFFLINE",
        "PYTHONPATH",
        "LD_LIBRARY_PATH",
        "MEGASCALE_X",
        "TPU_WORKER_ID",
        "TPU_TOPOLOGY",
        "PJRT_NAMES_AND_LIBRARY_PATHS",
        "GCONV_PATH",
        "OPENSSL_CONF",
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD",
        "VLLM_LOGGING_CONFIG_PATH",
        "VLLM_XLA_CACHE_PATH",
        "JAX_COMPILATION_CACHE_DIR",
    ],
)
def test_variables_that_others_set_or_that_run_code_are_refused(name: str) -> None:
    (message,) = validate(changed(put("spec.pod.env", [{"name": name, "value": "a"}])))
    assert message.startswith("spec.pod.env[0].name: ") and f"name must not be {name}: " in message


@pytest.mark.parametrize(
    "pod",
    [
        {"labels": {"team": "ml", "app.kubernetes.io/part-of": "llm", "example.com/cost-center": ""}},
        {"annotations": {"provreq.kueue.x-k8s.io/maxRunDurationSeconds": "86400", "gke-gcsfuse/memory-request": "4Gi"}},
        {"nodeSelector": {"cloud.google.com/compute-class": "cheap"}, "tolerations": [{"key": "a/b", "value": ""}]},
        {"env": [{"name": name, "value": ""} for name in ("no_proxy", "TPU_STDERR_LOG_LEVEL", "HF_ENDPOINT")]},
    ],
)
def test_what_is_nobodys_may_be_set(pod: dict[str, object]) -> None:
    """U26."""
    assert validate(changed(put("spec.pod", pod))) == []


def test_an_item_of_a_list_is_named_with_its_value() -> None:
    (message,) = validate(changed(put("spec.training.stages[1].parallelism", {"fsdp": 3})))
    assert message == (
        'spec.training.stages[1].parallelism: Invalid value: {"fsdp": 3}: must multiply to the devices of one slice, '
        "the product of its topology, twice that of tpu7x; it is tpu-v4-podslice 2x2x2"
    )


@pytest.mark.parametrize("manifest", [None, [], "text", 5])
def test_what_is_no_object_is_refused(manifest: object) -> None:
    assert len(validate(manifest)) == 1


def test_numbers_beyond_64_bits_are_refused() -> None:
    axes = {axis: 65_536 for axis in ("data", "fsdp", "tensor", "expert", "context")}
    (message,) = validate(changed(put("spec.training.stages[0].parallelism", axes)))
    assert message.startswith("spec.training.stages[0].parallelism: ")
