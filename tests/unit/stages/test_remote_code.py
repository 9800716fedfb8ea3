"""No program runs code that lies beside a model, nor unpickles its weights: each place that loads one says so.

Left to its default, transformers asks on standard input whether the code may run.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STAGES = Path(__file__).parents[3] / "images" / "distillation_stages"
LOADS = ("from_pretrained", "from_config")


def loads() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Place, class and keywords of each call by which transformers loads something."""
    for path in STAGES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOADS:
                loaded = ast.unparse(node.func.value).removeprefix("transformers.")
                keywords = {
                    keyword.arg: keyword.value.value
                    for keyword in node.keywords
                    if keyword.arg and isinstance(keyword.value, ast.Constant)
                }
                if loaded.startswith("Auto"):
                    yield f"{path.name}:{node.lineno}", f"{loaded}.{node.func.attr}", keywords


def test_whatever_is_loaded_its_code_is_not_run() -> None:
    found = list(loads())
    assert len(found) >= 6
    assert [place for place, _, keywords in found if keywords.get("trust_remote_code") is not False] == []


def test_weights_are_never_unpickled() -> None:
    models = [(place, keywords) for place, what, keywords in loads() if what == "AutoModelForCausalLM.from_pretrained"]
    assert len(models) >= 2
    assert [place for place, keywords in models if keywords.get("use_safetensors") is not True] == []
