"""What pages are made of: HTML that needs no network, no script and no other file.

Every text is escaped, and a content security policy forbids the page to load or run anything, whatever a class name or
a config may contain.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

from nnscratch.report.formats import printable
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
class Head:
    """The top of a page, and its last line: what it is of, how that stands, its figures, what to do next."""

    name: str
    subtitle: str = ""
    status: str = ""
    headlines: tuple[Headline, ...] = ()
    notes: tuple[str, ...] = ()
    command: str = ""
    command_label: str = "Repeat this run"
    live: Live | None = None
    footer: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page: where links lead, its heading, and HTML; a section without a body is left out."""

    anchor: str
    heading: str
    body: str


def render_page(head: Head, what: str, sections: Iterable[Section]) -> str:
    """The whole page as text, to be written as UTF-8; a section without a body is left out."""
    shown = [section for section in sections if section.body]
    return _PAGE.substitute(
        title=_title(head, what),
        live=_live(head.live),
        style=files("nnscratch.report").joinpath("page.css").read_text(encoding="utf-8"),
        header=_header(head),
        links="\n".join(f'<a href="#{section.anchor}">{section.heading}</a>' for section in shown),
        sections="\n".join(
            f'<section id="{section.anchor}" aria-labelledby="{section.anchor}-heading">\n'
            f'<h2 id="{section.anchor}-heading">{section.heading}</h2>\n{section.body}\n</section>'
            for section in shown
        ),
        footer=text_of(head.footer or "Written by nnscratch. This page loads nothing from the network."),
    )


def _header(head: Head) -> str:
    status = f' <span class="status {_status_class(head.status)}">{text_of(head.status)}</span>'
    parts = [f"<h1>{text_of(head.name)}{status if head.status else ''}</h1>"]
    if head.live is not None:
        done = f"{100 * head.live.done:.1f}"
        parts.append(f'<progress value="{done}" max="100" aria-label="Share that is done">{done} %</progress>')
    if head.subtitle:
        parts.append(f'<p class="subtitle">{text_of(head.subtitle)}</p>')
    if head.headlines:
        cards = "".join(
            f"<div><dt>{text_of(line.label)}</dt><dd><strong>{text_of(line.value)}</strong>"
            + (f"<small>{text_of(line.note)}</small>" if line.note else "")
            + "</dd></div>"
            for line in head.headlines
        )
        parts.append(f'<dl class="headlines">{cards}</dl>')
    parts += [f'<p class="note">{text_of(note)}</p>' for note in head.notes]
    if head.command:
        label = text_of(head.command_label)
        parts.append(f'<p class="label">{label}</p>{code_html(head.command, f"Command: {label.lower()}")}')
    return "\n".join(parts)


def _title(head: Head, what: str) -> str:
    """What the browser's tab says: while it runs, how much is done."""
    name, live = text_of(head.name), head.live
    return f"{100 * live.done:.0f} % of {name}" if live is not None and live.seconds else f"{name}: {what}"


def _live(live: Live | None) -> str:
    if live is None:
        return ""
    again = f'<meta http-equiv="refresh" content="{live.seconds}">\n' if live.seconds else ""
    return f"{LIVE}\n{again}"


def _status_class(status: str) -> str:
    return {"completed": "good", "diverged": "bad", "failed": "bad", "killed": "bad"}.get(status, "plain")


def text_of(text: str) -> str:
    """Anybody's text, safe inside a page."""
    return escape(printable(text))


def code_html(text: str, label: str) -> str:
    """Text as it is written, in a box that scrolls sideways; empty for none."""
    if not text:
        return ""
    lines = "\n".join(map(text_of, text.strip("\n").split("\n")))
    return f'<pre tabindex="0" role="region" aria-label="{text_of(label)}"><code>{lines}</code></pre>'


def picture_html(picture: Picture | None) -> str:
    """The plot with its caption; empty for none."""
    if picture is None:
        return ""
    caption = f"<figcaption>{text_of(picture.caption)}</figcaption>" if picture.caption else ""
    image = image_html(picture.png, picture.alt)
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
    shown = f'<img src="{_data(gif, "gif")}" alt="{text_of(alt)}, over the epochs" width="{width}" height="{height}">'
    return f"<details><summary>Over the epochs</summary>{shown}</details>"


def image_html(png: bytes, alt: str) -> str:
    """An img element with its size, so that nothing moves while the page loads."""
    width, height = _size(png)
    return f'<img src="{_data(png)}" alt="{text_of(alt)}" width="{width}" height="{height}">'


def _size(png: bytes) -> tuple[int, int]:
    """Width and height from the PNG's header."""
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("a report embeds PNG images only")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def _data(image: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"


def table_html(table: Table | None, label: str) -> str:
    """The table in a box of its own that scrolls sideways on a narrow screen."""
    if table is None or not table.rows:
        return ""
    classes = [' class="number"' if column.is_number else "" for column in table.columns]
    titles = (text_of(column.title).replace("_", "_<wbr>") for column in table.columns)  # where paper may break it
    head = "".join(f'<th scope="col"{kind}>{title}</th>' for kind, title in zip(classes, titles, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{kind}>{text_of(cell)}</td>" for kind, cell in zip(classes, row, strict=True)) + "</tr>"
        for row in table.rows
    )
    name = text_of(label)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table><caption>{name}</caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def pairs_html(pairs: Mapping[str, str]) -> str:
    """Names and what belongs to each; empty for none."""
    if not pairs:
        return ""
    rows = "".join(f"<div><dt>{text_of(name)}</dt><dd>{text_of(value)}</dd></div>" for name, value in pairs.items())
    return f'<dl class="pairs">{rows}</dl>'
