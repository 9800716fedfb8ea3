"""Tables of Markdown, and numbers as people read them."""

from collections.abc import Iterable, Iterator, Sequence


def table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    yield _line(headings)
    yield _line(["---"] * len(headings))
    for line in lines:
        yield _line(line)


def number(value: float | None) -> str:
    """Three digits, or all of those before the point; empty for None."""
    if value is None:
        return ""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratio(value: float | None, other: float | None) -> str:
    """One figure divided by another; empty where that can't be."""
    return "" if value is None or not other else f"{number(value / other)}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
