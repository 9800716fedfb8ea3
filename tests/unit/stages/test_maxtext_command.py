"""How the training command is rendered."""

from pathlib import Path

import pytest

from distillation_api.contract import TrainProgram
from distillation_api.maxtext.managed import MANAGED
from distillation_api.maxtext.settings import ALLOWED
from distillation_stages.maxtext.command import (
    TrainingPaths,
    devices_of,
    training_arguments,
)
from distillation_stages.runtime.failure import StageError
from unit.stages.training_inputs import train_program

PATHS = TrainingPaths(
    checkpoint=Path("/storage/convert/work/0/items"),
    tokenizer=Path("/tmp/t/tokenizer"),
    output=Path("/storage/train"),
    jax_cache=Path("/storage/cache/jax"),
)


def rendered(program: TrainProgram) -> dict[str, str]:
    arguments = training_arguments(program, 20, {"model_name": "llama2-7b", "rope_type": "llama3.1"}, PATHS)
    return dict(argument.split("=", 1) for argument in arguments)


def test_the_checkpoints_own_settings_come_first() -> None:
    """M12: how the checkpoint is laid out was decided by its conversion."""
    arguments = rendered(train_program())
    assert arguments["model_name"] == "llama2-7b"
    assert arguments["rope_type"] == "llama3.1"
    assert arguments["load_parameters_path"] == "/storage/convert/work/0/items"
    assert arguments["dataset_type"] == "hf"


def test_the_run_name_is_fixed_so_that_a_restart_resumes() -> None:
    assert rendered(train_program())["run_name"] == rendered(train_program(steps=99))["run_name"] == "run"


def test_one_cpu_process_needs_no_coordinator() -> None:
    arguments = rendered(train_program(hosts=1))
    assert (arguments["hardware"], arguments["skip_jax_distributed_system"]) == ("cpu", "True")
    assert arguments["attention"] == "dot_product"


def test_several_cpu_processes_find_each_other() -> None:
    arguments = rendered(train_program(hosts=2, parallelism={"fsdp": 2}))
    assert (arguments["hardware"], arguments["skip_jax_distributed_system"]) == ("cpu", "False")
    assert arguments["ici_fsdp_parallelism"] == "2"


def test_experts_are_computed_by_a_kernel_that_the_hardware_has() -> None:
    """MaxText's default is one for TPUs, which ends a mixture of experts on CPU."""
    assert rendered(train_program())["megablox"] == "False"
    assert "megablox" not in rendered(train_program(hardware="tpu"))


def test_on_tpu_slices_are_data_parallel_over_the_network() -> None:
    arguments = rendered(train_program(hardware="tpu", slices=4, parallelism={"fsdp": 8, "tensor": 2}))
    assert arguments["hardware"] == "tpu"
    assert arguments["dcn_data_parallelism"] == "4"
    assert (arguments["ici_fsdp_parallelism"], arguments["ici_tensor_parallelism"]) == ("8", "2")
    assert "attention" not in arguments
    assert "skip_jax_distributed_system" not in arguments


def test_a_single_slice_sets_nothing_between_slices() -> None:
    assert "dcn_data_parallelism" not in rendered(train_program(hardware="tpu"))


def test_tuning_settings_of_the_user_win_over_our_defaults_and_the_models_file() -> None:
    arguments = rendered(train_program(max_text={"remat_policy": "full", "adam_eps": "1e-9", "log_period": "10"}))
    assert (arguments["remat_policy"], arguments["log_period"]) == ("full", "10")
    assert float(arguments["adam_eps"]) == 1e-9
    assert arguments["override_model_config"] == "True"
    assert "override_model_config" not in rendered(train_program())


@pytest.mark.parametrize("field", ["max_text", "max_text_unlisted"])
@pytest.mark.parametrize("name", ["steps", "run_name", "base_config", "ici_fsdp_parallelism", "base_emb_dim"])
def test_what_the_stage_lives_by_is_refused(field: str, name: str) -> None:
    with pytest.raises(StageError, match=f"must not set {name}"):
        rendered(train_program(**{field: {name: "3"}}))


def test_a_value_that_no_api_server_would_have_taken_is_refused() -> None:
    with pytest.raises(StageError, match=r"adam_b1 must be a number from 0 to 1, not 7; .*megablox must be true"):
        rendered(train_program(max_text={"adam_b1": "7", "megablox": "maybe"}))


@pytest.mark.parametrize("program", [train_program(), train_program(hardware="tpu", slices=2)], ids=["CPU", "TPU"])
def test_all_that_the_stage_writes_is_managed_or_a_default_that_users_may_change(program: TrainProgram) -> None:
    assert {*rendered(program)} <= {*MANAGED, *ALLOWED}


def test_gradient_accumulation_is_a_field() -> None:
    assert rendered(train_program(gradient_accumulation_steps=8))["gradient_accumulation_steps"] == "8"


def test_a_size_left_to_maxtext_is_refused() -> None:
    with pytest.raises(StageError, match="fsdp=-1"):
        devices_of(train_program(hardware="tpu", parallelism={"fsdp": -1}))
