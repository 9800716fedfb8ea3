"""The tables of docs/models.md about teachers on TPUs, from what is known of their architectures."""

import json
from collections import defaultdict

from distillation_api.contract import PlannedGeneration
from distillation_stages.models.model_config import architectures
from distillation_stages.models.tpu_architectures import ARCHITECTURES, PINNED, architecture
from distillation_stages.models.tpu_engine import TpuEngine, tpu_engine
from distillation_stages.programs.preflight.sizes import check_served_heads
from distillation_stages.runtime.failure import StageError
from models.cases import CASES
from models.public_models import PublicModel

BEGIN, END = "<!-- on TPUs: made by make generate -->", "<!-- on TPUs: end -->"
DEVICES = (1, 2, 4, 8)
"""Of one host, over all accelerators."""
CODE = {"flax_nnx": "JAX", "vllm": "PyTorch (torchax)"}


def on_tpus() -> str:
    """What stands between the marks, with them."""
    versions = " and ".join(f"{package} {version}" for package, (version, _) in PINNED.items())
    lines = [
        BEGIN,
        "",
        f"As {versions} have it:",
        "",
        _line("teacher", "run in", "tested by tpu-inference's authors", "what we set", "devices of a host"),
        _line(*["---"] * 5),
        *(_row(case) for case in CASES),
        "",
        "Refused by preflight:",
        "",
        _line("architectures", "why"),
        _line("---", "---"),
        *(_line(", ".join(f"`{name}`" for name in names), why) for why, names in _refused().items()),
        "",
        END,
    ]
    return "\n".join(lines)


def _row(case: PublicModel) -> str:
    needs = tpu_engine(case.config)
    [name] = architectures(case.config)
    row = architecture(name)
    tested = row.tested or f"no{f': {row.note}' if row.note else ''}"
    return _line(case.name, CODE[needs.implementation], tested, _settings(needs), ", ".join(map(str, _devices(case))))


def _settings(needs: TpuEngine) -> str:
    variables = [f"`{name}={value}`" for name, value in needs.environment.items()]
    arguments = [f"`{name}={json.dumps(value)}`" for name, value in needs.arguments.items()]
    return ", ".join(variables + arguments) or "-"


def _devices(case: PublicModel) -> list[int]:
    return [count for count in DEVICES if _are_shared(case, count)]


def _are_shared(case: PublicModel, devices: int) -> bool:
    planned = PlannedGeneration(max_model_len=1, max_tokens=1, max_lost_share=0.5, tensor_parallelism=devices)
    try:
        check_served_heads(case.config, planned)
    except StageError:
        return False
    return True


def _refused() -> dict[str, list[str]]:
    found = defaultdict(list)
    for name, row in ARCHITECTURES.items():
        if row.refused:
            found[row.refused].append(name)
    return found


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
