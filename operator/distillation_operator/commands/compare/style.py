"""The page's style: light, dark, printed, and at the width of a phone."""

import base64
import hashlib

_LIGHT = (
    "#0067a8", "#c24a00", "#007a55", "#a23b82", "#7a6000", "#4a3fc0",
    "#b3123f", "#00758a", "#6b4a3c", "#4a7a1c", "#596574", "#8a1fa0",
)  # fmt: skip
_DARK = (
    "#5bb8f5", "#ff9a5c", "#3fd0a0", "#e58fca", "#d9bf4a", "#a7a0ff",
    "#ff7f9f", "#4fd0e4", "#cfa893", "#9fd068", "#aab6c4", "#dc8cf0",
)  # fmt: skip


def _colours(colours: tuple[str, ...]) -> str:
    return " ".join(f"--run-{number}: {colour};" for number, colour in enumerate(colours, start=1))


_RUNS = "\n".join(f".run-{number} {{ --run: var(--run-{number}); }}" for number in range(1, len(_LIGHT) + 1))

STYLE = f"""
:root {{ color-scheme: light dark; --ground: #fff; --soft: #f4f6f8; --ink: #1b2026; --faint: #56606b;
  --rule: #d5dbe1; --run: var(--faint); {_colours(_LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ --ground: #14181d; --soft: #1e242b; --ink: #e8ecf0; --faint: #a4afba;
  --rule: #38414b; {_colours(_DARK)} }} }}
{_RUNS}
* {{ box-sizing: border-box; }}
body {{ margin: 0 auto; max-width: 80rem; padding: 1rem; background: var(--ground); color: var(--ink);
  font: 16px/1.45 system-ui, sans-serif; }}
h1 {{ font-size: 1.5rem; margin: 0.5rem 0; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.2rem; margin: 2rem 0 0.5rem; }}
h3 {{ font-size: 1rem; margin: 0 0 0.25rem; overflow-wrap: anywhere; }}
p {{ margin: 0.25rem 0; max-width: 48rem; }}
.faint {{ color: var(--faint); font-size: 0.875rem; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9375rem; }}
th, td {{ text-align: left; vertical-align: top; padding: 0.3rem 0.75rem 0.3rem 0; border-bottom: 1px solid var(--rule);
  overflow-wrap: break-word; }}
th {{ font-weight: 600; }}
.values td, .values th {{ overflow-wrap: anywhere; }}
.values td {{ min-width: 6rem; }}
th[scope=row] {{ min-width: 13rem; max-width: 24rem; font-weight: 400; overflow-wrap: anywhere; }}
.runs th[scope=row] {{ min-width: 16rem; }}
thead th {{ border-bottom: 2px solid var(--rule); vertical-align: bottom; }}
code {{ font: 0.875em ui-monospace, monospace; overflow-wrap: anywhere; }}
.best {{ font-weight: 700; }}
.sample {{ width: 44px; height: 12px; vertical-align: middle; margin-right: 0.35rem; }}
.number {{ display: inline-block; min-width: 1.4em; text-align: center; border: 1.5px solid var(--run);
  border-radius: 0.7em; padding: 0 0.3em; margin: 0 0.3em 0.1em 0; font-size: 0.8125rem; font-weight: 600; }}
.line {{ fill: none; stroke: var(--run); stroke-width: 1.8; stroke-linejoin: round; }}
.dot {{ fill: var(--ground); stroke: var(--run); stroke-width: 1.6; }}
.leader {{ fill: none; stroke: var(--run); stroke-width: 0.7; opacity: 0.6; }}
svg text {{ fill: var(--ink); font-family: system-ui, sans-serif; }}
svg .end {{ fill: var(--run); font-weight: 700; stroke: var(--ground); stroke-width: 3px; paint-order: stroke; }}
.level {{ stroke: var(--ink); stroke-width: 1; stroke-dasharray: 1 4; }}
.grid {{ stroke: var(--rule); stroke-width: 0.7; }}
.axis {{ stroke: var(--faint); stroke-width: 1; }}
.plots {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 34rem), 1fr)); gap: 1.5rem; }}
.plots > * {{ min-width: 0; }}
figure {{ margin: 0; break-inside: avoid; }}
svg.wide, svg.narrow {{ width: 100%; height: auto; display: block; }}
svg.narrow {{ display: none; }}
.legend {{ list-style: none; display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; margin: 0.5rem 0; padding: 0; }}
.legend li, .values li {{ overflow-wrap: anywhere; }}
ul.values {{ list-style: none; margin: 0; padding: 0; }}
.values li {{ padding: 0.1rem 0; }}
@media (max-width: 40rem) {{
  svg.wide {{ display: none; }}
  svg.narrow {{ display: block; }}
  table, tbody, tr, th[scope=row], td {{ display: block; }}
  thead {{ display: none; }}
  tr {{ border-bottom: 1px solid var(--rule); padding: 0.5rem 0; }}
  th, td {{ border: 0; padding: 0.1rem 0; }}
  th[scope=row], .runs th[scope=row] {{ font-weight: 600; min-width: 0; max-width: none; }}
  td {{ display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 0.5rem; min-width: 0; }}
  td::before {{ content: attr(data-label); color: var(--faint); font-weight: 400; }}
  .values td {{ min-width: 0; }}
  td.single {{ display: block; }}
  td.single::before {{ content: none; }}
}}
@media print {{
  :root {{ --ground: #fff; --soft: #fff; --ink: #000; --faint: #444; --rule: #bbb; {_colours(_LIGHT)} }}
  /* A page of A4 or Letter has the width of a small window. */
  html {{ font-size: 10px; }}
  body {{ max-width: none; padding: 0; font-size: 1rem; }}
  .scroll {{ overflow: visible; }}
  tr, figure {{ break-inside: avoid; }}
}}
"""


def policy() -> str:
    """The content security policy: this style and nothing else."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
