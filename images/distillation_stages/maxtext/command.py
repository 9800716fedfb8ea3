"""Rendering of MaxText commands: its command lines are ``module CONFIG.yml key=value ...``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from distillation_api import reasons
from distillation_api.accelerators import PLATFORMS
from distillation_api.contract import TrainProgram
from distillation_stages.maxtext import rope_scaling
from distillation_stages.maxtext.families import Setting, Settings
from distillation_stages.maxtext.user_settings import user_settings
from distillation_stages.runtime.failure import StageError

TRAINER_MODULE = "distillation_stages.maxtext.start"
RUN_NAME = "run"
"""Fixed, so that a restart finds the checkpoints of the run before."""
LOG_PERIOD = 100
"""Steps between two writes of TensorBoard's file."""


def arguments(settings: Mapping[str, Setting]) -> list[str]:
    """The settings as MaxText takes them, without what is ours alone."""
    return [f"{name}={value}" for name, value in rope_scaling.maxtexts_own(settings).items()]


@dataclass(frozen=True)
class TrainingPaths:
    """Where one training process finds and puts things."""

    checkpoint: Path
    tokenizer: Path
    output: Path
    jax_cache: Path


def devices_of(program: TrainProgram) -> int:
    """The number of devices over all slices."""
    if program.hardware == "cpu":
        return program.hosts
    devices = program.slices
    for axis, size in program.parallelism.items():
        if size < 1:
            raise StageError(reasons.BAD_PARALLELISM, f"parallelism {axis}={size} must be at least 1")
        devices *= size
    return devices


def training_arguments(program: TrainProgram, steps: int, start: Settings, paths: TrainingPaths) -> list[str]:
    """The arguments of MaxText's SFT trainer, after the configuration file."""
    users = user_settings(program)
    settings = {
        **training_settings(program, steps, users, paths),
        **start,
        **precedence(users),
        "load_parameters_path": str(paths.checkpoint),
    }
    return arguments(settings)


def precedence(users: Settings) -> Settings:
    """Where users set something it wins over the file of the model, which MaxText would refuse otherwise."""
    return {"override_model_config": True} if users else {}


def training_settings(program: TrainProgram, steps: int, users: Settings, paths: TrainingPaths) -> Settings:
    """What both trainers are told: our defaults, the user's own settings, and then what the stage lives by."""
    return {**_defaults(program), **users, **_managed(program, steps, paths)}


def _defaults(program: TrainProgram) -> Settings:
    """What users may set otherwise."""
    settings: Settings = {"log_period": LOG_PERIOD}
    if program.hardware == "cpu":
        settings |= {
            "attention": "dot_product",
            # Its kernel of a mixture's experts runs on TPUs only.
            "megablox": False,
            # No thread that copies checkpoints.
            "async_checkpointing": False,
            # Recomputing activations costs time, and a CPU has memory enough.
            "remat_policy": "minimal",
        }
    return settings


def _managed(program: TrainProgram, steps: int, paths: TrainingPaths) -> Settings:
    """What follows from the fields of the stage: the stage's own bookkeeping depends on it."""
    settings: Settings = {
        "run_name": RUN_NAME,
        "base_output_directory": str(paths.output),
        "tokenizer_path": str(paths.tokenizer),
        "tokenizer_type": "huggingface",
        # Its reader of such data is replaced by ours.
        "dataset_type": "hf",
        "steps": steps,
        "learning_rate_schedule_steps": steps,
        "learning_rate": program.learning_rate,
        "warmup_steps_fraction": program.warmup_steps_fraction,
        "per_device_batch_size": program.per_device_batch_size,
        "gradient_accumulation_steps": program.gradient_accumulation_steps,
        "max_target_length": program.max_target_length,
        "packing": program.packing,
        "dtype": program.dtype,
        "weight_dtype": program.weight_dtype,
        "checkpoint_period": program.checkpoint_period,
        "eval_interval": -1,
        "enable_goodput_recording": False,
        "monitor_goodput": False,
        "jax_cache_dir": str(paths.jax_cache),
        **{f"ici_{axis}_parallelism": size for axis, size in program.parallelism.items()},
    }
    settings["hardware"] = PLATFORMS[program.hardware].maxtext
    if program.slices > 1:
        settings["dcn_data_parallelism"] = program.slices
    if program.hardware == "cpu":
        settings["skip_jax_distributed_system"] = program.hosts == 1
    return settings


def config_file(name: str) -> Path:
    """A configuration file of the installed MaxText, without importing it (which takes half a minute)."""
    import importlib.util

    spec = importlib.util.find_spec("maxtext")
    if spec is None or not spec.submodule_search_locations:
        raise StageError(reasons.INCOMPATIBLE_IMAGE, "the image has no package 'maxtext'; use the trainer's image")
    return Path(next(iter(spec.submodule_search_locations))) / "configs" / name


def versions() -> dict[str, str]:
    """The versions of the libraries that work only as a set, as far as they are installed."""
    from importlib import metadata

    found = {}
    for package in ("maxtext", "google-tunix", "jax", "orbax-checkpoint", "transformers", "torch"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
