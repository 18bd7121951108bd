"""What a report's page says of the data: data_report.json of the run, as far as it is there and sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nnscratch.errors import listed
from nnscratch.report.formats import count, shorten
from nnscratch.report.page import DataSection
from nnscratch.report.tables import Column, Table
from nnscratch.runs import layout
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.reading import LONGEST_METRICS, mapping_of

MOST_COLUMNS, MOST_LEVELS, MOST_CLASSES = 200, 6, 20
COLUMNS = (Column("column"), Column("kind"), Column("gaps", True), Column("filled with"), Column("levels, or why"))


def guessed(run: RunDirectory, what: str) -> str:
    """What was guessed so of the run's data; "" where nothing was, or it is not known any more."""
    guesses = _mappings(_mapping(_report(run).get("description")).get("guesses"))
    return next((str(guess.get("taken") or "") for guess in guesses if guess.get("what") == what), "")


def _report(run: RunDirectory) -> Mapping[str, Any]:
    return mapping_of(run.path / layout.DATA_REPORT, LONGEST_METRICS) or {}


def data_section(run: RunDirectory) -> DataSection:
    """The section; empty for a run without that file."""
    report = _report(run)
    if not report:
        return DataSection()
    description = _mapping(report.get("description"))
    columns = _mappings(description.get("columns"))
    rows = tuple(_row(column) for column in columns[:MOST_COLUMNS])
    more = f", the first {MOST_COLUMNS} of {count(len(columns))}" if len(columns) > MOST_COLUMNS else ""
    warnings = description.get("warnings")
    return DataSection(
        facts=dict(_facts(report, description)),
        columns=Table(COLUMNS, rows),
        columns_are=f"What the columns were taken for{more}",
        warnings=tuple(map(str, warnings)) if isinstance(warnings, list) else (),
    )


def _facts(report: Mapping[str, Any], description: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for guess in _mappings(description.get("guesses")):
        what, taken, why = (str(guess.get(key) or "") for key in ("what", "taken", "why"))
        yield what.capitalize(), f"{taken}: {why}" if why else taken
    yield from _listed("Examples", report.get("examples"))
    for split, classes in _mapping(report.get("classes")).items():
        yield from _listed(f"Classes of {split}", classes)
    for target in _mappings(report.get("targets")):
        least, mean, most = (target.get(key) for key in ("least", "mean", "most"))
        if all(isinstance(value, int | float) for value in (least, mean, most)):
            yield str(target.get("name")), f"from {least:.6g} to {most:.6g}, {mean:.6g} on average in training"
    for name, value in _mapping(description.get("facts")).items():
        if name != "examples":
            yield str(name).capitalize(), shorten(str(value), 400)
    if isinstance(report.get("repeated"), int):
        shared = _mappings(report.get("shared"))
        told = [f"{each.get('count')} in {each.get('first')} and {each.get('second')}" for each in shared]
        yield "Identical inputs", "; ".join([f"{report['repeated']} repeated in training", *told])
    yield from _listed("Left out", description.get("left_out"))


def _listed(name: str, numbers: object) -> Iterator[tuple[str, str]]:
    shown = [f"{key} {value}" for key, value in _mapping(numbers).items()]
    if shown:
        yield name, listed(shown, MOST_CLASSES)


def _row(column: Mapping[str, Any]) -> tuple[str, ...]:
    levels = column.get("levels")
    shown = [each for each in levels if isinstance(each, list) and len(each) == 2] if isinstance(levels, list) else []
    told = listed((f"{shorten(str(name), 24)} {number}" for name, number in shown), MOST_LEVELS)
    name, kind, filled, why = (str(column.get(key) or "") for key in ("name", "kind", "filled_with", "why"))
    return name or "(no name)", kind, str(column.get("gaps") or ""), filled, told or why


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
