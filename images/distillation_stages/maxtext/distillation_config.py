"""The configuration of MaxText's distillation trainer, which trains the student on the teacher's logits.

It takes a YAML file, not a command line: two models' settings stand in ``student_overrides`` and ``teacher_overrides``,
and what shapes the batch must stand at the top level, where both models inherit it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillation_api import reasons
from distillation_api.contract import LogitMatching, TrainProgram
from distillation_stages.maxtext import rope_scaling
from distillation_stages.maxtext.command import TrainingPaths, config_file, precedence, training_settings
from distillation_stages.maxtext.families import Settings
from distillation_stages.maxtext.user_settings import user_settings
from distillation_stages.runtime.failure import StageError

CONFIG_NAME = "distillation.yml"


@dataclass(frozen=True)
class Checkpoint:
    """A MaxText checkpoint and the settings with which it reads right."""

    path: Path
    settings: Settings


def configuration(
    program: TrainProgram,
    matching: LogitMatching,
    steps: int,
    student: Checkpoint,
    teacher: Checkpoint,
    paths: TrainingPaths,
) -> dict[str, Any]:
    """The trainer's configuration. Raises StageError for models that can't be matched."""
    check_models(matching, student.settings, teacher.settings)
    users = user_settings(program)
    common = {name: _parsed(value) for name, value in training_settings(program, steps, users, paths).items()}
    return {
        **common,
        "base_config": str(config_file("post_train/distillation.yml")),
        # As in MaxText's sft.yml. Without the third, every batch of gradient accumulation would be as large as all.
        "use_sft": True,
        "sft_train_on_completion_only": True,
        "use_tunix_gradient_accumulation": True,
        "save_checkpoint_on_completion": True,
        # Left to itself MaxText needs it for the feature loss, and refuses to go without.
        "enable_nnx": matching.beta > 0,
        **_loss(matching),
        # The file of the model would win over the top level.
        "student_overrides": {
            **users,
            **rope_scaling.maxtexts_own(student.settings),
            **precedence(users),
            "load_parameters_path": str(student.path),
        },
        "teacher_overrides": {
            **rope_scaling.maxtexts_own(teacher.settings),
            "load_parameters_path": str(teacher.path),
            # Never updated, and cast to this before use anyway: with bfloat16 it takes half the memory.
            "weight_dtype": program.dtype,
        },
    }


def _loss(matching: LogitMatching) -> dict[str, Any]:
    values: dict[str, Any] = {"distill_feature_loss_type": matching.feature_loss.lower()}
    for name in ("alpha", "temperature", "beta"):
        values[f"distill_{name}"] = getattr(matching, name)
        values[f"distill_{name}_schedule"] = str(getattr(matching, f"{name}_schedule")).lower()
        end = getattr(matching, f"{name}_end")
        if end is not None:
            values[f"distill_{name}_end"] = end
    if matching.layer_indices is not None:
        values["distill_layer_indices"] = list(matching.layer_indices)
    return values


def _parsed(value: Any) -> Any:
    """A setting as MaxText's command line would read it."""
    import yaml

    return yaml.safe_load(value) if isinstance(value, str) and not value.startswith("/") else value


def check_models(matching: LogitMatching, student: Settings, teacher: Settings) -> None:
    """Refuse models of which MaxText would say so late, or not at all."""
    tokens = _sizes(student, teacher, "vocab_size")
    if tokens is not None and tokens[0] != tokens[1]:
        raise StageError(
            reasons.VOCABULARIES_DIFFER,
            f"the student has {tokens[0]} tokens, the teacher {tokens[1]}: logit matching needs the same vocabulary",
        )
    if matching.beta > 0:
        _check_features(matching.layer_indices, student, teacher)


def _check_features(indices: list[int] | None, student: Settings, teacher: Settings) -> None:
    widths = _sizes(student, teacher, "base_emb_dim")
    if widths is not None and widths[0] != widths[1]:
        raise StageError(
            reasons.FEATURES_DIFFER,
            f"the feature loss compares hidden states, but the student's have {widths[0]} numbers, the teacher's "
            f"{widths[1]}; set beta to 0",
        )
    layers = _sizes(student, teacher, "base_num_decoder_layers")
    if layers is None:
        return
    if indices is None and layers[0] != layers[1]:
        raise StageError(
            reasons.FEATURES_DIFFER,
            f"the feature loss compares the same layers, but the student has {layers[0]} and the teacher {layers[1]}; "
            "name some in layerIndices, or set beta to 0",
        )
    beyond = [index for index in indices or [] if index >= min(layers)]
    if beyond:
        # MaxText would take NaN for the layer.
        raise StageError(
            reasons.FEATURES_DIFFER,
            f"layerIndices has {beyond[0]}, but layers are counted from 0 and one of the models has only {min(layers)}",
        )


def _sizes(student: Settings, teacher: Settings, name: str) -> tuple[int, int] | None:
    ours, theirs = size_of(student, name), size_of(teacher, name)
    return None if ours is None or theirs is None else (ours, theirs)


def size_of(settings: Settings, name: str) -> int | None:
    """A size of the model: from its settings, or from MaxText's own file when its name is all that they say."""
    if name in settings:
        return int(settings[name])
    import yaml

    file = config_file(f"models/{settings.get('model_name', '')}.yml")
    try:
        value = yaml.safe_load(file.read_text()).get(name)
    except OSError:
        return None
    return None if value is None else int(value)


def write(config: dict[str, Any], path: Path) -> Path:
    """Write the configuration; its path is the trainer's only argument."""
    import yaml

    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path
