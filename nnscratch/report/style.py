"""How every plot looks: fonts, colours, axes and legends.

Colours are those of Okabe & Ito (2008), which colour-blind readers can tell apart; every series also differs in line
style and marker, so a plot printed in grey still reads. Nothing goes through pyplot or the global rcParams.
"""

from __future__ import annotations

import logging
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nnscratch.report.formats import printable, shorten
from nnscratch.report.values import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D

BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, ORANGE, BLACK = "#56B4E9", "#E69F00", "#000000"
WINE, OLIVE, GREY, BROWN = "#882255", "#999933", "#8c959f", "#7a4b2b"
INK, MUTED, FAINT = "#1f2328", "#59636e", "#d8dee4"

WIDTH = 8.0  # inches: shown 800 pixels wide, 10 points are 14 pixels
LETTER, LINE_OF_LEGEND = 0.075, 0.75  # inches: how wide a letter of a legend is, and at most what stands before it
SAMPLE = 0.62  # inches: what stands before it where the letters are counted one by one
AXIS, LETTER_OF_TITLE = 0.9, 0.105  # inches that the labels of an axis take, and a letter of a panel's title
NARROW = 4.0  # for a telephone, and one column of a paper: panels side by side go below each other
DOTS_PER_INCH = 150
TITLE, TEXT, SMALL, SMALLEST = 11.5, 10.0, 8.5, 7.0  # points
MOST_LETTERS = 1000
LONGEST_TICK = 8  # letters, of which five ticks stand beside each other


@dataclass(frozen=True)
class LineStyle:
    """A series' looks: no two of the first 11 share their colour, of 44 colour and dashes, of 110 colour and marker."""

    color: str
    dashes: str
    marker: str


def line_style(index: int) -> LineStyle:
    """The looks of series number `index`."""
    colors = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK, WINE, OLIVE, GREY, BROWN)
    dashes, markers = ("-", "--", "-.", ":"), "osD^vPX<>p"
    # 11 has no common divisor with 4 nor with 10: together they repeat as late as can be.
    return LineStyle(colors[index % 11], dashes[index % 4], markers[index % 10])


@contextmanager
def own_looks() -> Iterator[None]:
    """Inside, matplotlib draws by its own settings and is silent, whatever a matplotlibrc says.

    It reads the one of the folder where one stands, anybody's: that may change every picture, and with usetex start
    programs. The settings of who uses nnscratch from Python are as before in the end.
    """
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        from matplotlib import rc_context, rcParamsDefault

        # No ticks nor powers of ten stand above axes, whose titles need not be moved, which takes a tenth of the time.
        settings = {**rcParamsDefault, "axes.titley": 1.0}
        with rc_context({name: value for name, value in settings.items() if name != "backend"}):
            yield
    finally:
        logger.setLevel(level)


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty white figure of `width` x `height` inches that lays itself out."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def dress(
    axes: Axes, *, title: str = "", x: str = "", y: str = "", grid: Literal["x", "y", "both"] | None = "y"
) -> None:
    """Give axes a title, labels and the common looks."""
    axes.set_title(plain(title, 90), loc="left", fontsize=TITLE, color=INK, fontweight="bold")
    axes.set_xlabel(plain(x, 90), fontsize=TEXT, color=INK)
    axes.set_ylabel(plain(y, 90), fontsize=TEXT, color=INK)
    axes.tick_params(which="both", labelsize=SMALL + 0.5, colors=MUTED, labelcolor=INK, length=3)
    axes.set_facecolor("white")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(visible=True, axis=grid, color=FAINT, linewidth=0.8)


def note(axes: Axes, text: str) -> None:
    """A remark right above the axes, beside their title, or below it where there is no room."""
    place = axes.get_subplotspec()
    share = len(place.colspan) / place.get_gridspec().ncols if place is not None else 1.0
    title = axes.get_title(loc="left")
    if width_of(axes.figure) * share < AXIS + LETTER_OF_TITLE * len(title) + LETTER * len(text):
        axes.set_title(f"{title}\n", loc="left", fontsize=TITLE, color=INK, fontweight="bold")
    axes.set_title(plain(text, 40), loc="right", fontsize=SMALL + 0.5, color=INK)


def head(figure: Figure, title: str) -> None:
    """The figure's own title, top left, in as many lines as the width asks for; nothing for an empty one."""
    if title:
        size = TITLE + 1.5
        letters = int(0.98 * 72 * width_of(figure) / (0.66 * size))  # bold ones are two thirds as wide as high
        lines = textwrap.wrap(plain(title, 90), max(letters, 10))
        figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=size, color=INK, fontweight="bold")


def width_of(figure: Any) -> float:
    """Inches; of a part of a figure, those of the whole."""
    return float(figure.get_figure(root=True).get_figwidth())


def legend_columns(longest: int, width: float) -> int:
    """How many labels of so many letters stand beside each other."""
    return int(np.clip(width / (longest * LETTER + LINE_OF_LEGEND), 1, 4))


def most_legend_letters(width: float) -> int:
    """How long a label may be in a picture of that width."""
    return int((width - LINE_OF_LEGEND) / LETTER)


def add_legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str], *, columns: int = 1) -> Legend:
    """A legend below the panels that shows every label as it is written, in that many columns or as many as fit.

    Handles are artists or containers of bars.
    """
    shown = [plain(label, 60) for label in labels]
    while columns > 1 and _width_of_legend(shown, columns) > width_of(figure):
        columns -= 1
    # matplotlib drops labels that start with an underscore; text set afterwards is left alone.
    legend = figure.legend(
        handles, ["series"] * len(handles), loc="outside lower center", ncols=columns, fontsize=SMALL + 0.5,
        framealpha=0.85, edgecolor=FAINT, handlelength=3.2, borderaxespad=0.3,
    )  # fmt: skip
    for text, label in zip(legend.get_texts(), shown, strict=True):
        text.set_text(label)
        text.set_color(INK)
    return legend


def _width_of_legend(labels: Sequence[str], columns: int) -> float:
    """Inches, about; each column is as wide as its longest label."""
    parts = np.array_split(np.array(labels, object), columns)
    return sum(max(map(len, part)) * LETTER + SAMPLE for part in parts if len(part))


def plain(text: str, limit: int = 24) -> str:
    """`text` for matplotlib: shown letter by letter (a `$` starts no formula), on one line, at most `limit` long.

    Letters that matplotlib's own font lacks, as of Chinese, are written by their number, `\\u732b`: no other font is
    on every machine. What is plain already stays as it is.
    """
    shown = printable(text)
    drawable = shown if shown.isascii() else "".join(map(_drawable, shown))
    return re.sub(r"(?<!\\)\$", r"\$", shorten(drawable, limit))


def plain_apart(names: Sequence[str], limit: int) -> list[str]:
    """The same for several names, which stay apart where their first letters are alike: `a long n…me of 1`."""
    shown = [plain(name, limit) for name in names]
    if len(set(shown)) == len(set(names)):
        return shown
    keep = (limit - 1) // 2
    full = [plain(name, MOST_LETTERS) for name in names]
    ends = [name if len(name) <= limit else f"{name[: limit - 1 - keep]}…{name[-keep:]}" for name in full]
    if len(set(ends)) == len(set(names)):
        return ends
    return [plain(f"{number}: {name}", limit) for number, name in enumerate(names, 1)]


def _drawable(letter: str) -> str:
    return letter if ord(letter) in _letters_of_the_font() else letter.encode("unicode_escape").decode()


@cache
def _letters_of_the_font() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def few_ticks(axes: Axes) -> None:
    """Five or six ticks at most, of round numbers, large and small ones by their power of ten.

    Where that leaves them too long to stand beside each other, as of 1,700,000,000 to 1,700,000,500, they say by how
    much they are more than a number that the axis' label says: it is there already, as are the axis' limits.
    """
    axes.locator_params(axis="x", nbins=4, steps=[1, 2, 5, 10])
    axes.locator_params(axis="y", nbins=5, steps=[1, 2, 5, 10])
    for scale in (axes.xaxis, axes.yaxis):
        common_power(scale, (-3, 4))
        ticks = scale.get_major_formatter().format_ticks(list(scale.get_majorticklocs()))
        if max(map(len, ticks), default=0) > LONGEST_TICK:
            _say_offset(scale)


def _say_offset(scale: Axis) -> None:
    from nnscratch.report.powers import CommonPower, in_letters, offset_of

    offset = offset_of(*sorted(scale.get_view_interval()))
    if offset:
        sign, size = "−" if offset > 0 else "+", abs(offset)
        told = f"{size:,.0f}" if size == round(size) < 1e15 else in_letters(f"{size:.15g}")
        label = scale.get_label_text()
        scale.set_label_text(f"({label}) {sign} {told}" if ", " in label else f"{label} {sign} {told}")
        scale.set_major_formatter(CommonPower((-3, 4), offset))


def common_power(scale: Axis, limits: tuple[int, int]) -> None:
    """Numbers outside 10^limits[0] to 10^limits[1] by their power of ten."""
    from nnscratch.report.powers import CommonPower

    scale.set_major_formatter(CommonPower(limits))


def whole_numbers(axes: Axes) -> None:
    """Epochs and trials are counted: no tick at 2.5."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1, steps=[1, 2, 5, 10]))


def percent_axis(axes: Axes, *, axis: Literal["x", "y"] = "y") -> None:
    """Ticks like `40 %` on an axis of fractions."""
    scale = axes.yaxis if axis == "y" else axes.xaxis
    axes.locator_params(axis=axis, steps=[1, 2, 5, 10])
    scale.set_major_formatter(lambda value, _: f"{100 * value:.6g} %")


def log_axis(axes: Axes, *, axis: Literal["x", "y"] = "y") -> None:
    """A logarithmic axis with ticks like 0.02, 0.05, 0.1; over more than two decades at the powers of ten only."""
    from matplotlib.ticker import LogLocator, NullFormatter

    (axes.set_yscale if axis == "y" else axes.set_xscale)("log")
    low, high = sorted(axes.get_ylim() if axis == "y" else axes.get_xlim())
    scale = axes.yaxis if axis == "y" else axes.xaxis
    if high < 100 * low:
        scale.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
        scale.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        scale.set_major_formatter(lambda value, _: _decade(value))
    scale.set_minor_formatter(NullFormatter())


def _decade(value: float) -> str:
    """The tick at a power of ten, the only ones that such an axis has."""
    from nnscratch.report.powers import power_of_ten

    return power_of_ten(round(math.log10(value)))


def column(rows: Sequence[Row], key: str) -> NDArray[np.float64]:
    """One value per row as float64; NaN where it is missing or not finite."""
    found = [row.get(key) for row in rows]
    values = np.array([np.nan if value is None else float(value) for value in found], dtype=np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


def epoch_numbers(rows: Sequence[Row]) -> NDArray[np.float64]:
    """The rows' epochs; counted from 1 where a row does not say."""
    epochs = column(rows, "epoch")
    return np.where(np.isnan(epochs), np.arange(1, len(rows) + 1), epochs)


def wants_log_scale(values: NDArray[np.float64], ratio: float = 50.0) -> bool:
    """Whether all values are positive and the largest is `ratio` times the smallest or more."""
    finite = values[np.isfinite(values)]
    return bool(finite.size) and bool(finite.min() > 0) and bool(finite.max() >= ratio * finite.min())


def draw_line(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], color: str, dashes: str, marker: str, width: float = 2.0
) -> Line2D:
    """Join the finite points, so that a metric recorded every few epochs is still a line."""
    finite = np.isfinite(y)
    few = np.count_nonzero(finite) <= 15
    (line,) = axes.plot(
        x[finite], y[finite], color=color, linestyle=dashes, marker=marker if few else None, markersize=4.5,
        linewidth=width,
    )  # fmt: skip
    return line


def nothing_to_show(axes: Axes, reason: str) -> None:
    """Say inside empty axes why they are empty."""
    axes.text(0.5, 0.5, plain(reason, 80), ha="center", va="center", transform=axes.transAxes, color=MUTED)
