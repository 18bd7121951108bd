"""A curve on one line of a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """The values as bars between their lowest and their highest, each the mean of as many as fit into `width`.

    `▁▃▅▇█`; a space for what is not finite.
    """
    cells = min(len(values), width)
    means = [_mean(values[at * len(values) // cells : (at + 1) * len(values) // cells]) for at in range(cells)]
    finite = [mean for mean in means if math.isfinite(mean)]
    if not finite:
        return " " * cells
    low, span = min(finite), max(finite) - min(finite)
    return "".join(
        BARS[round((len(BARS) - 1) * (mean - low) / span) if span else 0] if math.isfinite(mean) else " "
        for mean in means
    )


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
