"""How every plot looks: fonts, colours, and writing it to a file.

Colours are those of Okabe & Ito (2008), which colour-blind readers can tell apart; every series also differs in line
style and marker, so a plot printed in grey still reads. Nothing goes through pyplot or the global rcParams.
"""

from __future__ import annotations

import io
import logging
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nnscratch.errors import UsageError
from nnscratch.report.files import write_atomically
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
NARROW = 4.0  # for a telephone, and one column of a paper: panels side by side go below each other
DOTS_PER_INCH = 150
TITLE, TEXT, SMALL = 11.5, 10.0, 8.5  # points
MOST_LETTERS = 1000

BEGINNINGS = {".png": b"\x89PNG\r\n\x1a\n", ".pdf": b"%PDF-", ".svg": b"<?xml"}
"""The formats of pictures by the suffix that chooses them, each with how its files begin."""


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
    """At most six ticks on each axis, of round numbers, large and small ones by their power of ten."""
    axes.locator_params(nbins=5, steps=[1, 2, 5, 10])
    for scale in (axes.xaxis, axes.yaxis):
        common_power(scale, (-3, 4))


def common_power(scale: Axis, limits: tuple[int, int]) -> None:
    """Numbers outside 10^limits[0] to 10^limits[1] by their power of ten."""
    from nnscratch.report.powers import CommonPower

    scale.set_major_formatter(CommonPower(limits))
    scale.get_offset_text().set_fontsize(SMALL)


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
    """The tick at a power of ten by its exponent; any other, where the axis shows less in the end, as it is."""
    from nnscratch.report.powers import power_of_ten

    exponent = round(math.log10(value)) if value > 0 else 0
    return power_of_ten(exponent) if math.isclose(value, 10.0**exponent) else f"{value:g}"


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


def picture_suffix(path: Path) -> str:
    """The suffix that says which format `path` gets: .png, .pdf or .svg. Raises UsageError for another."""
    suffix = path.suffix.lower()
    if suffix not in BEGINNINGS:
        raise UsageError(f"{path} is not the name of a picture", f"its end chooses the format: {', '.join(BEGINNINGS)}")
    return suffix


def to_bytes(figure: Figure, suffix: str) -> bytes:
    """The figure as .png, .pdf or .svg, the same bytes for the same figure; letters of a PDF stay letters."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    # savefig would draw everything twice, the first time for the layout alone: this takes a third of the time off.
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
    stream = io.BytesIO()
    if suffix == ".png":
        FigureCanvasAgg(figure).print_png(stream, metadata={"Software": None})  # type: ignore[no-untyped-call]  # matplotlib leaves it untyped
        return stream.getvalue()
    # These writers take what makes their files reproducible from the settings alone.
    with rc_context({"svg.hashsalt": "nnscratch", "pdf.fonttype": 42}):
        dates = {"Date": None} if suffix == ".svg" else {"CreationDate": None}
        figure.savefig(stream, format=suffix[1:], metadata=dates)
    return stream.getvalue()


def save(figure: Figure, path: Path) -> Figure:
    """Write the figure to `path`, whose suffix chooses PNG, PDF or SVG, atomically, and hand it back."""
    write_atomically(path, to_bytes(figure, picture_suffix(path)))
    return figure
