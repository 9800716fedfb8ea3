"""From a MaxText checkpoint back to Hugging Face format, by MaxText's own converter."""

from pathlib import Path

from distillation_api import reasons
from distillation_stages.maxtext.command import arguments, config_file
from distillation_stages.maxtext.families import Settings, fill_tables
from distillation_stages.maxtext.logits import maxtext_in_process
from distillation_stages.models.model_config import HuggingFaceConfig
from distillation_stages.runtime.failure import StageError


def load_torch() -> None:
    """Import torch's compiler, before MaxText: it crashes when TensorFlow is loaded already."""
    import importlib

    importlib.import_module("torch._dynamo")


def convert_to_hugging_face(
    checkpoint: Path,
    student: Path,
    config: HuggingFaceConfig,
    settings: Settings,
    output: Path,
    dtype: str,
    cache: Path,
) -> None:
    """Write the checkpoint's weights in Hugging Face format to ``output``. ``student``: config.json and tokenizer."""
    from absl import flags  # type: ignore[import-not-found]  # Comes with MaxText.
    from maxtext.checkpoint_conversion import to_huggingface

    expected = fill_tables(str(settings["model_name"]), config, student)
    if expected != settings:
        differing = sorted(
            name for name in expected.keys() | settings.keys() if expected.get(name) != settings.get(name)
        )
        raise StageError(
            reasons.SETTINGS_DISAGREE,
            f"the checkpoint was trained with other MaxText settings than {student}/config.json asks for: "
            f"{', '.join(differing)}; the student's model was replaced in between, train again",
        )
    conversion: Settings = {
        **settings,
        "run_name": "export",
        "base_output_directory": str(output),
        "load_parameters_path": str(checkpoint),
        "hardware": "cpu",
        "skip_jax_distributed_system": True,
        "weight_dtype": dtype,
        "tokenizer_path": str(student),
        "jax_cache_dir": str(cache),
    }
    flags.FLAGS(["to_huggingface"])
    with maxtext_in_process():
        to_huggingface.main(["to_huggingface", str(config_file("base.yml")), *arguments(conversion)])
