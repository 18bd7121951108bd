"""The page of a run, or of a sweep: HTML that needs no network, no script and no other file.

Every text is escaped, and a content security policy forbids the page to load or run anything, whatever a class name or
a config may contain.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from string import Template

from nnscratch.report.formats import percent, printable
from nnscratch.report.tables import Table

_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
$live<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<header>
$header
</header>
<nav aria-label="Sections">
$links
</nav>
<main>
$sections
</main>
<footer>$footer</footer>
</body>
</html>
""")


LIVE = '<meta name="nnscratch" content="live">'
"""In the head of a page that was made while its training ran: it is no report yet."""


@dataclass(frozen=True)
class Live:
    """That the page is made again while something runs: which share of it is done, and how often to look.

    After so many seconds the browser loads the page anew; never, when it is 0 since all is over.
    """

    done: float
    seconds: int


@dataclass(frozen=True)
class Headline:
    """A figure at the top of the page: what it is, the figure, and a remark below it."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A plot as PNG; `alt` says in words what a reader who cannot see it should know.

    `narrow` is the same plot drawn for a screen that is 400 pixels wide.
    """

    png: bytes
    alt: str
    caption: str = ""
    narrow: bytes | None = None
    film: bytes | None = None
    """The same over the epochs, as GIF."""


@dataclass(frozen=True)
class Mistake:
    """A wrong prediction: the picture (None for data that is none), the truth, the guess and its probability."""

    true: str
    predicted: str
    confidence: float
    png: bytes | None = None
    source: str = ""


@dataclass(frozen=True)
class ReportContents:
    """Everything a report can show, as plain values; what is empty is left out of the page."""

    name: str
    subtitle: str = ""
    status: str = ""
    headlines: tuple[Headline, ...] = ()
    notes: tuple[str, ...] = ()
    command: str = ""
    command_label: str = "Repeat this run"
    live: Live | None = None
    drawings: tuple[str, ...] = ()
    """Curves in SVG, in place of those that are a picture."""
    latest: Table | None = None
    """The rows of the last epochs."""
    config: str = ""
    network: Table | None = None
    figures: Table | None = None
    curves: Picture | None = None
    learned: Picture | None = None
    """Of data with one or two features, what the network makes of them."""
    confusion_matrix: Picture | None = None
    most_confused: Table | None = None
    per_class: Table | None = None
    class_plots: tuple[Picture, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    plots: tuple[Picture, ...] = ()
    timings: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    footer: str = ""


def render_report(contents: ReportContents) -> str:
    """The whole page as text, to be written as UTF-8."""
    sections = [section for section in _sections(contents) if section.body]
    return _PAGE.substitute(
        title=_title(contents),
        live=_live(contents.live),
        style=files("nnscratch.report").joinpath("page.css").read_text(encoding="utf-8"),
        header=_header(contents),
        links="\n".join(f'<a href="#{section.anchor}">{section.heading}</a>' for section in sections),
        sections="\n".join(
            f'<section id="{section.anchor}" aria-labelledby="{section.anchor}-heading">\n'
            f'<h2 id="{section.anchor}-heading">{section.heading}</h2>\n{section.body}\n</section>'
            for section in sections
        ),
        footer=_text(contents.footer or "Written by nnscratch. This page loads nothing from the network."),
    )


@dataclass(frozen=True)
class _Section:
    anchor: str
    heading: str
    body: str


def _sections(contents: ReportContents) -> Iterator[_Section]:
    """All sections in the order of the page; one without data has an empty body."""
    yield _Section("figures", "Figures", _table(contents.figures, "Figures, each with its 95 % bootstrap interval"))
    drawings = f'<div class="drawings">{"".join(contents.drawings)}</div>' if contents.drawings else ""
    yield _Section("curves", "Curves", drawings + _picture(contents.curves))
    yield _Section("latest", "Epochs, the latest first", _table(contents.latest, "Latest epochs"))
    yield _Section("learned", "What it learned", _picture(contents.learned))
    confusion = _picture(contents.confusion_matrix) + _table(contents.most_confused, "Most confused classes")
    yield _Section("confusion", "Confusion matrix", confusion)
    classes = _table(contents.per_class, "Scores by class") + "".join(map(_picture, contents.class_plots))
    yield _Section("classes", "Class by class" if contents.per_class else "Predictions and residuals", classes)
    yield _Section("mistakes", "Worst mistakes", _mistakes(contents.mistakes))
    yield _Section("inside", "Inside the network", "".join(map(_picture, contents.plots)))
    yield _Section("network", "Network", _table(contents.network, "Layers of the network"))
    yield _Section("configuration", "Configuration", _code(contents.config, "Configuration in YAML"))
    yield _Section("timings", "Timings", _pairs(contents.timings))
    yield _Section("environment", "Environment", _pairs(contents.environment))


def _header(contents: ReportContents) -> str:
    status = f' <span class="status {_status_class(contents.status)}">{_text(contents.status)}</span>'
    parts = [f"<h1>{_text(contents.name)}{status if contents.status else ''}</h1>"]
    if contents.live is not None:
        done = f"{100 * contents.live.done:.1f}"
        parts.append(f'<progress value="{done}" max="100" aria-label="Share that is done">{done} %</progress>')
    if contents.subtitle:
        parts.append(f'<p class="subtitle">{_text(contents.subtitle)}</p>')
    if contents.headlines:
        cards = "".join(
            f"<div><dt>{_text(line.label)}</dt><dd><strong>{_text(line.value)}</strong>"
            + (f"<small>{_text(line.note)}</small>" if line.note else "")
            + "</dd></div>"
            for line in contents.headlines
        )
        parts.append(f'<dl class="headlines">{cards}</dl>')
    parts += [f'<p class="note">{_text(note)}</p>' for note in contents.notes]
    if contents.command:
        label = _text(contents.command_label)
        parts.append(f'<p class="label">{label}</p>{_code(contents.command, f"Command: {label.lower()}")}')
    return "\n".join(parts)


def _title(contents: ReportContents) -> str:
    """What the browser's tab says: while it runs, how much is done."""
    name, live = _text(contents.name), contents.live
    return f"{100 * live.done:.0f} % of {name}" if live is not None and live.seconds else f"{name}: training report"


def _live(live: Live | None) -> str:
    if live is None:
        return ""
    again = f'<meta http-equiv="refresh" content="{live.seconds}">\n' if live.seconds else ""
    return f"{LIVE}\n{again}"


def _status_class(status: str) -> str:
    return {"completed": "good", "diverged": "bad", "failed": "bad", "killed": "bad"}.get(status, "plain")


def _text(text: str) -> str:
    return escape(printable(text))


def _code(text: str, label: str) -> str:
    if not text:
        return ""
    lines = "\n".join(map(_text, text.strip("\n").split("\n")))
    return f'<pre tabindex="0" role="region" aria-label="{_text(label)}"><code>{lines}</code></pre>'


def _picture(picture: Picture | None) -> str:
    if picture is None:
        return ""
    caption = f"<figcaption>{_text(picture.caption)}</figcaption>" if picture.caption else ""
    image = _image(picture.png, picture.alt)
    if picture.narrow is not None:
        width, height = _size(picture.narrow)
        size = f'width="{width}" height="{height}"'
        source = f'<source media="screen and (max-width: 560px)" srcset="{_data(picture.narrow)}" {size}>'
        image = f"<picture>{source}{image}</picture>"
    film = "" if picture.film is None else _film(picture.film, picture.alt)
    return f'<figure class="plot">{image}{caption}{film}</figure>'


def _film(gif: bytes, alt: str) -> str:
    """A GIF that is shown when somebody asks for it: what moves beside a text is a nuisance."""
    width, height = struct.unpack("<HH", gif[6:10])
    shown = f'<img src="{_data(gif, "gif")}" alt="{_text(alt)}, over the epochs" width="{width}" height="{height}">'
    return f"<details><summary>Over the epochs</summary>{shown}</details>"


def _image(png: bytes, alt: str) -> str:
    """An img element with its size, so that nothing moves while the page loads."""
    width, height = _size(png)
    return f'<img src="{_data(png)}" alt="{_text(alt)}" width="{width}" height="{height}">'


def _size(png: bytes) -> tuple[int, int]:
    """Width and height from the PNG's header."""
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("a report embeds PNG images only")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def _data(image: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"


def _table(table: Table | None, label: str) -> str:
    """The table in a box of its own that scrolls sideways on a narrow screen."""
    if table is None or not table.rows:
        return ""
    classes = [' class="number"' if column.is_number else "" for column in table.columns]
    titles = (_text(column.title) for column in table.columns)
    head = "".join(f'<th scope="col"{kind}>{title}</th>' for kind, title in zip(classes, titles, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{kind}>{_text(cell)}</td>" for kind, cell in zip(classes, row, strict=True)) + "</tr>"
        for row in table.rows
    )
    name = _text(label)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table><caption>{name}</caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _mistakes(mistakes: tuple[Mistake, ...]) -> str:
    if not mistakes:
        return ""
    return f'<ul class="mistakes">{"".join(map(_mistake, mistakes))}</ul>'


def _mistake(mistake: Mistake) -> str:
    image = _image(mistake.png, f"A {mistake.true} taken for {mistake.predicted}") if mistake.png else ""
    source = f"<small>{_text(mistake.source)}</small>" if mistake.source else ""
    sure = percent(mistake.confidence, 0).replace(" ", "&nbsp;")
    return (
        f'<li>{image}<span class="predicted">✗&nbsp;{_text(mistake.predicted)} {sure}</span>'
        f'<span class="true">is {_text(mistake.true)}</span>{source}</li>'
    )


def _pairs(pairs: Mapping[str, str]) -> str:
    if not pairs:
        return ""
    rows = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in pairs.items())
    return f'<dl class="pairs">{rows}</dl>'
