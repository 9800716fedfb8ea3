"""All that knows MaxText, Tunix and Orbax.

``FOREIGN`` lists each of their names that is called or patched here, by module: a test in the trainer's environment
shows which of them a new version lacks.
"""

FOREIGN: dict[str, tuple[str, ...]] = {
    # Conversion, there and back.
    "maxtext.checkpoint_conversion.to_maxtext": ("main", "LazyHFLoader.get_tensor"),
    "maxtext.checkpoint_conversion.to_huggingface": ("main",),
    "maxtext.checkpoint_conversion.utils.hf_model_configs": ("HF_MODEL_CONFIGS",),
    "maxtext.checkpoint_conversion.utils.hf_shape": ("HF_SHAPE",),
    "maxtext.checkpoint_conversion.utils.param_mapping": ("PARAM_MAPPING", "HOOK_FNS"),
    "maxtext.utils.globals": ("HF_IDS", "MAXTEXT_CONFIGS_DIR"),
    # Logits.
    "maxtext.configs.pyconfig": ("initialize",),
    "maxtext.configs.types": ("MaxTextConfig.model_fields",),
    "maxtext.layers.attentions": ("Attention.init_rotary_embedding",),
    "maxtext.layers.embeddings": ("LLaMARotaryEmbedding._apply_scaling_factor",),
    "maxtext.utils.model_creation_utils": ("from_pretrained",),
    # Both trainers.
    "maxtext.input_pipeline.input_pipeline_interface": ("create_data_iterator", "make_hf_train_iterator"),
    "maxtext.input_pipeline.multihost_dataloading": ("MultiHostDataLoadIterator",),
    "maxtext.utils.max_logging": ("log",),
    "orbax.checkpoint": (
        "CheckpointManager.reached_preemption",
        "CheckpointManager.save",
        "CheckpointManager.should_save",
        "CheckpointManager.wait_until_finished",
    ),
    # Saves of all programs.
    "orbax.checkpoint._src.path.atomicity": ("CommitFileTemporaryPath",),
    "orbax.checkpoint._src.path.atomicity_defaults": (
        "get_default_temporary_path_class",
        "get_item_default_temporary_path_class",
    ),
    # SFT.
    "maxtext.trainers.post_train.sft.train_sft": ("main",),
    "maxtext.common.metric_logger": ("MetricLogger.log_metrics",),
    # Logit matching.
    "maxtext.trainers.post_train.distillation.train_distill": (
        "main",
        "MaxTextDistillationTrainer._post_process_train_step",
        "MaxTextDistillationTrainer._try_get_learning_rate",
        "MaxTextDistillationTrainer.train_steps",
    ),
    "maxtext.trainers.post_train.distillation.distillation_utils": (
        "CombinedDistillationStrategy",
        "MaxTextToTunixIterator",
        "METRIC_HARD_LOSS",
        "METRIC_KL_DIV_T1",
        "METRIC_TOTAL_LOSS",
    ),
}
