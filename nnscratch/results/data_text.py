"""The report on data as text: one screen, 80 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from nnscratch.datasets.description import ColumnDescription
from nnscratch.datasets.report import DataReport
from nnscratch.errors import listed
from nnscratch.report.formats import count, decimals, percent, printable, shorten

WIDTH, LABEL = 80, 19
MOST_COLUMNS = 14
"""More columns than this are named by kind, not one to a line."""
MOST_LEVELS, MOST_CLASSES = 6, 8


def report_text(report: DataReport) -> str:
    """The report but for its warnings: guesses, classes or range of the target, columns, what was left out."""
    lines = [f"{report.name}: {report.origin}"]
    for guess in report.description.guesses:
        if guess.taken != report.origin:
            lines += _entry(guess.what, f"{guess.taken}{f': {guess.why}' if guess.why else ''}")
    if not any(guess.what == "task" for guess in report.description.guesses):
        lines += _entry("task", report.task)
    lines += _entry("examples", ", ".join(f"{count(number)} {name}" for name, number in report.examples.items()))
    lines += _entry("held out", report.held_out) if report.held_out else []
    lines += _entry("an example", _shape(report.input_shape))
    lines += _classes(report)
    for target in report.targets[:MOST_CLASSES]:
        least, mean, most = decimals([target.least, target.mean, target.most])
        lines += _entry(target.name, f"from {least} to {most}, {mean} on average in training")
    lines += _columns(report.description.columns)
    for name, value in report.description.facts.items():
        if name != "examples":  # of which there is a line already, as the splits are
            lines += _entry(name, str(value))
    if report.repeated is not None:
        words = f"{count(report.repeated)} repeat another one" if report.repeated else "none repeats another one"
        lines += _entry("identical", f"of the training inputs {words}; {_shared(report)}")
    left_out = report.description.left_out
    if left_out:
        lines += _entry("left out", ", ".join(f"{count(number)} {what}" for what, number in left_out.items()))
    fields = sorted({guess.field for guess in report.description.guesses if guess.field})
    if fields:
        lines += _entry("to overrule", ", ".join(fields))
    return "\n".join(lines)


def whole_report_text(report: DataReport) -> str:
    """The report with its warnings."""
    lines = [report_text(report)]
    for warning in report.warnings:
        lines += textwrap.wrap(f"warning: {printable(warning)}", WIDTH, subsequent_indent="  ")
    return "\n".join(lines)


def _entry(label: str, text: str) -> Iterator[str]:
    label = shorten(label, LABEL - 3)
    first, rest = f"  {label:<{LABEL - 2}}", " " * LABEL
    yield from textwrap.wrap(printable(text), WIDTH, initial_indent=first, subsequent_indent=rest) or [first.rstrip()]


def _shape(shape: Sequence[int]) -> str:
    if len(shape) == 1:
        return f"{count(shape[0])} number{'s' if shape[0] != 1 else ''}"
    height, width, channels = shape
    colours = {1: "grey", 3: "in colour"}.get(channels, f"of {channels} channels")
    return f"a picture of {width} x {height} pixels, {colours}"


def _classes(report: DataReport) -> Iterator[str]:
    if not report.classes:
        return
    train = next(iter(report.classes.values()))
    total = sum(train.values())
    largest = max(train, key=lambda name: train[name])
    shown = [f"{shorten(name, 24)} {count(number)}" for name, number in train.items()]
    if len(shown) > MOST_CLASSES:
        least = min(train, key=lambda name: train[name])
        uneven = f"({shorten(least, 24)}) to {count(train[largest])} ({shorten(largest, 24)})"
        shown = [f"{len(train)} of {count(train[least])} {'each' if train[least] == train[largest] else uneven}"]
    share = f"; always saying {shorten(largest, 24)}: {percent(train[largest] / max(total, 1), 1)}"
    yield from _entry("classes", ", ".join(shown) + share)


def _columns(columns: Sequence[ColumnDescription]) -> Iterator[str]:
    if not columns:
        return
    if len(columns) <= MOST_COLUMNS:
        width = min(max(len(printable(column.name)) for column in columns), 20)
        for index, column in enumerate(columns):
            label = "columns" if index == 0 else ""
            yield from _entry(label, f"{shorten(column.name, 20) or '(no name)':<{width}}  {_column(column)}")
        return
    kinds: dict[str, list[ColumnDescription]] = {}
    for column in columns:
        kinds.setdefault(column.kind, []).append(column)
    for index, (kind, members) in enumerate(kinds.items()):
        names = listed((shorten(column.name, 20) or "(no name)" for column in members), 8)
        yield from _entry("columns" if index == 0 else "", f"{len(members)} {kind}: {names}")
    gaps = [f"{shorten(column.name, 20)} {count(column.gaps)}" for column in columns if column.gaps]
    if gaps:
        yield from _entry("gaps", listed(gaps, 8))


def _column(column: ColumnDescription) -> str:
    said: str = column.kind
    if column.kind == "left out" and column.why:
        said += f": {column.why}"
    said += f", in {column.unit}" if column.unit else ""
    if column.levels:
        levels = (f"{shorten(name, 16)} {count(number)}" for name, number in column.levels)
        said += f": {listed(levels, MOST_LEVELS)}"
    if column.gaps:
        said += f"; {count(column.gaps)} gaps" + (f", filled with {column.filled_with}" * bool(column.filled_with))
    return said


def _shared(report: DataReport) -> str:
    if not report.shared:
        return "no input stands in two splits" if len(report.examples) > 1 else "there is one split"
    return ", ".join(f"{count(each.count)} in {each.first} and {each.second}" for each in report.shared)
