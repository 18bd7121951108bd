"""Curves that grow while a training runs, as drawings of a page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nnscratch.report.curves import Metric, shown_metrics
from nnscratch.report.drawing import Axis, Chart, Point, linear_axis, logarithmic_axis, spread
from nnscratch.report.formats import decimal
from nnscratch.report.values import Row

FEWEST = 10
"""Epochs that the horizontal axis has room for at least, when so many are planned."""
HIGHEST = 5.0
"""How many times the median a batch's loss may be and still be drawn: the first ones are far off."""


def live_curves(
    rows: Sequence[Row], planned: int, *, batches: Sequence[Point] = (), best_epoch: int | None = None
) -> list[str]:
    """A drawing of the loss, and one of everything else that was measured on training and validation.

    `batches` are mean losses of the training batches by how many epochs had passed; drawn when there are more of them
    than epochs. The horizontal axis goes on to where a training twice as long would be, and at most to the planned end.
    """
    done = max([float(row.get("epoch") or 0) for row in rows] + [x for x, _ in batches[-1:]], default=0.0)
    end = min(max(FEWEST, 2 * done), max(planned, done, 1))
    x = linear_axis(0.0, end, lambda epoch: f"{epoch:.0f}", 8, whole=True)
    drawings = []
    for metric in shown_metrics(rows):
        lines = {split: _line(rows, f"{split}_{metric.suffix}") for split in ("train", "val")}
        behind = _near_the_median(batches) if metric.suffix == "loss" and len(batches) > 2 * len(rows) else []
        values = [value for line in (*lines.values(), behind) for _, value in line if math.isfinite(value)]
        if not values:
            continue
        y = _scale(metric, values)
        chart = Chart(metric.title, x, y, x_title="epoch")
        chart.add_line(behind, "batches", "batches")
        chart.add_line(lines["train"], "train", "training")
        chart.add_line(lines["val"], "val", "validation")
        best = dict(lines["val"]).get(float(best_epoch)) if best_epoch else None
        if best_epoch and best is not None and math.isfinite(best):
            label = f"best epoch {best_epoch}: {metric.text(best)}"
            chart.add_mark(best_epoch, label, at_top=not metric.is_fraction)
        last = next((value for _, value in reversed(lines["val"] or lines["train"])), math.nan)
        drawings.append(chart.svg(f"{metric.title} over {len(rows)} epochs; the last is {metric.text(last)}"))
    return drawings


def _line(rows: Sequence[Row], name: str) -> list[Point]:
    found = [(float(row.get("epoch") or at), row.get(name)) for at, row in enumerate(rows, 1)]
    return [(epoch, float(value)) for epoch, value in found if value is not None]


def _near_the_median(batches: Sequence[Point]) -> list[Point]:
    losses = sorted(loss for _, loss in batches)
    return [point for point in batches if point[1] <= HIGHEST * losses[len(losses) // 2]]


def _scale(metric: Metric, values: Sequence[float]) -> Axis:
    low, high = spread(values)
    if metric.is_fraction:
        return linear_axis(max(low, 0.0), min(high, 1.0), lambda share: f"{100 * share:.4g} %")
    if 0 < 50 * min(values) <= max(values):
        return logarithmic_axis(0.9 * min(values), 1.1 * max(values), lambda loss: f"{loss:g}")
    return linear_axis(low, high, lambda value: decimal(value))
