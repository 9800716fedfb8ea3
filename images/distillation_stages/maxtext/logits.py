"""Do two implementations of one model agree? The same tokens through both, and the distance of what they predict."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillation_api import reasons
from distillation_api.reasons.reason import ProgramReason
from distillation_stages.maxtext.command import arguments, config_file
from distillation_stages.maxtext.committed_saves import commit_by_file
from distillation_stages.maxtext.families import Settings
from distillation_stages.maxtext.rope_scaling import scaled_as
from distillation_stages.models.attention_scale import mend_attention_scale
from distillation_stages.runtime.failure import StageError

MAX_TOKENS = 64
"""Per text: a wrong RoPE, norm or layout shows within a few tokens, and a CPU must run them all."""

UNDECIDED = 0.05
"""Nats between two tokens that rounding may order either way. A student that has only begun to learn has many such
pairs: a right export was refused for 12 of 277 tokens at a KL of 0.0002."""

TEXTS = (
    "The quick brown fox jumps over the lazy dog, and then it goes home to sleep until the next morning.",
    "Water boils at 100 degrees Celsius at sea level. On a mountain of 3,000 metres it boils at about 90 degrees.",
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return fibonacci(n - 1) + fibonacci(n - 2)\n",
    "La tour Eiffel, construite en 1889, mesure 330 mètres. Берлин — столица Германии. 東京は日本の首都です。",
    '{"name": "example", "values": [1, 2, 3.5, -4], "nested": {"ok": true, "none": null}}',
)
CONVERSATIONS = (
    [{"role": "user", "content": "Explain in two sentences why the sky is blue."}],
    [
        {"role": "user", "content": "What is the capital of France?"},
        {"role": "assistant", "content": "The capital of France is Paris."},
    ],
)


@dataclass(frozen=True)
class Comparison:
    """How far two models' next-token distributions lie apart, over all positions of all texts."""

    kl: float
    """Mean KL(reference || other) in nats per token."""
    top1_agreement: float
    """Share of positions at which both prefer the same token, or the reference is all but undecided between the two."""
    tokens: int

    def metrics(self) -> dict[str, float]:
        """As a stage result's metrics."""
        return {"kl": self.kl, "top1Agreement": self.top1_agreement, "comparedTokens": float(self.tokens)}

    def require(self, reason: ProgramReason, what: str, max_kl: float, min_top1_agreement: float) -> None:
        """Raise StageError when the distance is beyond a threshold. NaN is beyond any."""
        if self.kl <= max_kl and self.top1_agreement >= min_top1_agreement:
            return
        raise StageError(
            reason,
            f"{what} on the same {self.tokens} tokens: KL {self.kl:.4g} (at most {max_kl}), top-1 agreement "
            f"{self.top1_agreement:.4f} (at least {min_top1_agreement}). The weights would be wrong, so nothing was "
            "published. Check that the MaxText model name fits the checkpoint",
        )


def compare(reference: Any, other: Any, lengths: list[int]) -> Comparison:
    """Compare logits of shape [texts, positions, vocabulary]; of each text the first ``lengths[i]`` positions count.

    Of vocabularies of two sizes what both have counts: MaxText pads Gemma 2's and cuts Gemma 3's, whose last rows no
    tokenizer uses.
    """
    import numpy as np

    divergence, agreeing, tokens = 0.0, 0, 0
    for expected, got, length in zip(reference, other, lengths, strict=True):
        rows = min(expected.shape[-1], got.shape[-1])
        left, right = _log_softmax(expected[:length, :rows]), _log_softmax(got[:length, :rows])
        divergence += float((np.exp(left) * (left - right)).sum())
        preferred = np.take_along_axis(left, right.argmax(-1)[:, None], -1)[:, 0]
        agreeing += int((preferred >= left.max(-1) - UNDECIDED).sum())
        tokens += length
    return Comparison(kl=divergence / tokens, top1_agreement=agreeing / tokens, tokens=tokens)


def _log_softmax(logits: Any) -> Any:
    import numpy as np

    # Models may differ by a constant; float64 keeps the sum over 100,000 terms exact.
    values = np.asarray(logits, dtype=np.float64)
    values = values - values.max(-1, keepdims=True)
    return values - np.log(np.exp(values).sum(-1, keepdims=True))


@dataclass(frozen=True)
class Samples:
    """The token sequences, padded to one length."""

    tokens: Any
    lengths: list[int]


def samples(model: Path) -> Samples:
    """The fixed texts, and conversations where there is a chat template, as the model's tokenizer reads them."""
    import numpy as np
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    sequences = [tokenizer(text)["input_ids"] for text in TEXTS]
    if tokenizer.chat_template:
        for conversation in CONVERSATIONS:
            asks = conversation[-1]["role"] == "user"
            text = tokenizer.apply_chat_template(conversation, add_generation_prompt=asks, tokenize=False)
            sequences.append(tokenizer(text, add_special_tokens=False)["input_ids"])
    sequences = [sequence[:MAX_TOKENS] for sequence in sequences if sequence]
    tokens = np.zeros((len(sequences), MAX_TOKENS), np.int32)
    for row, sequence in zip(tokens, sequences, strict=True):
        row[: len(sequence)] = sequence
    return Samples(tokens, [len(sequence) for sequence in sequences])


def transformers_logits(model: Path, sample: Samples) -> Any:
    """The model's logits by transformers in float32. Refuses a model whose weights don't fit its configuration."""
    import torch
    import transformers

    loaded, info = transformers.AutoModelForCausalLM.from_pretrained(
        model, dtype=torch.float32, output_loading_info=True, trust_remote_code=False, use_safetensors=True
    )
    wrong = {kind: sorted(info[kind]) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") if info[kind]}
    if wrong:
        raise StageError(reasons.WEIGHTS_DO_NOT_FIT, f"{model}: weights don't fit config.json: {_shortened(wrong)}")
    mend_attention_scale(loaded)
    loaded.eval()
    logits = []
    with torch.no_grad():
        for row, length in zip(sample.tokens, sample.lengths, strict=True):
            logits.append(loaded(input_ids=torch.tensor(row[:length])[None].long()).logits[0].float().numpy())
    return logits


def _shortened(wrong: dict[str, list[Any]]) -> str:
    return "; ".join(f"{kind}: {names[:5]}{' ...' if len(names) > 5 else ''}" for kind, names in wrong.items())


def maxtext_logits(
    checkpoint: Path,
    settings: Settings,
    sample: Samples,
    jax_cache: Path,
    devices: int = 1,
    weight_dtype: str = "float32",
) -> Any:
    """The checkpoint's logits by MaxText in float32, from weights rounded to ``weight_dtype``."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from flax import nnx
    from flax.linen import partitioning
    from maxtext.configs import pyconfig
    from maxtext.utils import model_creation_utils

    evaluation: Settings = {
        **settings,
        "run_name": "verify",
        "base_output_directory": "",
        "load_parameters_path": str(checkpoint),
        "hardware": "cpu",
        "skip_jax_distributed_system": True,
        "attention": "dot_product",
        "dtype": "float32",
        "weight_dtype": weight_dtype,
        "matmul_precision": "highest",
        # Its kernel of a mixture's experts runs on TPUs only, and this on CPU always.
        "megablox": False,
        "max_target_length": MAX_TOKENS,
        "per_device_batch_size": 1,
        "enable_checkpointing": True,
        "jax_cache_dir": str(jax_cache),
    }
    with maxtext_in_process(), scaled_as(settings, checkpoint):
        config = pyconfig.initialize(["verify", str(config_file("base.yml")), *arguments(evaluation)])
        model, mesh = model_creation_utils.from_pretrained(config)
        graph, state = nnx.split(model)

        def forward(state: Any, tokens: Any, positions: Any, segments: Any) -> Any:
            return nnx.merge(graph, state)(
                decoder_input_tokens=tokens,
                decoder_positions=positions,
                decoder_segment_ids=segments,
                enable_dropout=False,
            )

        rows = len(sample.lengths)
        # The batch is spread over all devices, so it must be a multiple of their number.
        padding = -rows % devices
        tokens = np.pad(sample.tokens, ((0, padding), (0, 0)))
        lengths = np.array([*sample.lengths, *[1] * padding])
        positions = np.broadcast_to(np.arange(MAX_TOKENS), tokens.shape)
        segments = (positions < lengths[:, None]).astype(np.int32)
        with jax.set_mesh(mesh), partitioning.axis_rules(config.logical_axis_rules):
            logits = jax.jit(forward)(state, jnp.asarray(tokens), jnp.asarray(positions), jnp.asarray(segments))
        if isinstance(logits, tuple):
            logits = logits[0]
        return np.asarray(logits.astype(jnp.float32))[:rows]


@contextmanager
def maxtext_in_process() -> Iterator[None]:
    """Run MaxText's own functions here: its output goes to standard error, its exits become failures.

    Standard output carries the stage's progress lines, and MaxText answers a bad configuration by ending the process.
    What it saves is whole or absent.
    """
    import sys
    from contextlib import redirect_stdout

    from distillation_api.contract import EXIT_TERMINATED

    commit_by_file()
    try:
        with redirect_stdout(sys.stderr):
            yield
    except SystemExit as error:
        if error.code == EXIT_TERMINATED:
            raise
        raise StageError(
            reasons.MAX_TEXT_REFUSED, f"MaxText refused its configuration (exit {error.code}); its log above says why"
        ) from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise StageError(
            reasons.MAX_TEXT_REFUSED, f"MaxText refused: {type(error).__name__}: {str(error)[:800]}"
        ) from error
    except OSError as error:
        raise StageError(reasons.STORAGE_FAILED, f"{type(error).__name__}: {error}") from error
