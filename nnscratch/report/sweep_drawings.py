"""What a sweep has found, as drawings of its page: every trial tells its values under the mouse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nnscratch.report.drawing import LETTER, TOP, Axis, Chart, Point, linear_axis, logarithmic_axis, spread, svg_element
from nnscratch.report.elements import text_of
from nnscratch.report.formats import decimal, is_share, metric_value, percent, setting, shorten
from nnscratch.report.parallel_coordinates import Scale, goodness, scale_of, value_scale
from nnscratch.report.values import Goal

HEIGHT, BETWEEN, SIDE, HEAD, FOOT = 300, 128, 74, 48, 26
"""Of parallel coordinates: how high, how far from axis to axis, and the room around."""
KEY, GRADIENT = 26, 110
"""How high the key of their colours is, and how long its colours."""
BAR, NAME = 26, 160
"""Of the bars of importance: how high each is, and how wide their names are."""
LONGEST = 18


@dataclass(frozen=True)
class Dot:
    """One trial; its `value` is None when it never had one, and the best so far while it runs."""

    number: int
    status: str
    value: float | None
    parameters: Mapping[str, object] = field(default_factory=dict)
    is_best: bool = False

    @property
    def kind(self) -> str:
        """How it looks."""
        return "best" if self.is_best else self.status

    def says(self, metric: str) -> str:
        """All of it on a line."""
        words = [f"trial {self.number}, {self.status}: {metric} {metric_value(metric, self.value)}"]
        return "; ".join([*words, *(f"{name} {setting(value)}" for name, value in self.parameters.items())])


def history_drawing(trials: Sequence[Dot], metric: str, goal: Goal) -> str:
    """The value of every trial in their order, and the best of those that are completed, so far.

    Trials without a value stand on the bottom edge.
    """
    x = linear_axis(-0.5, max(len(trials) - 0.5, 0.5), lambda number: f"{number:.0f}", 8, whole=True)
    y = _metric_axis(trials, metric)
    chart = Chart(metric, x, y, x_title="trial")
    better = max if goal == "maximize" else min
    best: list[Point] = []
    for trial in trials:
        if trial.status == "completed" and trial.value is not None:
            best.append((trial.number, better(trial.value, best[-1][1]) if best else trial.value))
    if best:
        chart.add_line([*best, (len(trials) - 0.5, best[-1][1])], "so-far", "best so far", steps=True)
    _add_dots(chart, [(trial.number, trial) for trial in trials], metric)
    lost = [trial for trial in trials if _is_lost(trial)]
    for trial in lost:
        chart.add_point((trial.number, y.low), trial.kind, trial.says(metric))
    for status in dict.fromkeys(trial.status for trial in trials if trial.value is not None or trial in lost):
        chart.add_legend(f"{status} key", status)
    beside = f"; {len(lost)} without a value" if lost else ""
    said = f"the best is {metric_value(metric, best[-1][1])}" if best else "none is completed"
    return chart.svg(f"{metric} of {len(trials)} trials: {said}{beside}")


def scatter_drawing(trials: Sequence[Dot], name: str, metric: str) -> str:
    """The value of every trial against one parameter: numbers to scale, words side by side."""
    scale = scale_of(name, [trial.parameters.get(name) for trial in trials])
    x = Axis(-0.06, 1.06, tuple((place, shorten(label, LONGEST)) for place, label in scale.ticks))
    title = f"{name}{' (logarithmic)' if scale.is_logarithmic else ''}"
    chart = Chart(shorten(title, 46), x, _metric_axis(trials, metric))
    pairs = zip(scale.heights, trials, strict=True)
    _add_dots(chart, [(place, trial) for place, trial in pairs if place is not None], metric)
    return chart.svg(f"{metric} of {len(trials)} trials against {name}")


def importance_drawing(importances: Mapping[str, float], trials: int) -> str:
    """A bar for each parameter, the most important on top; shares of 1, found from so many trials."""
    shares = sorted(importances.items(), key=lambda pair: -pair[1])
    largest, width = max(share for _, share in shares) or 1.0, 420
    title = f"How much each parameter mattered, from {trials} trials"
    parts = [f'<text class="title" x="0" y="16">{title}</text>']
    for place, (name, share) in enumerate(shares):
        y, length = TOP + BAR * place, (width - NAME - 60) * share / largest
        shown = text_of(shorten(name, int(NAME / LETTER)))
        parts.append(f'<text x="{NAME - 8}" y="{y + 13}" text-anchor="end">{shown}</text>')
        parts.append(f'<rect class="bar" x="{NAME}" y="{y}" width="{length:.1f}" height="{BAR - 8}"/>')
        parts.append(f'<text x="{NAME + length + 6:.1f}" y="{y + 13}">{percent(share, 0)}</text>')
    said = ", ".join(f"{name} {percent(share, 0)}" for name, share in shares)
    return svg_element(width, TOP + BAR * len(shares) + 6, parts, f"{title}: {said}")


def parallel_drawing(trials: Sequence[Dot], names: Sequence[str], metric: str, goal: Goal) -> str:
    """Every trial with a value as a line through its parameters to that value, coloured by it; the best is bold.

    A key says which colour is which value. Trials without a value are dotted and end below the last axis.
    """
    shown = [trial for trial in trials if trial.value is not None or _is_lost(trial)]
    scales = [scale_of(name, [trial.parameters.get(name) for trial in shown]) for name in names]
    scales.append(value_scale(metric, [trial.value for trial in shown]))
    good = [each or 0.0 for each in goodness(scales[-1].heights, goal)]
    parts = []
    for index in sorted(range(len(shown)), key=lambda at: (not _is_lost(shown[at]), shown[at].is_best, good[at])):
        trial, heights = shown[index], [scale.heights[index] for scale in scales]
        places = [f"{_x(at):.0f},{_y(height):.1f}" for at, height in enumerate(heights) if height is not None]
        if _is_lost(trial):
            points = " ".join([*places, f"{_x(len(scales) - 1):.0f},{HEIGHT - 8}"])
            parts.append(
                f'<polyline class="lost" points="{points}"><title>{text_of(trial.says(metric))}</title></polyline>'
            )
            continue
        colour = f"color-mix(in oklab, var(--best) {100 * good[index]:.0f}%, var(--worst))"
        kind = "trial best" if trial.is_best else "trial"
        hint = f"<title>{text_of(trial.says(metric))}</title>"
        parts.append(f'<polyline class="{kind}" style="stroke: {colour}" points="{" ".join(places)}">{hint}</polyline>')
    parts += [part for at, scale in enumerate(scales) for part in _scale_parts(at, scale)]
    worst, best = (min, max) if goal == "maximize" else (max, min)
    values = [trial.value for trial in shown if trial.value is not None]
    if any(map(_is_lost, shown)):
        parts.append(f'<text x="{_x(len(scales) - 1) + 6}" y="{HEIGHT - 4}">no value</text>')
    parts += _colour_key(metric_value(metric, worst(values)), metric_value(metric, best(values)))
    said = f"{len(values)} trials across {', '.join(names)} to {metric}, at best {metric_value(metric, best(values))}"
    width = _x(len(scales) - 1) + 92
    return svg_element(
        width, HEIGHT + KEY, parts, said, f"min-width: {0.8 * width:.0f}px; max-width: {1.3 * width:.0f}px"
    )


def _scale_parts(at: int, scale: Scale) -> list[str]:
    x, top, bottom = _x(at), HEAD, HEIGHT - FOOT
    family, _, last = scale.name.removesuffix(".name").rpartition(".")
    above = " · ".join(part for part in (family, "log" if scale.is_logarithmic else "") if part)
    parts = [
        f'<line class="axis" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>',
        f'<text class="title" x="{x}" y="30" text-anchor="middle">{text_of(shorten(last, LONGEST))}</text>',
        f'<text x="{x}" y="12" text-anchor="middle">{text_of(shorten(above, LONGEST))}</text>',
    ]
    for height, label in scale.ticks:
        y = _y(height)
        parts.append(f'<line class="axis" x1="{x - 3}" x2="{x + 3}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="over" x="{x + 6}" y="{y + 4:.1f}">{text_of(shorten(label, LONGEST))}</text>')
    return parts


def _colour_key(worst: str, best: str) -> list[str]:
    """Below the left end, where it is in sight on a narrow screen, too."""
    y = HEIGHT + KEY - 6
    begin = LETTER * len(f"worst {worst}") + 10
    return [
        '<linearGradient id="key"><stop class="worst" offset="0"/><stop class="best" offset="1"/></linearGradient>',
        f'<text x="0" y="{y}">worst {text_of(worst)}</text>',
        f'<rect x="{begin:.1f}" y="{y - 10}" width="{GRADIENT}" height="12" fill="url(#key)"/>',
        f'<text x="{begin + GRADIENT + 10:.1f}" y="{y}">best {text_of(best)}</text>',
    ]


def _is_lost(trial: Dot) -> bool:
    return trial.value is None and trial.status != "running"


def _x(at: int) -> float:
    return SIDE + BETWEEN * at


def _y(height: float) -> float:
    return HEIGHT - FOOT - height * (HEIGHT - HEAD - FOOT)


def _metric_axis(trials: Sequence[Dot], metric: str) -> Axis:
    values = [trial.value for trial in trials if trial.value is not None and math.isfinite(trial.value)]
    low, high = spread(values, 0.08)
    close = math.ceil(math.log10(max(abs(low), abs(high)) / (high - low))) if high > low else 0
    digits = max(3, close + 2)  # so many tell ticks apart
    if is_share(metric):
        return linear_axis(low, high, lambda share: f"{100 * share:.{max(4, digits)}g} %")
    if values and 0 < 50 * min(values) <= max(values):
        return logarithmic_axis(0.8 * min(values), 1.25 * max(values), lambda value: f"{value:g}")
    return linear_axis(low, high, lambda value: decimal(value, digits))


def _add_dots(chart: Chart, dots: Sequence[tuple[float, Dot]], metric: str) -> None:
    for place, trial in sorted(dots, key=lambda pair: pair[1].is_best):
        if trial.value is not None and math.isfinite(trial.value):
            chart.add_point((place, trial.value), trial.kind, trial.says(metric), 6.0 if trial.is_best else 4.0)
