"""The curves of the training stages, on one scale where that shows them all."""

from dataclasses import dataclass

from distillation_api.contract import Curve, ReportFacts, StageFigures
from distillation_stages.programs.evaluate.axes import Scale, loss_scale, moving_mean, shared
from distillation_stages.programs.evaluate.charts import Line, lines
from distillation_stages.programs.evaluate.formats import count, number

NOISY = 200
"""Steps from which on the mean of the last ones is drawn over the losses."""

WINDOWS = 50
"""Parts of a curve over which one such mean goes."""


@dataclass(frozen=True)
class Plot:
    """A plot with its words."""

    name: str
    unit: str
    svg: str
    note: str
    legend: tuple[Line, ...] = ()


def training_plots(facts: ReportFacts) -> list[Plot]:
    """One per training stage that has reported steps, in their order."""
    drawn = [(stage, stage.curve) for stage in facts.stages if stage.curve is not None and stage.curve.steps]
    scales = shared([_scale(curve) for _, curve in drawn])
    return [_plot(stage, curve, scale) for (stage, curve), scale in zip(drawn, scales, strict=True)]


def curves_of(curve: Curve) -> list[Line]:
    """Those that have points: the loss, the distance to the teacher, and the held-out scores around them."""
    found = [
        Line("loss", *_known(curve, curve.loss), kind="loss"),
        Line("KL to the teacher", *_known(curve, curve.kl_to_teacher), kind="kl"),
    ]
    if len(found[0].xs) >= NOISY:
        width = len(found[0].xs) // WINDOWS
        mean = Line(f"loss, mean of {width} points", found[0].xs, moving_mean(found[0].ys, width), kind="loss")
        found[:1] = [Line("loss", found[0].xs, found[0].ys, kind="raw"), mean]
    held_out = [(point.step, point.cross_entropy) for point in curve.held_out if point.cross_entropy is not None]
    points = Line(
        "held-out cross-entropy", [x for x, _ in held_out], [y for _, y in held_out], "held-out", are_points=True
    )
    return [line for line in (*found, points) if line.xs]


def _scale(curve: Curve) -> Scale:
    scale = loss_scale([loss for loss in curve.loss if loss is not None])
    others = [value for value in curve.kl_to_teacher if value is not None]
    held_out = [point.cross_entropy for point in curve.held_out if point.cross_entropy is not None]
    for values in (others, held_out[-1:]):
        if values:
            scale = scale.joined(loss_scale(values))
    return scale


def _plot(stage: StageFigures, curve: Curve, scale: Scale) -> Plot:
    drawn = curves_of(curve)
    name = stage.training_name or stage.name
    losses = [loss for loss in curve.loss if loss is not None]
    told = f"{number(losses[0])} at step {curve.steps[0]:,}, {number(losses[-1])} at step {curve.steps[-1]:,}"
    outside = [y for line in drawn for y in line.ys if not scale.shows(y)]
    note = f"Loss {told}."
    if outside:
        note += f" {count(len(outside))} points, up to {number(max(outside))}, lie outside: the end is to be seen."
    svg = lines(f"Training {name}: loss {told}", drawn, scale)
    return Plot(f"Training {name}", "nats per token, by step", svg, note, tuple(drawn))


def _known(curve: Curve, values: list[float | None]) -> tuple[list[float], list[float]]:
    pairs = [(step, value) for step, value in zip(curve.steps, values, strict=False) if value is not None]
    return [float(step) for step, _ in pairs], [value for _, value in pairs]
