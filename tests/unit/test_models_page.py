"""docs/models.md tells what was proved of each model that is named anywhere, and nothing else."""

import re
from pathlib import Path

import pytest
import yaml

from models.cases import CASES
from models.page import proved, section
from models.public_models import PublicModel, expanded
from models.results import results
from models.tpu_page import BEGIN, END, on_tpus

CHECKOUT = Path(__file__).resolve().parents[2]
AUTHORS = "meta-llama|Qwen|google|mistralai|deepseek-ai|openai|HuggingFaceTB|allenai|microsoft"
NAMED = re.compile(rf"(?<![\w/.-])(?:{AUTHORS})/[\w.-]*(?:\d[bBmM]|Lite)\b[\w.-]*\b(?!#)")
"""A model of the Hub; a dataset or a repository of code has no size in its name."""


def named_models() -> set[str]:
    pages = [CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md"), *(CHECKOUT / "examples").glob("*.yaml")]
    without_table = [path.read_text().replace(section(), "") for path in pages]
    return {name for text in without_table for name in NAMED.findall(text)}


def models_of_examples() -> set[str]:
    found = set()
    for path in (CHECKOUT / "examples").glob("*.yaml"):
        for manifest in yaml.safe_load_all(path.read_text()):
            sources = [manifest["spec"][role]["source"] for role in ("teacher", "student")]
            found |= {source["huggingFace"]["repo"] for source in sources if "huggingFace" in source}
    return found


def test_models_are_found_by_their_names() -> None:
    assert models_of_examples() <= named_models()
    assert NAMED.findall("meta-llama/llama-models#166, HuggingFaceTB/smoltalk, Qwen/Qwen3-0.6B.") == ["Qwen/Qwen3-0.6B"]


def test_every_model_that_is_named_has_a_row() -> None:
    assert named_models() <= {case.name for case in CASES}


def test_the_page_is_what_was_seen() -> None:
    """When it fails: ``make test-models``, or ``make generate`` where the data stands."""
    assert results().keys() <= {case.name for case in CASES}
    assert section() == proved()


def test_what_it_says_of_tpus_is_what_the_programs_do() -> None:
    """When it fails: ``make generate``."""
    assert section(BEGIN, END) == on_tpus()


@pytest.mark.parametrize("case", [case for case in CASES if case.name in results()], ids=lambda case: case.name)
def test_a_row_tells_what_ends_it(case: PublicModel) -> None:
    found = results()[case.name]
    assert bool(found.get("stopped")) == bool(case.stops)
    assert case.stops in found.get("stopped", "")


def test_names_of_tensors_are_expanded() -> None:
    assert expanded("a.{0..3}.b.{1..2}", {4: 2}) == ["a.0.b.1", "a.0.b.2", "a.1.b.1", "a.1.b.2"]
