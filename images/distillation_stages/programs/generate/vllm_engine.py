"""vLLM as a stream: requests in, answers out as they end, the engine kept full in between."""

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillation_api import reasons
from distillation_api.accelerators import PLATFORMS
from distillation_api.contract import GenerateProgram, Sampling
from distillation_stages.models.model_config import architectures, read_config
from distillation_stages.programs.generate.engine_log import EngineLog
from distillation_stages.programs.generate.model_class import register_imported
from distillation_stages.programs.generate.tpu_environment import prepare_tpu, tpu_arguments
from distillation_stages.runtime.compile_cache import compile_cache
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.failure_words import known_failure
from distillation_stages.runtime.reporting import say
from distillation_stages.runtime.start_up import StartUpClock
from distillation_stages.runtime.storage import Storage

_OUT_OF_MEMORY = (
    "RESOURCE_EXHAUSTED",
    "out of memory",
    "OutOfMemoryError",
    "available memory for the cache",
    "Based on the available",
)

XLA_CACHE_ENV = "VLLM_XLA_CACHE_PATH"
"""Where vLLM keeps compiled programs on TPUs."""


REFUSED = "refused"
"""Finish reason of a request that the engine didn't take."""


CPU_BATCHED_TOKENS = 4096
"""Tokens of one step on CPU; a step takes whole prompts."""


CPU_SEQUENCES = 32
"""Answers made at once on CPU: more bring little more speed, but let all chunks of a shard end together, at its end."""


@dataclass(frozen=True)
class Request:
    """One prompt for the engine."""

    key: int
    """Answers carry it: they come in any order."""
    token_ids: list[int]
    seed: int
    special_tokens: bool = False
    """Whether the answer has the text of these too, whatever the engine's others have."""


@dataclass(frozen=True)
class EngineAnswer:
    """What the engine said."""

    key: int
    text: str
    finish_reason: str
    tokens: list[int]


def prepare_engine(model: Path, storage: Storage, scratch: Path, clock: StartUpClock) -> EngineLog:
    """Settle what vLLM reads when it is imported, and import it, so that this is known as the time of imports.

    Returns what its start will say of itself. Raises StageError for a teacher that can't be served on a TPU.
    """
    prepare_tpu(model)
    if os.environ.get("JAX_PLATFORMS") != PLATFORMS["cpu"].jax:
        # On CPU it compiles nothing: it runs eagerly.
        os.environ.setdefault(XLA_CACHE_ENV, str(compile_cache(storage, scratch / "xla", "vllm", "tpu")))
    log = EngineLog(scratch)
    with clock.taking("imports"):
        if importlib.util.find_spec("vllm") is not None:
            # Its members, and what they stand on, are imported when they are first asked for.
            _ = importlib.import_module("vllm").LLM
    return log


class Engine:
    """A vLLM engine in this process, with the model loaded."""

    def __init__(self, model: Path, program: GenerateProgram, engine_seed: int, special_tokens: bool = False) -> None:
        """Loads the model. Raises StageError when vLLM refuses it with these settings, or for memory.

        ``special_tokens``: whether answers have the text of special tokens too.
        """
        import vllm
        from vllm.platforms import current_platform

        self.versions = {"vllm": str(vllm.__version__)}
        self._sampling = program.sampling
        self._special_tokens = special_tokens
        # JAX has no seed per request: there the engine's own has to do.
        self._seeds_per_request = not current_platform.is_tpu()
        arguments = engine_arguments(model, program, engine_seed, current_platform.is_cpu()) | tpu_arguments(model)
        if current_platform.is_cpu():
            # With an engine process of its own, loading takes a minute instead of seconds.
            os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
            register_imported(architectures(read_config(model)))
        try:
            self._engine: Any = vllm.LLM(**arguments).llm_engine
        except Exception as error:
            known = engine_failure(error)
            if known is None and isinstance(error, ValueError):
                known = StageError(reasons.ENGINE_REFUSED_MODEL, f"vLLM refuses {model}: {error}")
            raise known or error from error
        self._window = 2 * self._engine.vllm_config.scheduler_config.max_num_seqs

    def answers[T](
        self, requests: Iterable[Request | T], beat: Callable[[], None] = lambda: None
    ) -> Iterator[EngineAnswer | T]:
        """The requests' answers in the order in which they end. Takes requests only as fast as it works on them.

        What is no request is passed through when its turn comes.

        ``beat`` is called after every step of the engine. Raises a StageError when the engine dies.
        """
        waiting = iter(requests)
        open_requests, more = 0, True
        while more or open_requests:
            while more and open_requests < self._window:
                request = next(waiting, None)
                if request is None:
                    more = False
                elif not isinstance(request, Request):
                    yield request
                elif self._take(request):
                    open_requests += 1
                else:
                    yield EngineAnswer(request.key, "", REFUSED, [])
            outputs = self._step() if open_requests else []
            beat()
            for output in outputs:
                if output.finished:
                    open_requests -= 1
                    yield _answer(output)

    def _step(self) -> list[Any]:
        try:
            return list(self._engine.step())
        except Exception as error:
            raise engine_failure(error) or error from error

    def _take(self, request: Request) -> bool:
        from vllm.inputs.engine import tokens_input

        seed = request.seed if self._seeds_per_request else None
        parameters = sampling_parameters(self._sampling, seed, self._special_tokens or request.special_tokens)
        try:
            self._engine.add_request(str(request.key), tokens_input(request.token_ids), parameters)
        except ValueError as error:
            # One bad prompt must not cost the others.
            say(f"vLLM refuses request {request.key}: {error}")
            return False
        return True


def sampling_parameters(sampling: Sampling, seed: int | None, special_tokens: bool) -> Any:
    """vLLM's parameters of one request. ``special_tokens``: whether the answer has the text of these too."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        stop=sampling.stop or None,
        max_tokens=sampling.max_tokens,
        seed=seed,
        skip_special_tokens=not special_tokens,
        # Marks of several tokens are to be found as they are written.
        spaces_between_special_tokens=not special_tokens,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def engine_arguments(model: Path, program: GenerateProgram, engine_seed: int, on_cpu: bool) -> dict[str, Any]:
    """What vLLM's engine is made with."""
    arguments: dict[str, Any] = {
        "model": str(model),
        "dtype": compute_dtype(program.dtype, on_cpu=on_cpu),
        "max_model_len": program.max_model_len,
        "tensor_parallel_size": program.tensor_parallelism,
        "seed": engine_seed,
        "disable_log_stats": True,
    }
    if on_cpu:
        arguments |= {
            # Compiling takes longer than it saves.
            "enforce_eager": True,
            # The share of the node's memory that vLLM wants to see free: other pods run next to this one.
            "gpu_memory_utilization": 0.3,
            # A prompt cut in two with a seed of its own crashes: 'CPU Generator does not use offset' (0.32).
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(program.max_model_len, CPU_BATCHED_TOKENS),
            "max_num_seqs": CPU_SEQUENCES,
        }
    return arguments


def engine_failure(error: BaseException) -> StageError | None:
    """What an error of vLLM or of the accelerator's runtime means; None for one of unknown meaning."""
    text = f"{type(error).__name__}: {error}"
    if "Available memory on node" in text:
        return StageError(reasons.NOT_ENOUGH_MEMORY, f"vLLM finds too little memory now: {error}")
    if any(sign in text for sign in _OUT_OF_MEMORY):
        return StageError(
            reasons.OUT_OF_MEMORY,
            f"the accelerator's memory is too small for the teacher: {text[:300]}. Take a larger topology (its chips "
            "share the model) or lower generation.maxModelLen",
        )
    return known_failure(text, f"vLLM ended with {text[:300]}")


def _answer(output: Any) -> EngineAnswer:
    completion = output.outputs[0]
    tokens = [int(token) for token in completion.token_ids]
    return EngineAnswer(int(output.request_id), str(completion.text), str(completion.finish_reason), tokens)


def compute_dtype(asked: str, on_cpu: bool) -> str:
    """The type to compute in: without bfloat16 instructions a CPU is five times faster in float32, and more exact."""
    if not on_cpu:
        return asked
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    if asked == "float32" or capability not in ("DEFAULT", "AVX2"):
        return asked
    say(f"computing in float32 instead of {asked}: this CPU ({capability}) emulates {asked}")
    return "float32"
