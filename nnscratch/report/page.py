"""The report of a run: one HTML page that needs no network, no script and no other file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from nnscratch.report.elements import (
    Head,
    Picture,
    Section,
    code_html,
    image_html,
    pairs_html,
    picture_html,
    render_page,
    table_html,
    text_of,
)  # fmt: skip
from nnscratch.report.formats import percent
from nnscratch.report.tables import Table


@dataclass(frozen=True)
class Mistake:
    """A wrong prediction: the picture (None for data that is none), the truth, the guess and its probability."""

    true: str
    predicted: str
    confidence: float
    png: bytes | None = None
    source: str = ""


@dataclass(frozen=True)
class DataSection:
    """What was found in the data and guessed of it, a line each; its columns; what looks wrong."""

    facts: Mapping[str, str] = field(default_factory=dict)
    columns: Table | None = None
    columns_are: str = "Columns"
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportContents(Head):
    """Everything a report can show, as plain values; what is empty is left out of the page."""

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
    data: DataSection = field(default_factory=DataSection)
    timings: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def render_report(contents: ReportContents) -> str:
    """The whole page as text, to be written as UTF-8."""
    return render_page(contents, "training report", _sections(contents))


def _sections(contents: ReportContents) -> Iterator[Section]:
    """All sections in the order of the page; one without data has an empty body."""
    yield Section("figures", "Figures", table_html(contents.figures, "Figures, each with its 95 % interval"))
    drawings = f'<div class="drawings">{"".join(contents.drawings)}</div>' if contents.drawings else ""
    yield Section("curves", "Curves", drawings + picture_html(contents.curves))
    yield Section("latest", "Epochs, the latest first", table_html(contents.latest, "Latest epochs"))
    yield Section("learned", "What it learned", picture_html(contents.learned))
    confusion = picture_html(contents.confusion_matrix) + table_html(contents.most_confused, "Most confused classes")
    yield Section("confusion", "Confusion matrix", confusion)
    classes = table_html(contents.per_class, "Scores by class") + "".join(map(picture_html, contents.class_plots))
    yield Section("classes", "Class by class" if contents.per_class else "Predictions and residuals", classes)
    yield Section("mistakes", "Worst mistakes", _mistakes(contents.mistakes))
    yield Section("inside", "Inside the network", "".join(map(picture_html, contents.plots)))
    warnings = "".join(f'<p class="note">{text_of(warning)}</p>' for warning in contents.data.warnings)
    data = pairs_html(contents.data.facts) + table_html(contents.data.columns, contents.data.columns_are) + warnings
    yield Section("data", "Data", data)
    yield Section("network", "Network", table_html(contents.network, "Layers of the network"))
    yield Section("configuration", "Configuration", code_html(contents.config, "Configuration in YAML"))
    yield Section("timings", "Timings", pairs_html(contents.timings))
    yield Section("environment", "Environment", pairs_html(contents.environment))


def _mistakes(mistakes: tuple[Mistake, ...]) -> str:
    if not mistakes:
        return ""
    return f'<ul class="mistakes">{"".join(map(_mistake, mistakes))}</ul>'


def _mistake(mistake: Mistake) -> str:
    image = image_html(mistake.png, f"A {mistake.true} taken for {mistake.predicted}") if mistake.png else ""
    source = f"<small>{text_of(mistake.source)}</small>" if mistake.source else ""
    sure = percent(mistake.confidence, 0).replace(" ", "&nbsp;")
    return (
        f'<li>{image}<span class="predicted">✗&nbsp;{text_of(mistake.predicted)} {sure}</span>'
        f'<span class="true">is {text_of(mistake.true)}</span>{source}</li>'
    )
