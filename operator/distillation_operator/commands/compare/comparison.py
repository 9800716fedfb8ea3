"""Runs side by side: what all ways of showing them have in common."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from distillation_operator.commands.compare.comparability import not_comparable
from distillation_operator.commands.compare.differences import Difference, Spec, differences
from distillation_operator.commands.compare.figures import Figure, figures, without_best_scores
from distillation_operator.commands.compare.filled_spec import filled
from distillation_operator.commands.compare.run import Run
from distillation_operator.commands.compare.scored_tokens import part_remark
from distillation_operator.commands.words import one_line


@dataclass(frozen=True)
class Comparison:
    """The runs, each with a label of its own, and what is to say of them."""

    runs: Sequence[Run]
    labels: Sequence[str]
    """One for each run, all different; safe to print."""
    specs: Sequence[Spec | None]
    """With their defaults."""
    differences: Sequence[Difference]
    figures: Sequence[Figure]
    notes: Sequence[tuple[int, str]]
    """Of which run, and what; safe to print."""
    remarks: Sequence[str]
    """On all runs together, whole sentences; safe to print."""
    scores_are_comparable: bool
    """Whether nothing is known by which a better score need not be a better student."""

    @staticmethod
    def of(runs: Sequence[Run]) -> "Comparison":
        """Never raises for what the runs hold."""
        specs: list[Spec | None] = []
        notes: list[tuple[int, str]] = []
        for number, run in enumerate(runs):
            if run.spec is None:
                specs.append(None)
                notes.append((number, "its spec isn't known"))
            else:
                spec = filled(run.spec)
                specs.append(Spec(spec.whole, spec.lean, run.spec_is_whole))
                if spec.foreign:
                    told = f"this version doesn't know {', '.join(spec.foreign)} of its spec: compared as written"
                    notes.append((number, told))
            if run.trouble:
                notes.append((number, run.trouble))
            notes.extend((number, note) for note in run.notes)
        found = differences(specs)
        apart = not_comparable(runs, found)
        return Comparison(
            runs=runs,
            labels=_labels(runs),
            specs=specs,
            differences=found,
            figures=figures(runs) if apart is None else without_best_scores(figures(runs)),
            notes=[(number, one_line(note)) for number, note in notes],
            remarks=[remark for remark in (apart, part_remark(runs)) if remark],
            scores_are_comparable=apart is None,
        )


def _labels(runs: Sequence[Run]) -> list[str]:
    """The shortest that tells the runs apart: the name, with its namespace, or with where it was read."""
    names = [one_line(run.name) for run in runs]
    full = [
        f"{one_line(run.namespace)}/{name}" if run.namespace else name for run, name in zip(runs, names, strict=True)
    ]
    counted, counted_full = Counter(names), Counter(full)
    twins = [number for number, whole in enumerate(full) if counted_full[whole] > 1]
    short = dict(zip(twins, _short_origins([runs[number] for number in twins]), strict=True))
    places = [f"{name} ({one_line(short.get(number, ''))})" for number, name in enumerate(names)]
    counted_places = Counter(places)
    return [
        name
        if counted[name] == 1
        else whole
        if counted_full[whole] == 1
        else place
        if counted_places[place] == 1
        else f"{place}, {number}"
        for number, (name, whole, place) in enumerate(zip(names, full, places, strict=True), start=1)
    ]


def _short_origins(runs: Sequence[Run]) -> list[str]:
    """Of where each was read, no more from its end than tells them apart, and what all end in left out."""
    parts = [run.origin.split("/") for run in runs]
    while len({tuple(one[-1:]) for one in parts}) == 1 and all(len(one) > 1 for one in parts):
        parts = [one[:-1] for one in parts]
    for length in range(1, max(map(len, parts), default=0) + 1):
        ends = ["/".join(one[-length:]) for one in parts]
        if len(set(ends)) == len(ends) and not any(end == run.name for end, run in zip(ends, runs, strict=True)):
            return ends
    return [run.origin for run in runs]
