"""Drawings in SVG, put together as text in about a millisecond: for pages that are made again while something runs.

matplotlib, which draws whatever stays as a file, takes half a second of a core to load and 0.2 s for a picture: every
ten seconds that would be more than the hundredth of a training that such a page may cost. Colours are the page's (the
classes of page.css), so that a drawing is dark in the dark, and what it points at says its values under the mouse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nnscratch.report.elements import text_of

WIDTH, HEIGHT = 420, 270  # units, which a screen of 400 pixels shows a little smaller, a wide one a little larger
LEFT, RIGHT, TOP, BOTTOM = 50, 12, 34, 40
LETTER, TITLE_LETTER = 6.4, 8.2  # how wide one is
ROW = 18  # of a legend
MOST_POINTS = 400
STEPS = (1, 2, 5, 10)

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """From values to places between 0 and 1, and where the ticks are."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    is_logarithmic: bool = False

    def place(self, value: float) -> float:
        if self.is_logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear_axis(low: float, high: float, text: Callable[[float], str], most: int = 6, *, whole: bool = False) -> Axis:
    """From low to high, which may be equal, with at most so many ticks at round numbers."""
    if not high > low:
        margin = 0.5 if whole else abs(low) * 0.05 or 0.5
        low, high = low - margin, high + margin
    exponent = math.floor(math.log10((high - low) / most))
    steps = (step * 10.0**exponent for step in STEPS)
    step = next((each for each in steps if (high - low) / each < most), 10.0 ** (exponent + 1))
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = [number * step for number in range(first, last + 1)]
    return Axis(low, high, tuple((tick, text(tick)) for tick in ticks))


def logarithmic_axis(low: float, high: float, text: Callable[[float], str]) -> Axis:
    """From low to high, both above 0: over less than two decades with ticks at 1, 2 and 5 of each, else at its 1."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1.0, 2.0, 5.0) if high < 100 * low else (1.0,)
    every = 1 + len(decades) // 7 if len(factors) == 1 else 1
    ticks = [factor * 10.0**decade for decade in decades[::every] for factor in factors]
    return Axis(low, high, tuple((tick, text(tick)) for tick in ticks if low <= tick <= high), is_logarithmic=True)


def spread(values: Iterable[float], share: float = 0.05) -> Point:
    """The lowest and the highest of the finite values, with that share of room on both sides; 0 and 1 for none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    room = share * (high - low)
    return low - room, high + room


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> Sequence[Point]:
    """About so many of them at the most, evenly chosen, the last among them."""
    every = -(-len(points) // most)
    return points if every <= 1 else [*points[:-1:every], points[-1]]


class Chart:
    """Lines and points over two axes. What is of one `kind` looks as the class of that name in page.css says."""

    def __init__(self, title: str, x: Axis, y: Axis, *, x_title: str = "") -> None:
        self._x, self._y, self._title = x, y, title
        self._parts = [*self._grid(), self._text(WIDTH - RIGHT, HEIGHT - 6, x_title, "end")]
        self._legend: list[tuple[str, str]] = []

    def at(self, point: Point) -> Point:
        """Where a point of the axes is in the drawing."""
        across, up = self._x.place(point[0]), self._y.place(point[1])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def add_line(self, points: Sequence[Point], kind: str, label: str = "", *, steps: bool = False) -> None:
        """Joins the finite points; where there are few, each is marked. A step goes on to the next point's place."""
        finite = [point for point in points if all(map(math.isfinite, point))]
        if not finite:
            return
        shown = list(thinned(finite))
        if steps:
            corners = [each for old, new in pairwise(shown) for each in ((new[0], old[1]), new)]
            shown = [shown[0], *corners]
        places = [self.at(point) for point in shown]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        self._parts.append(f'<polyline class="line {kind}" points="{path}"/>')
        if len(finite) <= 15 and not steps:
            self._parts += [f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in places]
        if label:
            self._legend.append((kind, label))

    def add_point(self, point: Point, kind: str, said: str = "", radius: float = 4.0) -> None:
        """A dot that says something under the mouse."""
        x, y = self.at(point)
        hint = f"<title>{text_of(said)}</title>" if said else ""
        self._parts.append(f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">{hint}</circle>')

    def add_legend(self, kind: str, label: str) -> None:
        """What a kind of points is."""
        self._legend.append((kind, label))

    def add_mark(self, x: float, label: str, *, at_top: bool) -> None:
        """A dotted line across, and at one of its ends what is there, on the side that has room."""
        place, _ = self.at((x, self._y.low))
        top, bottom = TOP, HEIGHT - BOTTOM
        self._parts.append(f'<line class="mark" x1="{place:.1f}" x2="{place:.1f}" y1="{top}" y2="{bottom}"/>')
        is_left = place + LETTER * len(label) + 5 < WIDTH - RIGHT
        y = top + 10 if at_top else bottom - 6
        self._parts.append(self._text(place + (5 if is_left else -5), y, label, "start" if is_left else "end"))

    def svg(self, alt: str) -> str:
        """The drawing as an element of a page; `alt` says it in words."""
        rows = self._legend_rows()
        above = ROW * (len(rows) - 1)
        return svg_element(WIDTH, HEIGHT, [*self._parts, *self._head(rows, -above)], alt, above=above)

    def _grid(self) -> Iterable[str]:
        left, right, top, bottom = LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM
        for value, label in self._y.ticks:
            _, y = self.at((self._x.low, value))
            yield f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield self._text(left - 6, y + 4, label, "end")
        for value, label in self._x.ticks:
            x, _ = self.at((value, self._y.low))
            yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
            yield self._text(x, bottom + 17, label, "middle")
        yield f'<polyline class="axis" points="{left},{top} {left},{bottom} {right},{bottom}"/>'

    def _legend_rows(self) -> list[list[tuple[str, str]]]:
        """The legend beside the title, or in rows below it when there is no room."""
        if sum(map(_key_width, self._legend)) <= WIDTH - RIGHT - TITLE_LETTER * len(self._title):
            return [self._legend]
        rows: list[list[tuple[str, str]]] = [[]]
        left = 0.0
        for each in self._legend:
            left -= _key_width(each)
            if left < 0:
                rows.append([])
                left = WIDTH - RIGHT - _key_width(each)
            rows[-1].append(each)
        return rows

    def _head(self, rows: list[list[tuple[str, str]]], top: float) -> Iterable[str]:
        yield f'<text class="title" x="0" y="{16 + top:g}">{text_of(self._title)}</text>'
        for y, row in enumerate(rows):
            x = WIDTH - RIGHT - sum(map(_key_width, row))
            for kind, label in row:
                middle = 12 + top + ROW * y
                yield f'<line class="line {kind}" x1="{x:.1f}" x2="{x + 22:.1f}" y1="{middle:g}" y2="{middle:g}"/>'
                yield self._text(x + 26, middle + 4, label, "start")
                x += _key_width((kind, label))

    @staticmethod
    def _text(x: float, y: float, text: str, anchor: str) -> str:
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text_of(text)}</text>' if text else ""


def _key_width(key: tuple[str, str]) -> float:
    return LETTER * len(key[1]) + 38


def svg_element(
    width: float, height: float, parts: Iterable[str], alt: str, style: str = "", *, above: float = 0
) -> str:
    """An svg element of so many units, and some `above` 0, as large as its place on the page."""
    looks = f' style="{style}"' if style else ""
    box = f"0 {-above:g} {width:g} {height + above:g}"
    return f'<svg class="drawing"{looks} viewBox="{box}" role="img" aria-label="{text_of(alt)}">{"".join(parts)}</svg>'
