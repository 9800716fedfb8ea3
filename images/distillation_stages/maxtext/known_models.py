"""The models that MaxText names, as config.json has them: so a name is found, or refused, without importing MaxText.

From its conversion tables, and of the families that are sized by config.json from its own model files; a test compares
them with the installed MaxText.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from distillation_stages.models.model_config import HuggingFaceConfig, language_config

Number = int | float


@dataclass(frozen=True)
class Shape:
    """What tells models of one architecture apart; None where config.json or MaxText says nothing."""

    hidden_size: int | None = None
    intermediate_size: int | None = None
    num_hidden_layers: int | None = None
    num_attention_heads: int | None = None
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    vocab_size: int | None = None
    tie_word_embeddings: bool | None = None
    rope_theta: float | None = None
    rope_scaling: str | None = None
    """Kind and factor, such as ``yarn 40``; ``none`` for no scaling."""
    experts: int | None = None
    rms_norm_eps: float | None = None

    def differences(self, other: "Shape") -> list[str]:
        """In what both say something, and not the same, as ``member: value (MaxText: known)``."""
        pairs = [(field.name, getattr(self, field.name), getattr(other, field.name)) for field in fields(self)]
        return [f"{name}: {value} (MaxText: {known})" for name, value, known in pairs if _differ(value, known)]


@dataclass(frozen=True)
class KnownModel:
    """One of MaxText's names."""

    model_type: str
    """Of config.json."""
    shape: Shape
    converts: bool = True
    """Whether MaxText can convert it from Hugging Face's format."""
    converts_back: bool = True
    """Whether it can convert the trained one back."""


def shape_of(config: HuggingFaceConfig) -> Shape:
    """What config.json says, and nothing that it leaves to transformers' defaults."""
    text = language_config(config)
    theta, scaling = _rope_of(text)
    said = {field.name: text.get(field.name) for field in fields(Shape)} | {
        "experts": next((text[name] for name in _EXPERTS if text.get(name) is not None), None),
        "tie_word_embeddings": text.get("tie_word_embeddings", config.get("tie_word_embeddings")),
        "rope_theta": theta,
        "rope_scaling": scaling,
    }
    known: dict[str, Any] = {name: value for name, value in said.items() if isinstance(value, int | float | str)}
    return Shape(**known)


_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


def _rope_of(text: Mapping[str, Any]) -> tuple[float | None, str | None]:
    """Base and scaling of the rotary embedding, of the full attention where that has its own."""
    parameters = _mapping(text.get("rope_parameters"))
    parameters = _mapping(parameters.get("full_attention")) or parameters
    scaling = _mapping(text.get("rope_scaling")) or parameters
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    theta = text.get("rope_theta") or parameters.get("rope_theta")
    factor = scaling.get("factor")
    if kind == "default":
        return theta, "none"
    return theta, f"{kind} {factor:g}" if isinstance(factor, int | float) else str(kind)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _differ(value: object, known: object) -> bool:
    return value is not None and known is not None and value != known


def _dense(
    kind: str, width: int, mlp: int, layers: int, heads: int, kv: int, vocabulary: int, tied: bool, theta: Number,
    scaling: str = "none",
) -> KnownModel:  # fmt: skip
    """A model of a family that is sized by config.json."""
    return KnownModel(kind, Shape(width, mlp, layers, heads, kv, None, vocabulary, tied, theta, scaling))


def _gemma(
    kind: str, width: int, mlp: int, layers: int, heads: int, kv: int, head: int, vocabulary: int | None,
    theta: Number, scaling: str, experts: int | None = None,
) -> KnownModel:  # fmt: skip
    return KnownModel(kind, Shape(width, mlp, layers, heads, kv, head, vocabulary, True, theta, scaling, experts, 1e-6))


def _mixture(
    kind: str, width: int, mlp: int | None, layers: int, heads: int, kv: int, head: int | None, vocabulary: int,
    theta: Number, scaling: str, experts: int, epsilon: float = 1e-6, converts: bool = True,
) -> KnownModel:  # fmt: skip
    """A mixture of experts."""
    shape = Shape(width, mlp, layers, heads, kv, head, vocabulary, False, theta, scaling, experts, epsilon)
    return KnownModel(kind, shape, converts)


def _olmo(width: int, mlp: int, layers: int, heads: int, kv: int, scaling: str) -> KnownModel:
    shape = Shape(width, mlp, layers, heads, kv, 128, 100278, False, 500_000, scaling, None, 1e-6)
    return KnownModel("olmo3", shape, converts_back=False)


_GEMMA3, _GEMMA4 = (1_000_000, "linear 8"), (1_000_000, "proportional")

KNOWN: Mapping[str, KnownModel] = {
    "deepseek2-16b": _mixture("deepseek_v2", 2048, 10944, 27, 16, 16, None, 102400, 10_000, "yarn 40", 64),
    "deepseek3-671b": _mixture("deepseek_v3", 7168, 18432, 61, 128, 128, None, 129280, 10_000, "yarn 40", 256),
    "deepseek3.2-671b": _mixture("deepseek_v32", 7168, 18432, 61, 128, 128, None, 129280, 10_000, "yarn 40", 256),
    "gemma2-2b": _gemma("gemma2", 2304, 9216, 26, 8, 4, 256, 256000, 10_000, "none"),
    "gemma2-9b": _gemma("gemma2", 3584, 14336, 42, 16, 8, 256, 256000, 10_000, "none"),
    "gemma2-27b": _gemma("gemma2", 4608, 36864, 46, 32, 16, 128, 256000, 10_000, "none"),
    # Their config.json may count the vocabulary with the rows of images, which MaxText pads or cuts.
    "gemma3-4b": _gemma("gemma3", 2560, 10240, 34, 8, 4, 256, None, *_GEMMA3),
    "gemma3-12b": _gemma("gemma3", 3840, 15360, 48, 16, 8, 256, None, *_GEMMA3),
    "gemma3-27b": _gemma("gemma3", 5376, 21504, 62, 32, 16, 128, None, *_GEMMA3),
    "gemma4-e2b": _gemma("gemma4", 1536, 6144, 35, 8, 1, 256, 262144, *_GEMMA4),
    "gemma4-e4b": _gemma("gemma4", 2560, 10240, 42, 8, 2, 256, 262144, *_GEMMA4),
    "gemma4-26b": _gemma("gemma4", 2816, 2112, 30, 16, 8, 256, 262144, *_GEMMA4, 128),
    "gemma4-31b": _gemma("gemma4", 5376, 21504, 60, 32, 16, 256, 262144, *_GEMMA4),
    "gpt-oss-20b": _mixture("gpt_oss", 2880, 2880, 24, 64, 8, 64, 201088, 150_000, "yarn 32", 32, 1e-5),
    "gpt-oss-120b": _mixture("gpt_oss", 2880, 2880, 36, 64, 8, 64, 201088, 150_000, "yarn 32", 128, 1e-5),
    "llama2-7b": _dense("llama", 4096, 11008, 32, 32, 32, 32000, False, 10_000),
    "llama2-13b": _dense("llama", 5120, 13824, 40, 40, 40, 32000, False, 10_000),
    "llama2-70b": _dense("llama", 8192, 28672, 80, 64, 8, 32000, False, 10_000),
    "llama3-8b": _dense("llama", 4096, 14336, 32, 32, 8, 128256, False, 500_000),
    "llama3-70b": _dense("llama", 8192, 28672, 80, 64, 8, 128256, False, 500_000),
    "llama3.1-8b": _dense("llama", 4096, 14336, 32, 32, 8, 128256, False, 500_000, "llama3 8"),
    "llama3.1-8b-Instruct": _dense("llama", 4096, 14336, 32, 32, 8, 128256, False, 500_000, "llama3 8"),
    "llama3.1-70b": _dense("llama", 8192, 28672, 80, 64, 8, 128256, False, 500_000, "llama3 8"),
    "llama3.1-405b": _dense("llama", 16384, 53248, 126, 128, 8, 128256, False, 500_000, "llama3 8"),
    "llama3.3-70b": _dense("llama", 8192, 28672, 80, 64, 8, 128256, False, 500_000, "llama3 8"),
    "mixtral-8x7b": _mixture("mixtral", 4096, 14336, 32, 32, 8, None, 32000, 1_000_000, "none", 8, 1e-5),
    "mixtral-8x22b": _mixture("mixtral", 6144, 16384, 56, 48, 8, None, 32768, 1_000_000, "none", 8, 1e-5),
    "olmo3-7b": _olmo(4096, 11008, 32, 32, 32, "yarn 8"),
    "olmo3-7b-pt": _olmo(4096, 11008, 32, 32, 32, "none"),
    "olmo3-32b": _olmo(5120, 27648, 64, 40, 8, "yarn 8"),
    "qwen2.5-1.5b": _dense("qwen2", 1536, 8960, 28, 12, 2, 151936, True, 1_000_000),
    "qwen2.5-7b": _dense("qwen2", 3584, 18944, 28, 28, 4, 152064, False, 1_000_000),
    "qwen2.5-14b": _dense("qwen2", 5120, 13824, 48, 40, 8, 152064, False, 1_000_000),
    "qwen3-0.6b": _dense("qwen3", 1024, 3072, 28, 16, 8, 151936, True, 1_000_000),
    "qwen3-1.7b": _dense("qwen3", 2048, 6144, 28, 16, 8, 151936, True, 1_000_000),
    "qwen3-1.7b-base": _dense("qwen3", 2048, 6144, 28, 16, 8, 151936, True, 1_000_000),
    "qwen3-4b": _dense("qwen3", 2560, 9728, 36, 32, 8, 151936, True, 1_000_000),
    "qwen3-4b-base": _dense("qwen3", 2560, 9728, 36, 32, 8, 151936, True, 1_000_000),
    "qwen3-4b-thinking-2507": _dense("qwen3", 2560, 9728, 36, 32, 8, 151936, True, 5_000_000),
    "qwen3-8b": _dense("qwen3", 4096, 12288, 36, 32, 8, 151936, False, 1_000_000),
    "qwen3-8b-base": _dense("qwen3", 4096, 12288, 36, 32, 8, 151936, False, 1_000_000),
    "qwen3-14b": _dense("qwen3", 5120, 17408, 40, 40, 8, 151936, False, 1_000_000),
    "qwen3-14b-base": _dense("qwen3", 5120, 17408, 40, 40, 8, 151936, False, 1_000_000),
    "qwen3-32b": _dense("qwen3", 5120, 25600, 64, 64, 8, 151936, False, 1_000_000),
    "qwen3-30b-a3b": _mixture("qwen3_moe", 2048, 6144, 48, 32, 4, 128, 151936, 10_000_000, "none", 128),
    "qwen3-30b-a3b-base": _mixture("qwen3_moe", 2048, 6144, 48, 32, 4, 128, 151936, 10_000_000, "none", 128),
    "qwen3-235b-a22b": _mixture("qwen3_moe", 4096, 12288, 94, 64, 4, 128, 151936, 5_000_000, "none", 128),
    "qwen3-480b-a35b": _mixture(
        "qwen3_moe", 6144, 8192, 62, 96, 8, 128, 151936, 10_000_000, "none", 160, converts=False
    ),
    "qwen3-next-80b-a3b": _mixture("qwen3_next", 2048, 5120, 48, 16, 2, 256, 151936, 10_000_000, "none", 512),
    # It nests the language model deeper, and is the only one of its type.
    "qwen3-omni-30b-a3b": KnownModel("qwen3_omni_moe", Shape(), converts_back=False),
    "qwen3.5-35b-a3b": _mixture("qwen3_5_moe", 2048, None, 40, 16, 2, 256, 248320, 10_000_000, "none", 256),
    "qwen3.5-397b-a17b": _mixture("qwen3_5_moe", 4096, None, 60, 32, 2, 256, 248320, 10_000_000, "none", 512),
}  # fmt: skip
"""By MaxText's name; of several with one shape the first is the one that is found."""
