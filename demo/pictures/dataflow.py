"""The stages of a manifest as a picture, from the graph that the operator itself works by."""

import html
from collections.abc import Sequence
from pathlib import Path

import yaml

from demo.pictures.layers import Layout, Place, lay_out, reduced
from distillation_api.contract import GenerateProgram
from distillation_api.resource import DistillationJob
from distillation_operator.pipeline.graph import build_pipeline
from distillation_operator.pipeline.stage import Stage

NODE_WIDTH, NODE_HEIGHT = 226, 50
BEND_WIDTH = 20
GAP = 22
ROW_HEIGHT = 84
MARGIN = 8

WORK = {
    "fetch": "from the Hub, a bucket or a folder",
    "prepare": "one form, holdout set apart",
    "convert": "to MaxText, logits compared",
    "check_tokenizers": "same tokens, same numbers",
    "preflight": "sizes and templates, on CPU",
    "generate": "the teacher answers",
    "pack": "to token ids",
    "train": "MaxText",
    "export": "to Hugging Face, logits compared",
    "evaluate": "scores, report, gate",
    "publish": "to where its users look",
}
"""What each kind of stage does, in a few words."""

STYLE = """
text { font: 14px system-ui, sans-serif; fill: #1b1d22; text-anchor: middle; } .work { font-size: 12px; fill: #565c65; }
rect { fill: #ffffff; stroke: #8a919c; } .chips { fill: #e8f0fe; stroke: #2f6fd0; stroke-width: 2.5; }
.edge { fill: none; stroke: #8a919c; stroke-width: 1.5; } marker path { fill: #8a919c; }
@media (prefers-color-scheme: dark) {
  text { fill: #e8eaed; } .work { fill: #aab1bb; } rect { fill: #1d2026; stroke: #7d8590; }
  .chips { fill: #14233d; stroke: #7fb0f7; } .edge { stroke: #7d8590; } marker path { fill: #7d8590; }
}
"""


def dataflow(manifest: Path) -> str:
    """The SVG. Edges that follow from others are left out; stages with chips have a thick border."""
    job = DistillationJob.parse(yaml.safe_load(manifest.read_text()))
    stages = build_pipeline(job.spec)
    layout = lay_out(reduced({name: stage.needs for name, stage in stages.items()}), NODE_WIDTH, BEND_WIDTH, GAP)
    return drawn(layout, dict(stages), f"The stages of {job.metadata.name}")


def drawn(layout: Layout, stages: dict[str, Stage], title: str) -> str:
    """The SVG of a layout."""
    width = round(layout.width) + 2 * MARGIN
    height = (layout.rows - 1) * ROW_HEIGHT + NODE_HEIGHT + 2 * MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{html.escape(title)}">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z"/></marker></defs>',
        *(_edge(path) for path in layout.edges.values()),
        *(line for name, place in layout.nodes.items() for line in _node(stages[name], place)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def words(stage: Stage) -> str:
    """What a stage does, and on how many chips."""
    work = WORK[stage.program.kind]
    shards = stage.program.shards if isinstance(stage.program, GenerateProgram) else 1
    chips = stage.placement.chips * shards
    return f"{work}, {chips} TPU chips" if chips else work


def _node(stage: Stage, place: Place) -> list[str]:
    x, top = MARGIN + place.x, MARGIN + place.row * ROW_HEIGHT
    kind = ' class="chips"' if stage.placement.chips else ""
    return [
        f'<rect{kind} x="{x - NODE_WIDTH / 2:.1f}" y="{top}" width="{NODE_WIDTH}" height="{NODE_HEIGHT}" rx="6"/>',
        f'<text x="{x:.1f}" y="{top + 21}">{html.escape(stage.name)}</text>',
        f'<text class="work" x="{x:.1f}" y="{top + 39}">{html.escape(words(stage))}</text>',
    ]


def _edge(path: Sequence[Place]) -> str:
    first, *rest = path
    x, y = MARGIN + first.x, MARGIN + first.row * ROW_HEIGHT + NODE_HEIGHT
    parts = [f"M{x:.1f},{y}"]
    for number, place in enumerate(rest):
        is_bend = number < len(rest) - 1
        to_x, to_y = MARGIN + place.x, MARGIN + place.row * ROW_HEIGHT
        half = (to_y - y) / 2
        parts.append(f"C{x:.1f},{y + half:.1f} {to_x:.1f},{to_y - half:.1f} {to_x:.1f},{to_y}")
        if is_bend:
            # Straight down past the nodes of the row.
            parts.append(f"V{to_y + NODE_HEIGHT}")
        x, y = to_x, to_y + NODE_HEIGHT if is_bend else to_y
    return f'<path class="edge" marker-end="url(#end)" d="{" ".join(parts)}"/>'
