"""MaxText's settings that are not users' to give: what the operator writes itself, and what no installation opens."""

from collections.abc import Mapping

SETTING_NAME = "^[a-z][a-z0-9_]*$"

_AXES = (
    "diloco", "data", "fsdp", "fsdp_transpose", "sequence", "context", "context_autoregressive", "tensor",
    "tensor_transpose", "tensor_sequence", "pipeline", "expert", "autoregressive",
)  # fmt: skip

NO_FIELD = ""
"""In place of a field: the operator sets it, and users have no say."""

MANAGED_BY_FIELD: Mapping[str, tuple[str, ...]] = {
    "steps": ("steps", "learning_rate_schedule_steps"),
    "epochs": ("num_epoch",),
    "perDeviceBatchSize": ("per_device_batch_size",),
    "gradientAccumulationSteps": ("gradient_accumulation_steps", "use_tunix_gradient_accumulation"),
    "maxTargetLength": ("max_target_length",),
    "learningRate": ("learning_rate",),
    "warmupStepsFraction": ("warmup_steps_fraction",),
    "checkpointPeriod": ("checkpoint_period",),
    "packing": ("packing",),
    "dtype": ("dtype",),
    "weightDtype": ("weight_dtype",),
    "parallelism": ("ici_parallelism", *(f"ici_{axis}_parallelism" for axis in _AXES)),
    "spec.training.accelerator.slices": (
        "num_slices",
        "dcn_parallelism",
        *(f"dcn_{axis}_parallelism" for axis in _AXES),
    ),
    "spec.training.accelerator": ("hardware",),
    "objective": ("use_sft", "sft_train_on_completion_only", "use_dpo", "use_grpo"),
    "logitMatching": (
        "distill_alpha",
        "distill_alpha_end",
        "distill_alpha_schedule",
        "distill_temperature",
        "distill_temperature_end",
        "distill_temperature_schedule",
        "distill_beta",
        "distill_beta_end",
        "distill_beta_schedule",
        "distill_feature_loss_type",
        "distill_layer_indices",
    ),
    "spec.student.maxTextModel": (
        "model_name",
        "override_model_config",
        "scan_layers",
        "base_emb_dim",
        "base_mlp_dim",
        "base_num_decoder_layers",
        "base_num_query_heads",
        "base_num_kv_heads",
        "head_dim",
        "vocab_size",
        "normalization_layer_epsilon",
        "logits_via_embedding",
        "normalize_embedding_logits",
        "rope_max_timescale",
        "rope_type",
        "rope_use_scale",
    ),
    "spec.student.source": ("tokenizer_path", "tokenizer_type"),
    "spec.dataset": (
        "dataset_type",
        "hf_path",
        "hf_train_files",
        "train_split",
        "train_data_columns",
        "offline_data_dir",
    ),
    "spec.evaluation": ("eval_interval",),
    "spec.storage": ("base_output_directory", "jax_cache_dir"),
    "spec.huggingFaceToken": ("hf_access_token",),
    NO_FIELD: (
        "base_config",
        "run_name",
        "load_parameters_path",
        "load_full_state_path",
        "student_overrides",
        "teacher_overrides",
        "learn_to_init_mode",
        "enable_checkpointing",
        "save_checkpoint_on_completion",
        "max_num_checkpoints_to_keep",
        "enable_data_shuffling",
        "enable_nnx",
        "lora",
        "skip_jax_distributed_system",
        "metrics_file",
        "enable_goodput_recording",
        "monitor_goodput",
    ),
}
"""What the operator writes into MaxText's configuration, by the field of the spec that it follows from (of the training
stage itself, or with its whole path)."""

MANAGED: Mapping[str, str] = {name: field for field, names in MANAGED_BY_FIELD.items() for name in names}
"""The same by MaxText's name."""

FORBIDDEN_WORDS = (
    "path", "paths", "dir", "directory", "subdir", "file", "files", "uri", "url", "host", "hosts", "port", "name",
    "column", "columns", "fn", "func", "function", "kwargs", "config", "tokenizer", "dataset", "token", "project",
    "region", "bucket", "gcs", "gcp", "profiler", "profile",
)  # fmt: skip
"""Words of names that not even an installation with ``maxText.allowUnlisted`` opens: where things lie, what is run and
what is talked to."""

FORBIDDEN_NAME_PATTERN = f"(^|_)({'|'.join(FORBIDDEN_WORDS)})(_|$)"
FORBIDDEN_REASON = "where things lie, what is run and what is talked to is not for users to set"


def managed_fault(member: str, name: str) -> str:
    """What to use in place of a setting that the operator manages."""
    return f"{member} must not set {name}: {managed_remedy(MANAGED[name])}"


def managed_remedy(field: str) -> str:
    """What to do in place of setting what follows from a field."""
    return "the operator sets it; remove it" if field == NO_FIELD else f"it follows from {field}; use that"
