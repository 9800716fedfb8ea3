"""What ``distillation-operator watch`` shows on a terminal, drawn from a recorded DistillationJob."""

import io
import re
from pathlib import Path

import yaml
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from distillation_operator.commands.watch import live_table

COLUMNS = 110
ROWS = 24


def watched(recorded: Path) -> str:
    """The SVG of the table, as rich draws terminals, without the fonts that it would load from elsewhere."""
    job = yaml.safe_load(recorded.read_text())
    console = Console(
        record=True,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        width=COLUMNS,
        height=ROWS,
        highlight=False,
        legacy_windows=False,
        _environ={},
    )
    name = job["metadata"]["name"]
    console.print(Text.assemble(("$ ", "bold green"), f"distillation-operator watch {name}"))
    console.print(live_table(job))
    drawn = console.export_svg(title="distillation-operator", theme=SVG_EXPORT_THEME, unique_id="watch")
    without_fonts = re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL)
    return "\n".join(line.rstrip() for line in without_fonts.splitlines()) + "\n"
