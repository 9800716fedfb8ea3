"""The tables of docs/models.md, from what was proved and what is known: ``python -m models.page`` writes them."""

import re
from pathlib import Path
from typing import Any

from distillation_stages.maxtext.known_models import KNOWN
from models.cases import CASES
from models.results import results
from models.tpu_page import BEGIN as BEGIN_ON_TPUS
from models.tpu_page import END as END_ON_TPUS
from models.tpu_page import on_tpus

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- proved: made by make test-models -->", "<!-- proved: end -->"
STEPS = ("converts", "trains", "exports", "is_served")
HEADINGS = ("model", "MaxText's name", "converts", "trains", "exports", "is served by vLLM")
SHOWN = {
    "converts": ("KL {}", "kl"),
    "trains": ("loss {}", "firstLoss"),
    "exports": ("KL {}", "kl"),
    "is_served": ("{}", "greatestDifference"),
}
"""The figure of a step that the table has."""


def write_page() -> None:
    """Put what is known now between the marks."""
    text = PAGE.read_text()
    for begin, end, made in ((BEGIN, END, proved()), (BEGIN_ON_TPUS, END_ON_TPUS, on_tpus())):
        text = f"{text.split(begin)[0]}{made}{text.split(end)[1]}"
    PAGE.write_text(text)


def section(begin: str = BEGIN, end: str = END) -> str:
    """What stands between the marks, with them."""
    found = re.search(f"{re.escape(begin)}.*{re.escape(end)}", PAGE.read_text(), flags=re.DOTALL)
    assert found is not None, f"{PAGE.name} lacks its marks"
    return found[0]


def proved() -> str:
    """The same from the results."""
    known = results()
    rows = [_row(case.name, known.get(case.name)) for case in CASES]
    stops = [f"- {case.name} {_stop(known[case.name])}" for case in CASES if known.get(case.name, {}).get("stopped")]
    lines = [BEGIN, "", _line(HEADINGS), _line(["---"] * len(HEADINGS)), *rows, ""]
    if stops:
        lines += ["What ends a row:", "", *stops, ""]
    return "\n".join([*lines, f"Run with {_versions(known)}.", "", *_others(), "", END])


def _row(name: str, found: dict[str, Any] | None) -> str:
    if found is None:
        return _line([name, "", *["not run yet"] * len(STEPS)])
    return _line([name, found["maxTextModel"] or "none", *(_cell(step, found) for step in STEPS)])


def _cell(step: str, found: dict[str, Any]) -> str:
    if step in found["figures"]:
        text, figure = SHOWN[step]
        return f"yes, {text.format(_short(found['figures'][step][figure]))}"
    stopped = found["stopped"].partition(":")[0]
    return "no" if stopped == step else "not tried"


def _short(value: float) -> str:
    """One that is too small for MaxText or transformers to be right about is a bound."""
    return "< 1e-9" if value < 1e-9 else f"{value:.2g}"


def _stop(found: dict[str, Any]) -> str:
    step, _, words = found["stopped"].partition(": ")
    return f"({step.replace('_', ' ')}): {words.strip()}"


def _versions(known: dict[str, Any]) -> str:
    versions = {f"{package} {version}" for found in known.values() for package, version in found["versions"].items()}
    return ", ".join(sorted(versions))


def _others() -> list[str]:
    tried = {case.config["model_type"] for case in CASES}
    others = sorted({known.model_type for known in KNOWN.values()} - tried)
    return [f"No model is tried of {', '.join(f'`{kind}`' for kind in others)}."]


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    write_page()
