"""``validate`` checks all of metadata, as the API server does."""

from typing import Any

import pytest

from cluster.wrong_manifests import changed, put
from distillation_operator.commands.validation import validate


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("metadata.labels", {"a": 1}, 'metadata.labels.a: Invalid value: 1: should be a string: write "1", in quotes'),
        ("metadata.labels", {1: "a"}, 'metadata.labels[1]: Invalid value: 1: should be a string: write "1", in quotes'),
        ("metadata.labels", ["a"], 'metadata.labels: Invalid value: ["a"]: should be an object'),
        (
            "metadata.labels",
            {"bad label!": "x"},
            'metadata.labels.bad label!: Invalid value: "bad label!": should be at most 63 letters, digits, -, _ and '
            "., a letter or digit first and last, after an optional prefix such as example.com/",
        ),
        (
            "metadata.labels",
            {"a": "x y"},
            'metadata.labels.a: Invalid value: "x y": should be empty, or at most 63 letters, digits, -, _ and ., '
            "a letter or digit first and last",
        ),
        ("metadata.annotations", {"a": True}, "metadata.annotations.a: Invalid value: true: should be a string"),
        ("metadata.annotations", {"a b": "x"}, 'metadata.annotations.a b: Invalid value: "a b": should be at most 63'),
        ("metadata.annotations", {"a": "x" * (256 << 10)}, "metadata.annotations: Invalid value: "),
        ("metadata.lables", {"a": "b"}, "metadata.lables: Unknown field: did you mean labels? the fields here are "),
        ("metadata.finalizers", "x", 'metadata.finalizers: Invalid value: "x": should be a list'),
        ("metadata.finalizers", ["a b"], 'metadata.finalizers[0]: Invalid value: "a b": should be at most 63'),
        ("metadata.namespace", "De_mo", 'metadata.namespace: Invalid value: "De_mo": should be at most 63 lower case'),
        ("metadata.namespace", "a" * 64, "metadata.namespace: Invalid value: "),
        (
            "metadata.ownerReferences",
            [{"apiVersion": "v1", "kind": "X", "name": "x"}],
            "metadata.ownerReferences[0].uid",
        ),
        ("metadata", "x", 'metadata: Invalid value: "x": should be an object with name, '),
    ],
)
def test_wrong_metadata(path: str, value: Any, message: str) -> None:
    (fault,) = validate(changed(put(path, value)))
    assert fault.startswith(message)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.labels", {"app.kubernetes.io/name": "x", "A_b.c-d": "", "e": None}),
        ("metadata.labels", None),
        ("metadata.annotations", {"Example.com/note": "any text, of\nseveral lines"}),
        ("metadata.finalizers", ["example.com/keep", "foregroundDeletion"]),
        ("metadata.namespace", "team-1"),
        ("metadata.creationTimestamp", None),
        ("metadata.creationTimestamp", "2026-01-01T00:00:00Z"),
        ("metadata.managedFields", [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {}}}]),
        (
            "metadata.ownerReferences",
            [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "y", "blockOwnerDeletion": True}],
        ),
    ],
)
def test_metadata_that_the_api_server_takes(path: str, value: object) -> None:
    assert validate(changed(put(path, value))) == []


@pytest.mark.parametrize(
    ("path", "value", "right"),
    [
        ("spec.queue", "tpu-queue", "should be an object with name, topology, "),
        ("spec.training.stages[0]", "x", "should be an object with name, data, "),
        ("spec.training.stages[0].maxText", "x", "should be an object"),
        ("spec.training.stages", "x", "should be a list"),
        ("spec.training.stages", [], "should have at least 1 item, not 0"),
        ("spec.training.stages[0].steps", "10", "should be a whole number: write 10, without quotes"),
        ("spec.training.stages[0].steps", "ten", "should be a whole number"),
        ("spec.training.stages[0].steps", 1.5, "should be a whole number"),
        ("spec.training.stages[0].learningRate", "1e-5", "should be a number: write 1e-5, without quotes"),
        ("spec.suspend", "yes", "should be true or false"),
        ("spec.suspend", "true", "should be true or false: write true, without quotes"),
        ("spec.teacher.source.huggingFace.repo", 4, 'should be a string: write "4", in quotes'),
        ("spec.dataset.messagesColumn", False, 'should be a string: write "false", in quotes'),
    ],
)
def test_a_value_of_another_type_is_answered_in_words_of_manifests(path: str, value: object, right: str) -> None:
    faults = validate(changed(put(path, value)))
    fault = next(fault for fault in faults if fault.startswith(f"{path}: Invalid value: "))
    assert fault.split(": ", 3)[3].startswith(right)
    assert not any(word in fault for word in ("dictionary", "instance", "validation"))
