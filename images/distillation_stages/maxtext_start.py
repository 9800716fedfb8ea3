"""Starts MaxText's SFT trainer: ``python -m distillation_stages.maxtext_start CONFIG.yml key=value ...``.

It does what ``python -m maxtext.trainers.post_train.sft.train_sft`` does, in half the time and memory on a CPU.
"""

import sys
from types import ModuleType
from typing import Any

DIAGNOSTICS = "cloud_accelerator_diagnostics"


def lighten_imports() -> None:
    """Keep MaxText from importing Vertex AI's client, a third of its start, for an uploader that is off by default.

    To be called before MaxText is imported.
    """
    if DIAGNOSTICS in sys.modules:
        return
    package = ModuleType(DIAGNOSTICS)
    for name in ("tensorboard", "uploader"):
        module = ModuleType(f"{DIAGNOSTICS}.{name}")
        setattr(package, name, module)
        sys.modules[module.__name__] = module
    sys.modules[DIAGNOSTICS] = package


def heed_worker_count(hf_data_processing: Any) -> None:
    """Let ``grain_worker_count`` hold for Hugging Face data too, where MaxText forgets to pass it on.

    With the default of 1 there is always a worker process, which imports all of MaxText once more.
    """
    original = hf_data_processing.preprocessing_pipeline

    def preprocessing_pipeline(*arguments: Any, **keywords: Any) -> Any:
        keywords.setdefault("grain_worker_count", min(1, keywords["config"].grain_worker_count))
        return original(*arguments, **keywords)

    hf_data_processing.preprocessing_pipeline = preprocessing_pipeline


def main() -> None:
    """Run the trainer with this process's arguments."""
    if not any(argument.lower() == "use_vertex_tensorboard=true" for argument in sys.argv):
        lighten_imports()
    from absl import app  # type: ignore[import-not-found]  # Comes with MaxText.
    from maxtext.input_pipeline import hf_data_processing
    from maxtext.trainers.post_train.sft import train_sft

    heed_worker_count(hf_data_processing)
    app.run(train_sft.main)


if __name__ == "__main__":
    main()
