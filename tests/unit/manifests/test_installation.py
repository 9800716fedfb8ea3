"""What one installation allows, and what it refuses."""

from cluster.wrong_manifests import changed, put
from distillation_api.resource import DistillationJob
from distillation_operator.manifests.settings import Installation


def job(**stage: object) -> DistillationJob:
    changes = [put(f"spec.training.stages[1].{name}", value) for name, value in stage.items()]
    return DistillationJob.parse(changed(put("metadata.namespace", "ml"), put("metadata.uid", "1"), *changes))


def test_unlisted_settings_are_refused_unless_the_installation_allows_them() -> None:
    asked = job(maxTextUnlisted={"mtp_num_layers": "1"})
    refusal = Installation().refusal(asked)
    assert refusal is not None
    assert refusal.reason == "UnlistedSettingsRefused"
    assert refusal.message == (
        "spec.training.stages[1].maxTextUnlisted: Forbidden: this installation allows only what maxText lists; ask for "
        "the chart's value maxText.allowUnlisted, or remove mtp_num_layers"
    )
    assert Installation(allow_unlisted_max_text=True).refusal(asked) is None


def test_listed_settings_are_never_refused() -> None:
    assert Installation().refusal(job(maxText={"remat_policy": "full"})) is None


def test_generation_on_tpus_has_an_image_of_its_own_where_one_is_given() -> None:
    both = Installation(teacher_image="cpu", teacher_tpu_image="tpu", trainer_image="trainer")
    assert (both.image("teacher", "cpu"), both.image("teacher", "tpu")) == ("cpu", "tpu")
    assert Installation(teacher_image="one").image("teacher", "tpu") == "one"
    assert both.image("trainer", "tpu") == both.image("trainer", "cpu") == "trainer"
