"""What a machine with chips takes, and what stays a cluster's."""

from typing import Any

from distillation_api.spec import SecretKey
from distillation_operator.local.cluster_only import ignored, refusals, without_accelerators
from distillation_operator.local.runner import images_of
from support.scenario import job_of, small_spec

ONE_HOST = {"type": "tpu-v6e-slice", "topology": "2x2"}
STAGE = {"name": "one", "steps": 10}


def asking(**members: Any) -> Any:
    return job_of(small_spec(**members))


def test_an_accelerator_that_the_machine_has_is_used_with_the_image_for_it() -> None:
    job = asking(generation={"accelerator": ONE_HOST}, training={"accelerator": ONE_HOST, "stages": [STAGE]})
    assert refusals(job, 4, set()) == []
    assert len(refusals(job, 1, set())) == 2
    assert "teacher-tpu" in images_of(job)
    assert "teacher" in images_of(asking())


def test_each_secret_that_is_missing_has_its_field() -> None:
    env = [{"name": "A", "value": "x"}, {"name": "B", "secret": {"secretName": "s", "key": "k"}}]
    job = asking(huggingFaceToken={"secretName": "hub", "key": "token"}, pod={"env": env})
    assert job.spec.hugging_face_token == SecretKey(secret_name="hub", key="token")
    fields = [message.split(": Invalid value: ")[0] for message in refusals(job, 0, set())]
    assert fields == ["spec.huggingFaceToken", "spec.pod.env[1].secret"]
    assert refusals(job, 0, {("hub", "token"), ("s", "k")}) == []


def test_what_is_left_out_is_named_and_the_users_own_object_stays() -> None:
    spec = small_spec(
        queue={"name": "tpus"},
        generation={"shards": 2, "accelerator": {**ONE_HOST, "provisioning": "FlexStartQueued"}},
        training={"stages": [{**STAGE, "hosts": 4, "parallelism": {"fsdp": 4}}, {**STAGE, "name": "two"}]},
    )
    thing = {"metadata": {"name": "job"}, "spec": spec}
    changed, left_out = without_accelerators(thing)
    assert left_out == [
        "spec.queue", "spec.generation.accelerator", "spec.training.stages[0].hosts",
        "spec.training.stages[0].parallelism",
    ]  # fmt: skip
    assert changed["spec"]["generation"] == {"shards": 2}
    assert thing["spec"]["queue"] == {"name": "tpus"}
    assert refusals(job_of(changed["spec"]), 0, set()) == []
    assert without_accelerators(changed) == (changed, [])


def test_members_without_effect_are_named() -> None:
    job = asking(pod={"serviceAccountName": "a", "nodeSelector": {"pool": "x"}, "env": [{"name": "A", "value": "b"}]})
    assert ignored(job) == ["spec.pod.serviceAccountName", "spec.pod.nodeSelector"]
    assert ignored(asking()) == []
