"""The table of architectures on a TPU is what the pinned wheels say: they are downloaded by their hashes and read."""

import pytest

from distillation_stages.models import tpu_architectures as table
from distillation_stages.models.served_architectures import SERVED
from distillation_stages.models.tpu_engine import LATENT_ARGUMENTS, LATENT_ENVIRONMENT
from e2e.tpu_wheels import Wheels

pytestmark = pytest.mark.timeout(600)

NAMES_IN_CONFIG = {
    "num_local_experts": "n_routed_experts",
    "num_experts_per_token": "num_experts_per_tok",
    "num_shared_experts": "n_shared_experts",
    "ffw_intermediate_size": "intermediate_size",
    "interleave_moe_layer_step": "moe_layer_freq",
}
OF_QWEN = {"MiniCPMV4_6ForConditionalGeneration"}
"""Keeps a state by a language model whose layers tpu-inference has."""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    return Wheels(tmp_path_factory.mktemp("wheels"))


def refused(words: str) -> set[str]:
    return {name for name, row in table.ARCHITECTURES.items() if words in row.refused}


def test_the_table_was_read_in_the_pinned_wheels(wheels: Wheels) -> None:
    assert wheels.sha256 == {package: sha256 for package, (_, sha256) in table.PINNED.items()}


def test_implementations_are_the_packages_own_choice(wheels: Wheels) -> None:
    in_jax = {name for name, row in table.ARCHITECTURES.items() if row.implementation == "flax_nnx"}
    assert in_jax == wheels.in_jax() - wheels.in_pytorch_by_choice()
    assert wheels.in_pytorch_by_choice() <= table.ARCHITECTURES.keys()
    assert wheels.falls_back()
    assert wheels.one_architecture()


def test_what_serves_on_cpu_has_an_implementation_on_a_tpu_too(wheels: Wheels) -> None:
    assert wheels.registry().keys() >= SERVED


def test_what_latent_attention_needs_is_what_the_platform_asks_for(wheels: Wheels) -> None:
    assert wheels.latent_attention() == table.LATENT_ATTENTION
    [variable] = LATENT_ENVIRONMENT
    [(argument, nested)] = LATENT_ARGUMENTS.items()
    [(sharding, strategy)] = nested.items()
    [(inner, members)] = strategy.items()
    [(member, _)] = members.items()
    assert wheels.latent_needs() == (
        f"not envs.{variable} or not vllm_config.{argument}.get('{sharding}', {{}}).get('{inner}', {{}})"
        f".get('{member}', False)"
    )


def test_methods_of_quantised_weights_are_those_that_it_takes(wheels: Wheels) -> None:
    assert wheels.quantised() == table.QUANTISED
    assert wheels.quantised_in_jax() == table.QUANTISED_IN_JAX


def test_deepseek_v3_has_one_size_in_jax(wheels: Wheels) -> None:
    numbers = wheels.deepseek_v3_in_jax()
    # Written under two names, by version of transformers.
    numbers.pop("rope_theta")
    assert {NAMES_IN_CONFIG.get(name, name): value for name, value in numbers.items()} == table.DEEPSEEK_V3_IN_JAX


def test_states_without_a_kernel_are_refused(wheels: Wheels) -> None:
    layers = wheels.layers_with_state()
    assert refused("have no kernel for TPUs") == layers.keys() | wheels.wrappers_of_states() - OF_QWEN
    assert all(layer in table.ARCHITECTURES[name].refused for name, found in layers.items() for layer in found)


def test_what_is_written_for_other_hardware_is_refused(wheels: Wheels) -> None:
    assert refused("GPUs of NVIDIA and AMD") == wheels.of_other_hardware()
    assert refused("vLLM's indexer") == wheels.needs_indexer()


def test_a_seed_of_a_request_and_an_unset_name_are_what_we_keep_away_from(wheels: Wheels) -> None:
    assert wheels.refuses_seeds()
    assert wheels.asks_metadata()
