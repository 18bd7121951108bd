"""What a sweep found: the value of every trial, which parameters mattered, and the accuracy that time buys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnscratch.report.formats import is_share, metric_value
from nnscratch.report.picture_files import save
from nnscratch.report.style import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    SKY,
    SMALL,
    TEXT,
    VERMILLION,
    add_legend,
    dress,
    head,
    line_style,
    log_axis,
    new_figure,
    note,
    nothing_to_show,
    percent_axis,
    plain,
    whole_numbers,
)
from nnscratch.report.values import Goal, TimedAccuracy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKS = {
    "completed": (BLUE, "o"),
    "pruned": (ORANGE, "v"),
    "interrupted": (PURPLE, "s"),
    "running": (SKY, "D"),
    "diverged": (VERMILLION, "X"),
    "failed": (INK, "P"),
}


def sweep_history(
    values: Sequence[float | None],
    statuses: Sequence[str],
    path: Path,
    *,
    goal: Goal,
    metric: str = "value",
    title: str = "",
) -> Figure:
    """The metric of every trial in order, and the best so far; trials without a value stand on the bottom edge.

    Only completed trials count for the best.
    """
    if len(values) != len(statuses):
        raise ValueError(f"{len(values)} values and {len(statuses)} statuses do not belong together")
    numbers = np.arange(len(values))
    found = np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)
    found[~np.isfinite(found)] = np.nan
    figure = new_figure(4.0)
    axes = figure.add_subplot()
    dress(axes, x="trial", y=metric, grid="y")
    handles: list[Any] = []
    labels: list[str] = []
    for status in dict.fromkeys(statuses):
        color, marker = _MARKS.get(status, (MUTED, "h"))
        mine = np.array([other == status for other in statuses])
        valued = mine & np.isfinite(found)
        handles += axes.plot(numbers[valued], found[valued], marker, color=color, markersize=7, zorder=3)
        labels.append(status)
        lost = numbers[mine & ~np.isfinite(found)]
        if lost.size:
            axes.plot(
                lost, np.full(len(lost), 0.04), marker, color=color, markersize=7, zorder=3,
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip
    completed = np.array([status == "completed" for status in statuses], dtype=bool) & np.isfinite(found)
    if completed.any():
        best = (np.fmax if goal == "maximize" else np.fmin).accumulate(np.where(completed, found, np.nan))
        (line,) = axes.plot(numbers, best, color=INK, drawstyle="steps-post", linewidth=1.6, linestyle="--", zorder=2)
        handles.append(line)
        labels.append("best so far")
        note(axes, f"best {metric_value(metric, best[-1])}")
        axes.margins(y=0.12)
    else:
        nothing_to_show(axes, "no trial has completed yet")
    if is_share(metric):
        percent_axis(axes)
    whole_numbers(axes)
    if handles:
        add_legend(figure, handles, labels, columns=min(len(labels), 5))
    head(figure, title or "Trials")
    return save(figure, path)


def parameter_importance(names: Sequence[str], importances: Sequence[float], path: Path, *, title: str = "") -> Figure:
    """A bar per parameter, the most important on top; importances are shares of 1."""
    pairs = sorted(zip(names, importances, strict=True), key=lambda pair: pair[1])
    figure = new_figure(1.2 + 0.42 * max(len(pairs), 1))
    axes = figure.add_subplot()
    places, shares = np.arange(len(pairs)), [share for _, share in pairs]
    axes.barh(places, shares, 0.62, color=BLUE)
    dress(axes, grid="x")
    axes.set_yticks(places, [plain(name, 32) for name, _ in pairs], fontsize=TEXT, color=INK)
    axes.tick_params(axis="y", length=0)
    largest = max([*shares, 1e-9])
    for place, share in enumerate(shares):
        axes.text(share + 0.01 * largest, place, f"{100 * share:.0f} %", va="center", fontsize=SMALL + 0.5, color=INK)
    axes.set_xlim(0, 1.12 * largest)
    percent_axis(axes, axis="x")
    head(figure, title or "How much each parameter mattered")
    return save(figure, path)


def accuracy_against_time(points: Sequence[TimedAccuracy], path: Path) -> Figure:
    """Test accuracy against minutes of training on a logarithmic axis, each point with its name.

    In each group a line along the top joins the points that no other of the group beats in less time. A mean has a bar
    from the lowest to the highest of its runs.
    """
    figure = new_figure(4.6)
    axes = figure.add_subplot()
    dress(axes, x="minutes of training (logarithmic)", y="test accuracy", grid="both")
    ordered = sorted(points, key=lambda point: (point.minutes, -point.accuracy))
    front: list[TimedAccuracy] = []
    handles: list[Any] = []
    groups = list(dict.fromkeys(point.group for point in points))
    for index, group in enumerate(groups):
        members, style = [point for point in ordered if point.group == group], line_style(index)
        best = [p for n, p in enumerate(members) if all(p.accuracy > earlier.accuracy for earlier in members[:n])]
        axes.plot(
            [p.minutes for p in best], [p.accuracy for p in best], color=style.color, linestyle=":", linewidth=1.5
        )
        handles.append(axes.scatter([p.minutes for p in members], [p.accuracy for p in members], s=80, zorder=3,
                                    color=style.color, marker=style.marker, edgecolors="white"))  # fmt: skip
        for point in members:
            if point.spread is not None:
                axes.plot([point.minutes] * 2, point.spread, marker="_", color=style.color, linewidth=1.4, zorder=2)
        front += best
    axes.margins(x=0.12, y=0.16)
    if ordered:
        log_axis(axes, axis="x")
        percent_axis(axes)
        _name_points(axes, ordered, front)
    if len(groups) > 1:
        add_legend(figure, handles, groups, columns=len(groups))
    has_spread = any(point.spread is not None for point in points)
    bars = "; bars from the lowest to the highest run" if has_spread else ""
    head(figure, f"Accuracy against training time{bars}")
    return save(figure, path)


def _name_points(axes: Axes, ordered: Sequence[TimedAccuracy], front: Sequence[TimedAccuracy]) -> None:
    """Each name beside its point, where it covers neither another name nor a point, as far as there is room."""
    from matplotlib.transforms import Bbox

    middle = np.sqrt(ordered[0].minutes * ordered[-1].minutes)
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # from here on it is known where everything lies
    places = [axes.transData.transform((point.minutes, height)) for point in ordered
              for height in (point.accuracy, *(point.spread or ()))]  # fmt: skip
    taken = [Bbox.from_extents(x - 9, y - 9, x + 9, y + 9) for x, y in places]
    for point in ordered:
        # Names grow towards the middle of the picture, and above the front, where there is room for them.
        left_half = point.minutes <= middle
        up = 1 if point in front and not left_half else -1
        shifts = [far * side for far in (4, 16, 28, 40, 52) for side in (up, -up)]
        for shift in shifts:
            name = axes.annotate(plain(point.label, 40), (point.minutes, point.accuracy),
                                 xytext=(9 if left_half else -9, shift), textcoords="offset points",
                                 ha="left" if left_half else "right", va="bottom" if shift > 0 else "top",
                                 fontsize=SMALL + 0.5, color=INK)  # fmt: skip
            box = name.get_window_extent()
            if shift == shifts[-1] or not any(box.overlaps(other) for other in taken):
                break
            name.remove()
        taken.append(box)
