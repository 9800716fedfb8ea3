"""MaxText's tuning settings that users may give, each with the values that it takes.

Nothing here is a path, a URI, a function, a dictionary, a port, a name or a tokenizer, and nothing changes how a
checkpoint is laid out. The CRD's rules, ``validate`` and the training program all read this table; a test compares it
with the installed MaxText.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from distillation_api.maxtext.managed import (
    FORBIDDEN_NAME_PATTERN,
    FORBIDDEN_REASON,
    MANAGED,
    SETTING_NAME,
    managed_fault,
)

Value = int | float | bool | str


@dataclass(frozen=True)
class Integer:
    """A whole number in a range."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True)
class Number:
    """A number in a range."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Boolean:
    """True or false, in YAML's spelling."""

    def __str__(self) -> str:
        return "true or false"


@dataclass(frozen=True)
class Enumeration:
    """One of a few words."""

    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"one of {', '.join(self.values)}" if len(self.values) > 1 else self.values[0]


Kind = Integer | Number | Boolean | Enumeration


@dataclass(frozen=True)
class Setting:
    """One setting that users may give."""

    kind: Kind
    meaning: str


_BOOLEAN = Boolean()
_FRACTION = Number(0, 1)
_BLOCK = Integer(128, 65_536)
_COUNT = Integer(1, 65_536)
_LOCATION = Enumeration(("remat", "device", "offload"))
_LAYOUT = Enumeration(("HEAD_DIM_MINOR", "SEQ_MINOR"))
_DTYPE = Enumeration(("float32", "bfloat16"))

_REMATERIALISATION = {
    "remat_policy": Setting(
        Enumeration(
            (
                "full",
                "minimal",
                "save_dot_with_context_except_mlp",
                "save_dot_except_mlpwi",
                "save_dot_except_mlp",
                "save_qkv_proj",
                "qkv_proj_offloaded",
                "custom",
                "minimal_offloaded",
                "save_out_proj",
            )
        ),
        "Which activations are kept for the backward pass instead of being computed again.",
    ),
    **{
        name: Setting(_LOCATION, f"Where {tensor} is kept under remat_policy custom.")
        for name, tensor in {
            "decoder_layer_input": "the input of a decoder layer",
            "context": "the attention's context",
            "mlpwi": "the output of the first MLP matrix",
            "mlpwi_0": "the output of the first half of a gated MLP",
            "mlpwi_1": "the output of the second half of a gated MLP",
            "mlpwo": "the output of the second MLP matrix",
            "moe_mlpwi_0": "the output of the first half of a gated expert",
            "moe_mlpwi_1": "the output of the second half of a gated expert",
            "moe_mlpwo": "the output of an expert's second matrix",
            "query_proj": "the query projection",
            "key_proj": "the key projection",
            "value_proj": "the value projection",
            "query_wa_proj": "the low-rank query projection of MLA",
            "kv_wa_proj": "the low-rank key and value projection of MLA",
            "qkv_proj": "the fused projection",
            "out_proj": "the attention's output projection",
            "mla_q": "the query of MLA",
            "mla_kv": "the key and value of MLA",
            "attention_out": "the attention's output",
        }.items()
    },
    "optimizer_memory_host_offload": Setting(_BOOLEAN, "Keep the optimizer's state in the host's memory."),
    "parameter_memory_host_offload": Setting(_BOOLEAN, "Keep the parameters in the host's memory."),
}

_ATTENTION = {
    "attention": Setting(Enumeration(("autoselected", "dot_product", "flash")), "The attention kernel."),
    **{
        f"sa_block_{block}": Setting(_BLOCK, f"Block size {block} of splash attention.")
        for block in ("q", "kv", "kv_compute", "q_dkv", "kv_dkv", "kv_dkv_compute", "q_dq", "kv_dq")
    },
    "sa_use_fused_bwd_kernel": Setting(_BOOLEAN, "One kernel for the whole backward pass of splash attention."),
    **{
        f"sa_{tensor}_layout": Setting(_LAYOUT, f"Memory layout of {tensor} in splash attention.")
        for tensor in ("q", "k", "v")
    },
    "use_splash_scheduler": Setting(_BOOLEAN, "The experimental scheduler of splash attention."),
    "use_tokamax_splash": Setting(_BOOLEAN, "Tokamax's splash attention."),
    "use_jax_splash": Setting(_BOOLEAN, "JAX's splash attention."),
    "force_q_layout": Setting(_BOOLEAN, "Force the layout of q; with use_jax_splash."),
    "float32_qk_product": Setting(_BOOLEAN, "The product of query and key in float32, in dot_product attention."),
    "float32_logits": Setting(_BOOLEAN, "The softmax's input in float32, in dot_product attention."),
}

_OPTIMIZER = {
    "opt_type": Setting(Enumeration(("adamw", "adam_pax", "sgd", "muon")), "The optimizer."),
    "adam_b1": Setting(_FRACTION, "Decay of the first moment."),
    "adam_b2": Setting(_FRACTION, "Decay of the second moment."),
    "adam_eps": Setting(_FRACTION, "Added to the square root of the second moment."),
    "adam_eps_root": Setting(_FRACTION, "Added below that square root."),
    "adam_weight_decay": Setting(_FRACTION, "Weight decay."),
    "mu_dtype": Setting(_DTYPE, "Type of the first moment; weightDtype when absent."),
    "muon_beta": Setting(_FRACTION, "Decay of Muon's average of gradients."),
    "muon_weight_decay": Setting(_FRACTION, "Weight decay of Muon."),
    "muon_consistent_rms": Setting(_FRACTION, "Scale of Muon's updates; by the width when absent."),
    "gradient_clipping_threshold": Setting(Number(0, 1000), "Greatest norm of the gradient; 0 is no limit."),
    "skip_step_on_spikes": Setting(_BOOLEAN, "Skip the update of a step whose loss or gradient leaps."),
    "skip_step_interval": Setting(_COUNT, "Steps that a leap is compared with."),
    "skip_step_scaling_factor": Setting(Number(0, 1000), "Standard deviations above which it is a leap."),
    "lr_schedule_type": Setting(Enumeration(("cosine", "wsd")), "Shape of the learning rate after the warm-up."),
    "learning_rate_final_fraction": Setting(_FRACTION, "The last learning rate as a share of the peak."),
    "wsd_decay_steps_fraction": Setting(_FRACTION, "Share of the steps in which a wsd schedule decays."),
    "wsd_decay_style": Setting(Enumeration(("linear", "cosine")), "How a wsd schedule decays."),
}

_LOSS = {
    "z_loss_multiplier": Setting(_FRACTION, "Weight of the z-loss."),
    "load_balance_loss_weight": Setting(_FRACTION, "Weight of the loss that balances the experts."),
    "enable_dropout": Setting(_BOOLEAN, "Whether dropout_rate counts."),
    "dropout_rate": Setting(_FRACTION, "Share of activations that are dropped."),
    "num_vocab_tiling": Setting(_COUNT, "Parts in which the loss over the vocabulary is computed, to save memory."),
}

_PRECISION = {
    "matmul_precision": Setting(
        Enumeration(("default", "high", "highest", "bfloat16", "float32")), "Precision of matrix products."
    ),
    "quantization": Setting(Enumeration(("int8",)), "Quantised matrix products in training."),
    "replicate_quant_scale": Setting(_BOOLEAN, "Replicate the scales of quantisation."),
    "activations_in_float32": Setting(_BOOLEAN, "The input of the nonlinearity in float32."),
    "logits_dot_in_fp32": Setting(_BOOLEAN, "The product that gives the logits in float32."),
    "cast_logits_to_fp32": Setting(_BOOLEAN, "The logits in float32."),
    "float32_gate_logits": Setting(_BOOLEAN, "The input of the experts' gate in float32."),
    "float32_weight_sum": Setting(_BOOLEAN, "The sum over experts in float32."),
}

_EXPERTS = {
    "sparse_matmul": Setting(_BOOLEAN, "Sparse kernels for the experts."),
    "megablox": Setting(_BOOLEAN, "Megablox kernels for the experts."),
    "use_tokamax_gmm": Setting(_BOOLEAN, "Tokamax's grouped matrix product."),
    "merge_gating_gmm": Setting(_BOOLEAN, "One kernel for both products of the gate."),
    "capacity_factor": Setting(Number(-1, 1000), "Capacity of an expert; below 0 no token is dropped."),
    "use_custom_sort_vjp": Setting(_BOOLEAN, "The custom gradient of sorting tokens by expert."),
    "use_ring_of_experts": Setting(_BOOLEAN, "A ring in place of all-to-all between experts."),
    "use_ragged_sort": Setting(_BOOLEAN, "The ragged kernel for sorting tokens by expert."),
    **{
        f"{matrix}_tile_{direction}_{dimension}": Setting(
            _COUNT, f"Tile of {dimension} in the {matrix} product, {direction}."
        )
        for matrix in ("wi", "wo")
        for direction in ("fwd", "dlhs", "drhs")
        for dimension in ("batch_seq", "embed_dim", "mlp_dim")
    },
}

_MESH = {
    "shard_mode": Setting(Enumeration(("auto", "explicit")), "Who decides on shardings, the compiler or the model."),
    "shardy": Setting(_BOOLEAN, "The Shardy partitioner."),
    "allow_split_physical_axes": Setting(_BOOLEAN, "Let a mesh axis take part of a physical one."),
    "optimize_mesh_for_tpu_v6e": Setting(_BOOLEAN, "Order the mesh for v6e."),
    "shard_optimizer_over_data": Setting(_BOOLEAN, "Shard the optimizer's state over the data axis (ZeRO-1)."),
    "sharding_tolerance": Setting(_FRACTION, "Share of the parameters that may be left unsharded."),
    "check_vma": Setting(_BOOLEAN, "Check replication in shard_map."),
    "context_parallel_load_balance": Setting(_BOOLEAN, "Balance the load over the context axis."),
    "context_parallel_reorder_strategy": Setting(
        Enumeration(("auto", "dual_chunk_swap")), "How that balance reorders the sequence."
    ),
    "moe_fsdp_use_two_stage_all_gather": Setting(_BOOLEAN, "Gather the experts' weights in two steps."),
    "shard_exp_on_fsdp": Setting(_BOOLEAN, "Shard the experts over the fsdp axis."),
}

_PROCESS = {
    "log_period": Setting(_COUNT, "Steps between two writes of TensorBoard's file."),
    "enable_tensorboard": Setting(_BOOLEAN, "Write TensorBoard's file."),
    "grain_worker_count": Setting(Integer(0, 64), "Processes that load data; 0 loads in the trainer's own."),
    "grain_per_worker_buffer_size": Setting(_COUNT, "Batches that such a process holds ready."),
    "async_checkpointing": Setting(_BOOLEAN, "Write checkpoints while training goes on."),
    "checkpoint_storage_concurrent_gb": Setting(_COUNT, "Gigabytes of a checkpoint that move at once."),
    "jax_distributed_initialization_timeout": Setting(_COUNT, "Seconds that processes wait for each other."),
}

ALLOWED: Mapping[str, Setting] = {
    **_REMATERIALISATION,
    **_ATTENTION,
    **_OPTIMIZER,
    **_LOSS,
    **_PRECISION,
    **_EXPERTS,
    **_MESH,
    **_PROCESS,
}
"""What ``maxText`` may set."""

_INTEGER = "-?[0-9]{1,12}"
_NUMBER = "-?[0-9]{1,12}([.][0-9]{1,20})?([eE][-+]?[0-9]{1,2})?"
INTEGER_PATTERN = f"^{_INTEGER}$"
NUMBER_PATTERN = f"^{_NUMBER}$"
BOOLEANS = ("true", "false")


class SettingRefused(ValueError):
    """Settings that may not be given, or not with this value; the text is for users."""


def typed_settings(settings: Mapping[str, str]) -> dict[str, Value]:
    """The values of ``maxText`` with their types. Raises SettingRefused, which names every setting that is wrong."""
    faults = [fault for name, text in settings.items() if (fault := setting_fault(name, text)) is not None]
    if faults:
        raise SettingRefused("; ".join(faults))
    return {name: _typed(ALLOWED[name].kind, text) for name, text in settings.items()}


def setting_fault(name: str, text: str) -> str | None:
    """What is wrong with a setting of ``maxText``, if something is."""
    if name in MANAGED:
        return managed_fault("maxText", name)
    if name not in ALLOWED:
        return f"maxText must not set {name}; it may set {', '.join(ALLOWED)}"
    kind = ALLOWED[name].kind
    return None if _fits(kind, text) else f"maxText.{name} must be {kind}, not {text}"


def unlisted_fault(name: str) -> str | None:
    """Why a setting may not be in ``maxTextUnlisted``, if so; whether MaxText has it is for its program to find."""
    if name in MANAGED:
        return managed_fault("maxTextUnlisted", name)
    if name in ALLOWED:
        return f"maxTextUnlisted must not set {name}: it belongs into maxText"
    if re.fullmatch(SETTING_NAME, name) is None:
        return f"maxTextUnlisted must not set {name}: it is no MaxText setting"
    if re.search(FORBIDDEN_NAME_PATTERN, name):
        return f"maxTextUnlisted must not set {name}: {FORBIDDEN_REASON}"
    return None


def _fits(kind: Kind, text: str) -> bool:
    match kind:
        case Integer():
            return re.fullmatch(_INTEGER, text) is not None and kind.low <= int(text) <= kind.high
        case Number():
            return re.fullmatch(_NUMBER, text) is not None and kind.low <= float(text) <= kind.high
        case Boolean():
            return text in BOOLEANS
        case Enumeration():
            return text in kind.values


def _typed(kind: Kind, text: str) -> Value:
    match kind:
        case Integer():
            return int(text)
        case Number():
            return float(text)
        case Boolean():
            return text == BOOLEANS[0]
        case Enumeration():
            return text


def names_by_kind() -> dict[Kind, tuple[str, ...]]:
    """The allowed settings that take the same values."""
    kinds = dict.fromkeys(setting.kind for setting in ALLOWED.values())
    return {kind: tuple(name for name, setting in ALLOWED.items() if setting.kind == kind) for kind in kinds}
