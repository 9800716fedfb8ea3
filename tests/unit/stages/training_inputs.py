"""What the training stages' tests share: programs, log lines, checkpoints as Orbax leaves them."""

from pathlib import Path

from distillation_api.contract import LogitMatching, SupervisedFineTuning, TrainProgram

LLAMA2_7B = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "vocab_size": 32000,
}
"""As Meta's repository has it: without head_dim and rope_theta."""

LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def train_program(**changes: object) -> TrainProgram:
    program = TrainProgram(
        start="convert",
        tokenizer="student",
        data="packed",
        sequences_per_step=4,
        per_device_batch_size=4,
        max_target_length=128,
        learning_rate=3e-4,
        warmup_steps_fraction=0.1,
        checkpoint_period=5,
        packing=False,
        dtype="float32",
        weight_dtype="float32",
        parallelism={"fsdp": 1},
        objective=SupervisedFineTuning(),
        hardware="cpu",
    )
    return program.model_copy(update=changes)


def logit_matching(**changes: object) -> LogitMatching:
    matching = LogitMatching(teacher="convert-teacher", alpha=1.0, temperature=1.0, beta=0.0)
    return matching.model_copy(update=changes)


def distill_line(step: int, loss: str = "2.5", weights: int = 90) -> str:
    """As maxtext_start makes the distillation trainer log a step."""
    return (
        f"I1125 09:05:31.153000 19877 train_distill.py:1] completed step: {step}, seconds: 2.000, "
        f"total_weights: {weights}, loss: {loss}, kl_to_teacher: 1.25, learning_rate: 0.0003"
    )


def step_line(step: int, loss: str = "2.5", weights: int = 90) -> str:
    return (
        f"I1125 05:02:55.667883 140682 metric_logger.py:207] completed step: {step}, seconds: 1.250, "
        f"TFLOP/s/device: 0.001, Tokens/s/device: 409.600, total_weights: {weights}, loss: {loss}, lm_loss: 0.000, "
        "perplexity: 12.182"
    )


def save_checkpoint(checkpoints: Path, step: int, *, whole: bool = True, optimizer: bool = True) -> None:
    """As Orbax leaves it on a file system; half of it when not ``whole``."""
    checkpoint = checkpoints / str(step)
    items = ["model_params", *(["optimizer_state"] if optimizer else [])]
    for item in items:
        (checkpoint / item).mkdir(parents=True)
        (checkpoint / item / "manifest.ocdbt").write_bytes(b"x")
        (checkpoint / item / "commit_success.txt").touch()
    if whole:
        (checkpoint / "commit_success.txt").touch()
