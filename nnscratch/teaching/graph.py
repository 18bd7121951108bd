"""The network of an explained step as a graph: SVG with shapes and numbers on its edges, gradients in a second colour.

Data runs downwards, on the left of each edge, and gradients upwards, on its right. The chains of a container stand
beside each other in its frame.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from html import escape

from nnscratch.report.formats import printable, shorten
from nnscratch.teaching.explanation import ArrayView, Explanation, Node, Phase, Section

SIDE = 168
"""Half of a column: room for the numbers on one side of an edge."""
BOX, BOX_HEIGHT = 236, 46
LINE = 15
"""From one line of numbers to the next."""
GAP = 28
"""Between the frame of a container and what is in it."""
FEW, LETTERS = 10, 21
"""Up to so many numbers are written out, in lines of so many letters."""

XMLNS = ' xmlns="http://www.w3.org/2000/svg"'

STYLE = """
.network text { font: 12px system-ui, sans-serif; fill: var(--ink, #1f2328); }
.network text.numbers { font: 11px ui-monospace, monospace; }
.network text.title { font-weight: 600; font-size: 13px; }
.network rect { fill: var(--box, #f6f8fa); stroke: var(--muted, #59636e); }
.network rect.frame { fill: none; stroke-dasharray: 4 3; }
.network circle { fill: var(--box, #f6f8fa); stroke: var(--muted, #59636e); }
.network path { fill: none; stroke-width: 1.6; }
.network .way path { stroke: var(--muted, #59636e); }
.network .forward path { stroke: var(--forward, #0072b2); }
.network .forward .head { fill: var(--forward, #0072b2); stroke: none; }
.network .forward text.numbers { fill: var(--forward, #0072b2); }
.network .gradient path { stroke: var(--gradient, #b34700); }
.network .gradient .head { fill: var(--gradient, #b34700); stroke: none; }
.network .gradient text { fill: var(--gradient, #b34700); }
"""


def graph_svg(explanation: Explanation, *, links: bool = False) -> str:
    """The graph as an SVG file; with `links` as an element of a page, where each layer leads to its section."""
    drawing = _Drawing(explanation, links)
    width, height = drawing.width, drawing.draw()
    title = escape(printable(f"{explanation.name}: training step {explanation.step}"))
    alone = f'{XMLNS} style="background: #ffffff"'  # on a dark page, too, its letters are dark
    return (
        f'<svg{"" if links else alone} class="network" role="img" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}"><title>{title}</title><style>{STYLE}</style>\n'
        + "\n".join(drawing.parts)
        + "\n</svg>"
    )


class _Drawing:
    """The parts of the picture, from above to below."""

    def __init__(self, explanation: Explanation, links: bool) -> None:
        self.told, self.links = explanation, links
        self.order = {section.title: number for number, section in enumerate(explanation.sections, 1)}
        self.parts: list[str] = []
        self.width = max(_width(explanation.network), 2 * SIDE)

    def draw(self) -> int:
        """Draws all, and gives the height."""
        told, middle = self.told, self.width // 2
        y = self.box(middle, 4, "x", f"example {told.example.index}: {told.example.target}")
        y = self.chain(told.network, middle, y)
        return self.box(middle, y, "loss", f"L = {told.loss:.4g} over the batch") + 4

    def chain(self, nodes: tuple[Node, ...], middle: int, y: int) -> int:
        """Layer below layer, each with the edge that leads to it, and the edge that leads away."""
        for node in nodes:
            y = self.edge(middle, y, (node.x, self.first(node, "forward")), (node.dx, self.last(node, "backward")))
            y = self.node(node, middle, y)
        if nodes:
            end = nodes[-1]
            y = self.edge(middle, y, (end.y, self.last(end, "forward")), (end.dy, self.first(end, "backward")))
        return y

    def first(self, node: Node, phase: Phase) -> int:
        """After which section it is known what the node is given in that phase."""
        paths = [each.path for each in _within(node)]
        return min(self.order[f"{phase} {path}"] for path in paths if f"{phase} {path}" in self.order) - 1

    def last(self, node: Node, phase: Phase) -> int:
        """From which section on it is known what the node gives."""
        return self.order.get(f"{phase} {node.path}", 0)

    def node(self, node: Node, middle: int, y: int) -> int:
        weights = ", ".join(f"{name} {_shape(shape)}" for name, shape in node.weights)
        return self.frame(node, middle, y) if node.chains else self.box(middle, y, node.path, weights)

    def frame(self, node: Node, middle: int, top: int) -> int:
        """A container: its chains beside each other, which begin with its x, and what joins their ends."""
        width, place = _width((node,)), len(self.parts)
        left, ends = middle - width // 2 + GAP, []
        for chain in node.chains:
            own = max(_width(chain), 2 * SIDE)
            column, left = left + own // 2, left + own
            self.parts.append(f'<g class="way"><path d="M{middle} {top} L{column} {top + GAP}"/></g>')
            if chain:
                ends.append((column, self.chain(chain, column, top + GAP)))
            else:
                given = (node.x, self.first(node, "forward"))
                ends.append((column, self.edge(column, top + GAP, given, (node.dy, self.first(node, "backward")))))
        lowest = max(end for _, end in ends)
        for column, end in ends:
            way = f"M{column} {end} L{column} {lowest} L{middle} {lowest + GAP}"
            self.parts.append(f'<g class="way"><path d="{way}"/></g>')
        self.parts.append(f'<circle cx="{middle}" cy="{lowest + GAP}" r="11"/>')
        self.parts.append(_text(middle, lowest + GAP + 5, node.joins, "title", "middle"))
        end = lowest + GAP + 20
        drawn = f'<rect class="frame" x="{middle - width // 2}" y="{top}" width="{width}" height="{end - top}" rx="8"/>'
        drawn += _text(middle - width // 2 + 10, end - 10, node.path, "title", "start")
        self.parts.insert(place, self.link(drawn, node.path))
        return end

    def box(self, middle: int, y: int, title: str, detail: str) -> int:
        drawn = f'<rect x="{middle - BOX // 2}" y="{y}" width="{BOX}" height="{BOX_HEIGHT}" rx="6"/>'
        drawn += _text(middle, y + (19 if detail else 28), title, "title", "middle")
        drawn += _text(middle, y + 36, shorten(detail, 36), "", "middle") if detail else ""
        self.parts.append(self.link(drawn, title))
        return y + BOX_HEIGHT

    def link(self, drawn: str, place: str) -> str:
        """What is drawn, with the numbers of the sections there: a link to the first, when links are wanted."""
        sections = enumerate(self.told.sections, 1)
        numbers = [str(number) for number, section in sections if _layer_of(section) == place]
        if not self.links or not numbers:
            return f"<g>{drawn}</g>"
        return f'<a class="node" href="#step-{numbers[0]}" data-steps="{" ".join(numbers)}">{drawn}</a>'

    def edge(self, middle: int, y: int, forward: tuple[ArrayView, int], gradient: tuple[ArrayView | None, int]) -> int:
        """An edge with its numbers, each with the section from which on they are known."""
        (given, known), (arriving, known_back) = forward, gradient
        downward, upward = _numbers(given), [] if arriving is None else _numbers(arriving)
        end = y + max(LINE * (1 + max(len(downward), len(upward))) + 20, 50)
        left, right = middle - 8, middle + 8
        words = _lines(left - 10, y + 19, [_shape(given.shape), *downward], "end")
        self.parts.append(f'<g class="forward" data-known="{known}">{_arrow(left, y + 3, end - 2)}{words}</g>')
        if arriving is not None:
            words = _lines(right + 10, y + 19, ["gradient", *upward], "start")
            arrow = _arrow(right, end - 3, y + 2)
            self.parts.append(f'<g class="gradient" data-known="{known_back}">{arrow}{words}</g>')
        return end


def _width(nodes: tuple[Node, ...]) -> int:
    """How wide a chain is drawn."""
    inside = [sum(max(_width(chain), 2 * SIDE) for chain in node.chains) for node in nodes]
    return max((each + 2 * GAP if each else BOX for each in inside), default=0)


def _layer_of(section: Section) -> str:
    """The path of the layer that a section is at; `loss` for the loss."""
    if section.phase in ("update", "average"):
        return section.place.rpartition(".")[0]
    return section.place or section.phase


def _within(node: Node) -> Iterator[Node]:
    yield node
    for chain in node.chains:
        for inner in chain:
            yield from _within(inner)


def _arrow(x: int, start: int, end: int) -> str:
    back = -7 if end > start else 7
    return f'<path d="M{x} {start} L{x} {end + back}"/><path class="head" d="M{x} {end} l-4 {back} l8 0 z"/>'


def _text(x: int, y: int, words: str, kind: str, anchor: str) -> str:
    look = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{look}>{escape(printable(words))}</text>'


def _lines(x: int, y: int, lines: list[str], anchor: str) -> str:
    """A heading, and numbers below it."""
    head, *numbers = lines
    below = (_text(x, y + LINE * row, line, "numbers", anchor) for row, line in enumerate(numbers, 1))
    return _text(x, y, head, "", anchor) + "".join(below)


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "1"


def _numbers(view: ArrayView) -> list[str]:
    """The numbers themselves when they are few, else their range."""
    if view.values is not None and len(view.shape) == 1 and view.shape[0] <= FEW:
        return textwrap.wrap(" ".join(map(_number, view.values)), LETTERS)
    return [f"{_number(view.figures['min'])} … {_number(view.figures['max'])}"]


def _number(value: float) -> str:
    return f"{value + 0.0:.3g}".replace("-", "−")
