"""Gradients and updates of every layer over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnscratch.report.picture_files import save
from nnscratch.report.style import (
    WIDTH,
    add_legend,
    column,
    draw_line,
    dress,
    epoch_numbers,
    head,
    legend_columns,
    line_style,
    log_axis,
    most_legend_letters,
    new_figure,
    nothing_to_show,
    plain_apart,
    whole_numbers,
)
from nnscratch.report.values import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch


def gradient_flow(epochs: Sequence[Row], path: Path, *, title: str = "", width: float = WIDTH) -> Figure:
    """Gradient norm and update ratio of every layer over the epochs, on logarithmic axes.

    Reads `gradient_norm/<layer>` and `update_ratio/<layer>`. The band marks ratios of 1e-4 to 1e-2: far below, a layer
    hardly learns; far above, it jumps.
    """
    panels = (("gradient_norm/", "Gradient norm", "norm"), ("update_ratio/", "Update ratio", "|update| / |weights|"))
    # dict.fromkeys keeps the network's own order of layers.
    prefixes = tuple(prefix for prefix, _, _ in panels)
    layers = list(dict.fromkeys(key.split("/", 1)[1] for row in epochs for key in row if key.startswith(prefixes)))
    # With very many layers the ends of the colour scale are enough.
    named = layers if len(layers) <= 12 else [*layers[:3], layers[len(layers) // 2], *layers[-3:]]
    longest = min(max(map(len, named), default=0), most_legend_letters(width))
    columns = legend_columns(longest, width)
    legend_height = 0.2 * (len(named) // columns + 1)
    figure = new_figure((3.7 if width >= 6 else 6.4) + legend_height, width)
    numbers = epoch_numbers(epochs)
    handles: dict[str, Line2D] = {}
    band: Patch | None = None
    for index, (prefix, heading, label) in enumerate(panels):
        axes = figure.add_subplot(*((1, 2) if width >= 6 else (2, 1)), index + 1)
        dress(axes, title=heading, x="epoch", y=label)
        for position, layer in enumerate(layers):
            values = column(epochs, prefix + layer)
            values[~(values > 0)] = np.nan  # a logarithmic axis has no zero
            if not np.isfinite(values).any():
                continue
            color, dashes, marker = _depth_style(position, len(layers))
            handles[layer] = draw_line(axes, numbers, values, color, dashes, marker, 1.6)
        if axes.lines:
            log_axis(axes)
        else:
            nothing_to_show(axes, "not recorded")
        if prefix == "update_ratio/" and axes.lines:
            band = axes.axhspan(1e-4, 1e-2, color="#dfe4ea", zorder=0)
        whole_numbers(axes)
    if handles:
        labels = dict(zip(named, plain_apart(named, longest), strict=True))
        shown = {labels[name]: handles[name] for name in named if name in handles}
        bands = {} if band is None else {"healthy": band}
        add_legend(figure, [*shown.values(), *bands.values()], [*shown, *bands], columns=columns)
    head(figure, title)
    return save(figure, path)


def _depth_style(position: int, layers: int) -> tuple[str, str, str]:
    """Few layers look distinct; many run from dark (first) to light (last)."""
    style = line_style(position)
    if layers <= 7:
        return style.color, style.dashes, style.marker
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return to_hex(colormaps["cividis"](0.9 * position / (layers - 1))), style.dashes, ""
