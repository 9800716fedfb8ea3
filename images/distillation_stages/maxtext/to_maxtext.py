"""From Hugging Face format to a MaxText checkpoint, by MaxText's own converter."""

from pathlib import Path
from typing import Any

from distillation_stages.maxtext.command import arguments, config_file
from distillation_stages.maxtext.families import Settings
from distillation_stages.maxtext.logits import maxtext_in_process


def convert_to_maxtext(model: Path, settings: Settings, output: Path, devices: int, cache: Path) -> None:
    """Write the model directory as a MaxText checkpoint, in float32, below ``output``."""
    from maxtext.checkpoint_conversion import to_maxtext

    conversion: Settings = {
        **settings,
        "run_name": "convert",
        "base_output_directory": str(output),
        "hardware": "cpu",
        # No parameter depends on it, and the kernel that MaxText would choose can't take DeepSeek's heads.
        "attention": "dot_product",
        "skip_jax_distributed_system": True,
        "weight_dtype": "float32",
        "jax_cache_dir": str(cache),
    }
    to_maxtext.LazyHFLoader = _in_float32(to_maxtext.LazyHFLoader)
    with maxtext_in_process():
        to_maxtext.main(
            ["to_maxtext", str(config_file("base.yml")), *arguments(conversion)],
            lazy_load_tensors=True,
            hf_model_path=str(model),
            save_dtype="float32",
            simulated_cpu_devices_count=devices,
        )


def _in_float32(loader: Any) -> Any:
    """A loader whose tensors are float32: MaxText would fold 1/sqrt(head_dim) into bfloat16 queries, and round them."""

    class Float32Loader(loader):  # type: ignore[misc]
        def get_tensor(self, key: str) -> Any:
            return super().get_tensor(key).astype("float32")

    return Float32Loader
