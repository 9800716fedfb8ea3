"""How a Hugging Face checkpoint is named and sized in MaxText.

MaxText keeps the shapes of the models it can convert in static tables, has no entry for llama2-7b, scales RoPE for
every ``llama3.1*`` name and lays attention out for one of two kinds of RoPE. A wrong combination converts without
complaint to a model that talks nonsense. So the settings come from the checkpoint's own config.json, and every later
command is given the same ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillation_api import reasons
from distillation_stages.maxtext.known_models import KNOWN, shape_of
from distillation_stages.maxtext.rope_scaling import MAXTEXTS_OWN, setting_of
from distillation_stages.models.model_config import HuggingFaceConfig
from distillation_stages.models.weights import ignored_by_transformers, tensors_of
from distillation_stages.runtime.failure import StageError

Setting = str | int | float | bool
Settings = dict[str, Setting]


@dataclass(frozen=True)
class Family:
    """Models of one architecture, whatever their sizes."""

    tables: str
    """The entry of MaxText's conversion tables whose parameter names, shapes and layout hold for all of them."""
    decoder: str
    """MaxText's name of the architecture."""
    supported: Mapping[str, Any]
    """Members of config.json that MaxText knows with this value only."""


FAMILIES = {
    "llama": Family("llama3.1-8b", "llama2", {"attention_bias": False, "mlp_bias": False, "hidden_act": "silu"}),
    "qwen2": Family("qwen2.5-7b", "qwen2", {"hidden_act": "silu", "use_sliding_window": False}),
    "qwen3": Family(
        "qwen3-0.6b", "qwen3", {"attention_bias": False, "hidden_act": "silu", "use_sliding_window": False}
    ),
}
"""By the model_type of config.json; a model of another one must be one that MaxText's tables name."""

_SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "rms_norm_eps",
    "tie_word_embeddings",
)


def maxtext_name(model: str) -> str:
    """The name in MaxText's tables: instruction-tuned variants share the entry of their base model."""
    return model.removesuffix("-Instruct")


def sizes_of(config: HuggingFaceConfig) -> dict[str, Any]:
    """What determines a model's shapes, with the defaults that transformers puts for what is absent."""
    sizes = {name: config.get(name) for name in _SIZES}
    if sizes["num_key_value_heads"] is None:
        sizes["num_key_value_heads"] = sizes["num_attention_heads"]
    if sizes["head_dim"] is None and sizes["hidden_size"] and sizes["num_attention_heads"]:
        sizes["head_dim"] = sizes["hidden_size"] // sizes["num_attention_heads"]
    sizes["tie_word_embeddings"] = bool(sizes["tie_word_embeddings"])
    sizes["rope_theta"] = rope_theta(config)
    return sizes


def rope_theta(config: HuggingFaceConfig) -> float:
    """The base of the rotary embedding; transformers 5 moved it into ``rope_parameters``."""
    parameters = config.get("rope_parameters") or {}
    return float(config.get("rope_theta") or parameters.get("rope_theta") or 10_000.0)


def rope_scaling(config: HuggingFaceConfig) -> Mapping[str, Any] | None:
    """The rotary embedding's scaling; None when there is none."""
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    return None if kind == "default" else scaling


def differences(config: HuggingFaceConfig, known: HuggingFaceConfig) -> list[str]:
    """In what the checkpoint differs from MaxText's table entry, as ``name: checkpoint's (MaxText: table's)``."""
    ours, theirs = sizes_of(config), sizes_of(known)
    found = [
        f"{name}: {value} (MaxText: {theirs[name]})"
        for name, value in ours.items()
        if value is not None and theirs[name] is not None and value != theirs[name]
    ]
    scalings = rope_scaling(config), rope_scaling(known)
    if _numbers_of(scalings[0]) != _numbers_of(scalings[1]):
        found.append(f"rope scaling: {scalings[0]} (MaxText: {scalings[1]})")
    return found


def _numbers_of(scaling: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What a scaling computes with; the base of the embedding is compared by itself."""
    if scaling is None:
        return None
    return {"kind": scaling.get("rope_type", scaling.get("type")), **{name: scaling.get(name) for name in MAXTEXTS_OWN}}


def fixed_differences(name: str, config: HuggingFaceConfig) -> list[str]:
    """In what a checkpoint differs from a model of which MaxText has one size only.

    By our own table: MaxText's lacks the RoPE of some, and holds defaults of transformers that config.json leaves out.
    """
    known = KNOWN.get(name)
    if known is None or config.get("model_type") != known.model_type:
        return [f"model_type: {config.get('model_type')} (MaxText: {known.model_type if known else 'unknown'})"]
    return shape_of(config).differences(known.shape)


_BIASED = ("qwen2",)
"""Their attention has biases, which config.json does not show, and MaxText's table of shapes leaves out untold."""


def sized_settings(model: str, config: HuggingFaceConfig) -> Settings:
    """The settings under which MaxText reads a checkpoint of a family right, whatever sizes its name stands for.

    Of a Llama ``rope_type`` and ``rope_use_scale`` matter as much as the sizes: the converter lays query and key out
    for the Llama 3.1 kind of RoPE, and any ``llama3.1*`` name would scale it, though most Llamas don't.
    """
    kind = config.get("model_type", "llama")
    _refuse_unsupported(FAMILIES[kind], config)
    sizes = sizes_of(config)
    missing = [name for name, value in sizes.items() if value is None]
    if missing:
        raise StageError(reasons.BAD_MODEL_CONFIG, f"config.json lacks {', '.join(missing)}")
    settings: Settings = {
        "model_name": model,
        "override_model_config": True,
        "scan_layers": True,
        "base_emb_dim": sizes["hidden_size"],
        "base_mlp_dim": sizes["intermediate_size"],
        "base_num_decoder_layers": sizes["num_hidden_layers"],
        "base_num_query_heads": sizes["num_attention_heads"],
        "base_num_kv_heads": sizes["num_key_value_heads"],
        "head_dim": sizes["head_dim"],
        "vocab_size": sizes["vocab_size"],
        "normalization_layer_epsilon": float(sizes["rms_norm_eps"]),
        "logits_via_embedding": sizes["tie_word_embeddings"],
        # MaxText would divide the logits of tied embeddings by sqrt(width), which none of them does.
        "normalize_embedding_logits": False,
        "rope_max_timescale": int(sizes["rope_theta"]),
    }
    if kind == "llama":
        scaling = rope_scaling(config)
        settings |= {"rope_type": "llama3.1", "rope_use_scale": scaling is not None}
        if scaling is not None:
            settings |= setting_of(scaling)
    return settings


def _refuse_unsupported(family: Family, config: HuggingFaceConfig) -> None:
    for name, supported in family.supported.items():
        if config.get(name, supported) != supported:
            raise StageError(
                reasons.UNSUPPORTED_ARCHITECTURE,
                f"config.json has {name}={config[name]!r}; MaxText's {family.decoder} supports {supported!r} only",
            )
    scaling = rope_scaling(config)
    if scaling is None:
        return
    if family is not FAMILIES["llama"]:
        raise StageError(
            reasons.UNSUPPORTED_ROPE_SCALING,
            f"config.json scales RoPE by {dict(scaling)}; MaxText's {family.decoder} can't",
        )


def fill_tables(model: str, config: HuggingFaceConfig, directory: Path) -> Settings:
    """Make MaxText's conversion tables (of this process) fit the checkpoint, and return its settings.

    A model that MaxText knows with the checkpoint's sizes needs nothing but its name; otherwise one of a family is
    entered with the sizes of its config.json.
    """
    import transformers
    from maxtext.checkpoint_conversion.utils import hf_model_configs, hf_shape, param_mapping
    from maxtext.utils import globals as maxtext_globals

    name = maxtext_name(model)
    known = hf_model_configs.HF_MODEL_CONFIGS.get(name)
    # Conversion back takes the tokenizer from here, else it would ask the Hub.
    maxtext_globals.HF_IDS[name] = str(directory)
    kind = config.get("model_type")
    family = FAMILIES.get(str(kind))
    if known is None:
        found = ["no entry"]
    elif family is not None:
        found = differences(config, known.to_dict())
    else:
        found = fixed_differences(name, config)
    tables = (param_mapping.PARAM_MAPPING, param_mapping.HOOK_FNS, hf_shape.HF_SHAPE)
    if not found and all(name in table for table in (param_mapping.PARAM_MAPPING, param_mapping.HOOK_FNS)):
        if family is not None:
            # Of some models MaxText has the way there only.
            hf_shape.HF_SHAPE.setdefault(name, hf_shape.HF_SHAPE[family.tables])
        if kind in _BIASED:
            known.attention_bias = True
        return {"model_name": name, "scan_layers": True}
    names = _names_of(family.decoder, Path(maxtext_globals.MAXTEXT_CONFIGS_DIR) / "models") if family else []
    if family is None or name not in names:
        raise StageError(
            reasons.MODEL_NOT_SUPPORTED,
            f"MaxText model {model!r} does not fit the checkpoint (model_type {kind!r}): "
            f"{'; '.join(found) or 'no conversion of it'}. Sizes of their own may only have checkpoints of model_type "
            f"{', '.join(FAMILIES)}"
            + (f", this one under one of {', '.join(names)}" if names else "")
            + f". All others must be one of {', '.join(hf_model_configs.HF_MODEL_CONFIGS)}",
        )
    settings = sized_settings(name, config)
    fields = {key: value for key, value in config.items() if key not in ("transformers_version", "_name_or_path")}
    if kind in _BIASED:
        fields["attention_bias"] = True
    hf_model_configs.HF_MODEL_CONFIGS[name] = transformers.AutoConfig.for_model(**fields)
    for table in tables:
        table[name] = table[family.tables]
    return settings


def require_export_support(model: str, directory: Path) -> None:
    """Raise StageError when MaxText would fail to convert the trained model back, which it tells when it does."""
    from maxtext.checkpoint_conversion.utils import hf_model_configs, hf_shape

    name = maxtext_name(model)
    if name in hf_shape.HF_SHAPE:
        known = hf_shape.HF_SHAPE[name](hf_model_configs.HF_MODEL_CONFIGS[name].to_dict())
    else:
        known = {}
    # Of a model that MaxText's tables lack nothing is known; what transformers ignores is no weight of it.
    others = tensors_of(directory).keys() - known.keys()
    unknown = sorted(others - ignored_by_transformers(directory, others))
    if unknown:
        raise StageError(
            reasons.MODEL_NOT_SUPPORTED,
            f"MaxText can't convert a trained {model!r} back to Hugging Face's format: it knows no shape of "
            f"{len(unknown)} tensors ({', '.join(unknown[:3])}). Choose a student of model_type {', '.join(FAMILIES)}",
        )


def _names_of(decoder: str, models: Path) -> list[str]:
    """The names under which MaxText builds that decoder."""
    import yaml

    return sorted(
        path.stem for path in models.glob("*.yml") if yaml.safe_load(path.read_text()).get("decoder_block") == decoder
    )
