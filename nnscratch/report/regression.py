"""How a regression does: predictions against the truth, and what is left over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnscratch.report.formats import decimal
from nnscratch.report.picture_files import save
from nnscratch.report.style import (
    BLUE,
    VERMILLION,
    WIDTH,
    dress,
    few_ticks,
    head,
    new_figure,
    note,
    nothing_to_show,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_OUTPUTS = 6


def r_squared(true: ArrayLike, predicted: ArrayLike) -> float:
    """1 - sum (t - p)^2 / sum (t - mean t)^2; NaN when the truth is constant."""
    truth, guess = np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    total = float(np.sum((truth - truth.mean()) ** 2))
    return 1.0 - float(np.sum((truth - guess) ** 2)) / total if total > 0 else float("nan")


def regression_scatter(
    true: ArrayLike,
    predicted: ArrayLike,
    path: Path,
    *,
    targets: Sequence[str] = (),
    title: str = "",
    width: float = WIDTH,
) -> Figure:
    """Predicted against true values, and the residuals (predicted - true) against the prediction; a row per target.

    Both are (N,) or (N, targets); of more than six targets the first six are drawn. Less than 6 inches wide, the
    residuals stand below.
    """
    truth, guess = (_as_columns(values) for values in (true, predicted))
    if truth.shape != guess.shape:
        raise ValueError(f"{truth.shape} true values and {guess.shape} predictions do not belong together")
    outputs = min(truth.shape[1], MOST_OUTPUTS)
    across = 2 if width >= 6 else 1
    down = 2 * outputs // across
    figure = new_figure(0.6 + 3.5 * down, width)
    for output in range(outputs):
        name = targets[output] if output < len(targets) else ""
        left, right = (figure.add_subplot(down, across, 2 * output + side) for side in (1, 2))
        _draw_pair(left, right, truth[:, output], guess[:, output], name)
    hidden = truth.shape[1] - outputs
    head(figure, (title or "Predictions and residuals") + (f" ({hidden} more targets not shown)" if hidden else ""))
    return save(figure, path)


def _as_columns(values: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(values, dtype=np.float64)
    return table[:, None] if table.ndim == 1 else table.reshape(len(table), -1)


def _draw_pair(left: Axes, right: Axes, true: NDArray[np.float64], predicted: NDArray[np.float64], name: str) -> None:
    from nnscratch.report.powers import in_letters

    kept = np.isfinite(true) & np.isfinite(predicted)
    true, predicted = true[kept], predicted[kept]
    dress(left, title=name or "Predicted against true", x="true", y="predicted", grid="both")
    dress(right, title="Residuals", x="predicted", y="predicted - true", grid="both")
    if not true.size:
        nothing_to_show(left, "no finite prediction")
        return
    residuals = predicted - true
    alpha = float(np.clip(400 / true.size, 0.06, 0.7))
    left.scatter(true, predicted, s=14, color=BLUE, alpha=alpha, linewidths=0)
    right.scatter(predicted, residuals, s=14, color=BLUE, alpha=alpha, linewidths=0)
    ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    left.plot(ends, ends, color=VERMILLION, linestyle="--", linewidth=1.6)
    right.axhline(0.0, color=VERMILLION, linestyle="--", linewidth=1.6)
    few_ticks(left)
    few_ticks(right)
    share = r_squared(true, predicted)
    of_variance = f"R² {in_letters(decimal(share))}" if np.isfinite(share) else "no R²: a constant target"
    notes = {left: of_variance, right: f"mean absolute {in_letters(decimal(float(np.abs(residuals).mean()), 3))}"}
    for axes, said in notes.items():
        note(axes, said)
