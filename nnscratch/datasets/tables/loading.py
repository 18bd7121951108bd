"""From the files of a table to a Dataset: which column is the target, what the others are, which rows are taken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nnscratch.datasets.dataset import Dataset, Origin, weights_guess
from nnscratch.datasets.description import ColumnDescription, Description, Guess
from nnscratch.datasets.formats.images import SUFFIXES as PICTURES
from nnscratch.datasets.separation import Separation
from nnscratch.datasets.splits import hold_out
from nnscratch.datasets.tables.columns import Boolean, Category, Column, Number
from nnscratch.datasets.tables.decimal_marks import decimal_mark, with_marks_of
from nnscratch.datasets.tables.encoding import Schema
from nnscratch.datasets.tables.header import TARGET_NAMES, likeness
from nnscratch.datasets.tables.kinds import Decision, as_number, decide, read_column
from nnscratch.datasets.tables.parsing import as_text, known_cells
from nnscratch.datasets.tables.reader import TextTable, read_table
from nnscratch.datasets.tables.separating import groups_of, order_of
from nnscratch.datasets.tables.settings import Kind, TableSettings
from nnscratch.datasets.tables.targets import Targets, choose_targets
from nnscratch.datasets.tables.text import LARGEST, Array, Values
from nnscratch.datasets.task import as_float32
from nnscratch.errors import DataError, did_you_mean, listed

NEARLY_ALL = 0.9
"""Of the cells of a column that names pictures, more than this do."""


def load_table(
    settings: TableSettings, name: str, file: Path, validation_file: Path | None, test_file: Path | None
) -> Dataset:
    """The dataset called `name` in a file, with files of the other splits beside it or a test split held out.

    Raises DataError for what does not fit the settings. A test file without the target that nobody named is none.
    """
    categories = [each for each, kind in settings.columns.items() if kind == "category"]
    table = read_table(file, settings.delimiter, settings.header, categories)
    given, weights = _given(table, settings), () if settings.weight is None else (settings.weight,)
    decimal, decimal_why = decimal_mark(table, settings.decimal)
    target_names, target_why = _target_names(table, settings)
    targets = choose_targets(table, target_names, settings.task, decimal, given)
    inputs = [each for each in table.names if each not in (*target_names, *weights)]
    decisions = {each: decide(table, each, decimal, given) for each in inputs}
    columns = tuple(decision.column for decision in decisions.values() if decision.column is not None)
    weight = None if settings.weight is None else as_number(table, settings.weight, decimal)
    schema = Schema(
        columns, settings.missing, settings.unknown_levels, table.names, table.has_header, targets.names, targets.units
    )
    whole = _rows_of(table, schema, targets, weight)
    _require_features(table, decisions, whole.inputs)
    validation, marks = _other_rows(settings, validation_file, table, schema, targets, weight)
    test, note = _other_rows(settings, test_file, table, schema, targets, weight)
    order = order_of(table, settings, decimal, whole.origin.rows)
    train, test, order = _without_test(table, settings, whole, order, test, is_labelled=targets.classes is not None)
    splits = ("train", train), ("val", validation), ("test", test)
    by_split = {split: rows for split, rows in splits if rows is not None}
    guesses = (
        Guess("file", str(file)),
        *table.guesses,
        Guess("decimal mark", decimal, decimal_why or "no number has a decimal comma", "data.dataset.decimal"),
        Guess("target", ", ".join(target_names), target_why, "data.dataset.target"),
        Guess("task", targets.why.partition(",")[0], targets.why.partition(", ")[2], "data.dataset.task"),
        *(marks + note),
        *_weighted(settings, train, test),
    )
    warnings = _warnings(table, targets, decisions)
    left_out = {reason: number for rows in by_split.values() for reason, number in rows.left_out.items()}
    return Dataset(
        name,
        train.inputs,
        train.targets,
        test.inputs if test is not None else None,
        test.targets if test is not None else None,
        classes=targets.classes,
        origin=str(file),
        feature_names=tuple(column.name for column in columns),
        target_names=None if targets.classes is not None else target_names,
        description=Description(guesses, _described(whole, columns, decisions), left_out, warnings),
        validation_inputs=validation.inputs if validation is not None else None,
        validation_targets=validation.targets if validation is not None else None,
        example_names={split: rows.names for split, rows in by_split.items()},
        schema=schema,
        weights={split: rows.weights for split, rows in by_split.items() if rows.weights is not None},
        origins=(origins := {split: rows.origin for split, rows in by_split.items()}),
        separation=Separation(
            repr(settings.split_by), groups_of(table, settings, origins), _quoted(settings.order_by), order
        ),
    )


def _quoted(name: str | None) -> str:
    return "" if name is None else repr(name)


def _given(table: TextTable, settings: TableSettings) -> dict[str, Kind]:
    """The kinds of columns that the settings say. Raises DataError for a column that is not there."""
    named = {f"ignore.{index}": name for index, name in enumerate(settings.ignore)}
    named |= {f"columns.{name}": name for name in settings.columns}
    single = {"weight": settings.weight, "split_by": settings.split_by, "order_by": settings.order_by}
    named |= {field: name for field, name in single.items() if name is not None}
    for field, name in named.items():
        _check_column(table, name, field)
    groups: dict[str, Kind] = {} if settings.split_by is None else {settings.split_by: "ignore"}
    return {**groups, **settings.columns, **dict.fromkeys(settings.ignore, "ignore")}


def _without_test(
    table: TextTable,
    settings: TableSettings,
    whole: _Rows,
    order: Values | None,
    test: _Rows | None,
    *,
    is_labelled: bool,
) -> tuple[_Rows, _Rows | None, Values | None]:
    """The rows to train with, those of the test split, held out when it has no file, and the order of the first."""
    if test is not None or not settings.test:
        return whole, test, order
    groups = groups_of(table, settings, {"train": whole.origin}).get("train")
    rng = np.random.default_rng(settings.seed)
    inside, outside = hold_out(
        whole.targets, settings.test, rng, is_labelled, groups=groups, order=order, field="data.dataset.test"
    )
    return whole.take(inside), whole.take(outside), None if order is None else order[inside]


def _weighted(settings: TableSettings, train: _Rows, test: _Rows | None) -> tuple[Guess, ...]:
    """What is to be said of weights."""
    if train.weights is None:
        return ()
    lacks = test is not None and test.weights is None
    said = f"; {test.origin.path.name} has none, its rows count the same" if test is not None and lacks else ""
    return (weights_guess(repr(settings.weight), train.weights, said),)


def _require_features(table: TextTable, decisions: dict[str, Decision], inputs: Values) -> None:
    """Raises DataError where no column is left, or none of those that are left says anything."""
    if inputs.shape[1] and (len(inputs) < 2 or (inputs != inputs[0]).any()):
        return
    why = {name: each.why if each.column is None else "one value in every row" for name, each in decisions.items()}
    reasons = "; ".join(f"{name!r}: {reason}" for name, reason in why.items())
    raise DataError(
        f"{table.path}: no column is left to learn from" + (f" ({reasons})" if reasons else ""),
        next(_named_pictures(table, decisions), "a row needs features beside its target"),
    )


def _warnings(table: TextTable, targets: Targets, decisions: dict[str, Decision]) -> tuple[str, ...]:
    said = (decision.warning for decision in decisions.values() if decision.warning)
    return (*targets.warnings, *said, *_named_pictures(table, decisions))


def _named_pictures(table: TextTable, decisions: dict[str, Decision]) -> Iterator[str]:
    """What is to be said of columns that name the files of pictures."""
    endings = "|".join(map(re.escape, PICTURES))
    for name, decision in decisions.items():
        if isinstance(decision.column, Number | Boolean):
            continue
        cells = known_cells(as_text(table.column(name)))
        if cells.str.contains(rf"(?i)(?:{endings})$").sum() > NEARLY_ALL * len(cells):
            yield (
                f"{name!r} names pictures, which no table is read with: to learn from them, lay each into a folder "
                "called like its class, and name the folder that those are in"
            )


def _other_rows(
    settings: TableSettings,
    file: Path | None,
    table: TextTable,
    schema: Schema,
    targets: Targets,
    weight: Number | None,
) -> tuple[_Rows | None, tuple[Guess, ...]]:
    """The rows of the file of another split, if it is one; else what is to be said of it."""
    if file is None:
        return None, ()
    as_text = [column.name for column in (*schema.columns, *targets.columns) if isinstance(column, Category)]
    other = read_table(file, settings.delimiter, settings.header, as_text)
    lacks = [name for name in targets.names if table.has_header and name not in other.names]
    if lacks and settings.test_path is None:
        why = f"{file.name} has no column {', '.join(map(repr, lacks))}: it can be predicted"
        return None, (Guess(file.stem, f"held out of {table.path.name}", why),)
    needed = [*targets.names, *(column.name for column in schema.columns)]
    other, columns = _same_columns(other, table, needed), [*schema.columns, *targets.columns]
    own = columns
    if settings.decimal is None:
        own = with_marks_of(other, columns, [other.names.index(column.name) for column in columns])
    schema = replace(schema, columns=tuple(own[: len(schema.columns)]))
    rows = _rows_of(other, schema, replace(targets, columns=tuple(own[len(schema.columns) :])), weight)
    return rows, _other_marks(file, columns, own)


def _other_marks(file: Path, columns: Sequence[Column], own: Sequence[Column]) -> tuple[Guess, ...]:
    """What is to be said of numbers with another decimal mark than in the first file."""
    changed = [
        each
        for each, before in zip(own, columns, strict=True)
        if isinstance(each, Number) and isinstance(before, Number) and each.decimal != before.decimal
    ]
    if not changed:
        return ()
    why = f"its column {changed[0].name!r} fits it, and not that of the first file"
    return (Guess(f"mark of {file.stem}", changed[0].decimal, why, "data.dataset.decimal"),)


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of a file that are taken: raw inputs (N, C) and targets; and how many are not, by reason."""

    inputs: Values
    targets: Array
    names: tuple[str, ...]
    """The file and line of each."""
    left_out: dict[str, int]
    origin: Origin
    weights: Values | None

    def take(self, rows: Array) -> _Rows:
        """Some of them."""
        weights = None if self.weights is None else self.weights[rows]
        names = tuple(self.names[row] for row in rows.tolist())
        return _Rows(self.inputs[rows], self.targets[rows], names, self.left_out, self.origin.take(rows), weights)


def _rows_of(table: TextTable, schema: Schema, targets: Targets, weight: Number | None) -> _Rows:
    answers, is_gap = targets.read(table)
    inputs = np.empty((len(table), len(schema.columns)))
    for index, column in enumerate(schema.columns):
        inputs[:, index] = read_column(table, column)
    left_out: dict[str, int] = {}
    of_file = f"rows of {table.path.name}"
    if schema.missing == "error":
        _refuse_gaps(table, schema, inputs, targets, is_gap)
    kept = ~is_gap
    if is_gap.any():
        left_out[f"{of_file} without a target"] = int(is_gap.sum())
    if schema.missing == "drop":
        gaps = np.isnan(inputs).any(axis=1) & kept
        left_out |= {f"{of_file} with gaps": int(gaps.sum())} if gaps.any() else {}
        kept &= ~gaps
    if not kept.any():
        raise DataError(f"{table.path}: no row is left: {', '.join(left_out)}", "data.dataset.missing: auto fills gaps")
    if left_out:
        inputs, answers = inputs[kept], answers[kept]
    if targets.classes is None:
        answers = as_float32(answers)
    rows = np.flatnonzero(kept)
    weights = None if weight is None or weight.name not in table.names else _weights(table, weight, rows)
    names = tuple(f"{table.path.name}:{line}" for line in table.lines[rows].tolist())
    return _Rows(inputs, answers, names, left_out, Origin(table.path, rows), weights)


def _weights(table: TextTable, column: Number, rows: Array) -> Values:
    """How much each of the rows counts; DataError for what is no number from 0 on."""
    values, bad = column.read(table.column(column.name))
    bad |= ~(np.isfinite(values) & (values >= 0))
    if bad[rows].any():
        row = int(rows[np.argmax(bad[rows])])
        raise DataError(
            f"{table.place(row)}: the weight {column.name!r} is {table.cell(column.name, row)!r}",
            f"weights are numbers from 0 to {LARGEST:.1e}: 0 leaves a row out of the loss, 2 counts it twice",
        )
    return values[rows]


def _refuse_gaps(table: TextTable, schema: Schema, inputs: Values, targets: Targets, is_gap: Array) -> None:
    """Raises DataError, naming every column with gaps and the first place."""
    gaps = np.isnan(inputs)
    counts = {column.name: int(number) for column, number in zip(schema.columns, gaps.sum(axis=0), strict=True)}
    counts |= {", ".join(targets.names): int(is_gap.sum())}
    counts = {name: number for name, number in counts.items() if number}
    if counts:
        row = int(np.argmax(gaps.any(axis=1) | is_gap))
        raise DataError(
            f"{table.place(row)}: there are gaps in "
            + ", ".join(f"{name!r} ({number:,})" for name, number in list(counts.items())[:10]),
            "data.dataset.missing: auto fills them, drop leaves such rows out",
        )


def _target_names(table: TextTable, settings: TableSettings) -> tuple[tuple[str, ...], str]:
    """The columns to predict, and how they were chosen."""
    if settings.target is not None:
        if isinstance(settings.target, str):
            _check_column(table, settings.target, "target")
            return (settings.target,), "as configured"
        for index, name in enumerate(settings.target):
            _check_column(table, name, f"target.{index}")
        return tuple(dict.fromkeys(settings.target)), "as configured"
    called = sorted((name for name in table.names if name.lower() in TARGET_NAMES), key=likeness)
    if called:
        too = f"; {listed(map(repr, called[1:]), 3)} could be, too" if called[1:] else ""
        return (called[0],), f"by its name{too}"
    left_out = {name for name, kind in settings.columns.items() if kind == "ignore"}
    others = {*settings.ignore, *left_out, settings.weight, settings.split_by, settings.order_by}
    rest = [name for name in table.names if name not in others]
    return ((rest or table.names)[-1],), "the last column, as none is called " + ", ".join(TARGET_NAMES)


def _check_column(table: TextTable, name: str, field: str) -> None:
    if name not in table.names:
        raise DataError(
            f"{table.path} has no column {name!r}{did_you_mean(name, table.names)}",
            "its columns are: " + listed((each or "''" for each in table.names), 20),
            f"data.dataset.{field}",
        )


def _same_columns(table: TextTable, trained: TextTable, needed: list[str]) -> TextTable:
    """A test file's table with the names of the training file's, which a file without a header lacks."""
    if not (table.has_header and trained.has_header) and len(table.names) == len(trained.names):
        return TextTable(table.path, trained.names, trained.has_header, table.columns, table.lines, table.guesses)
    missing = [name for name in needed if name not in table.names]
    if missing:
        raise DataError(
            f"{table.path} has no column {listed(map(repr, missing), 10)}, which {trained.path} has",
            f"its columns are: {listed(table.names, 20)}",
        )
    return table


def _described(
    train: _Rows, columns: tuple[Column, ...], decisions: dict[str, Decision]
) -> tuple[ColumnDescription, ...]:
    found = []
    places = {column.name: index for index, column in enumerate(columns)}
    for name, decision in decisions.items():
        if decision.column is None:
            found.append(ColumnDescription(name, "left out", decision.why))
            continue
        values = train.inputs[:, places[name]]
        levels: tuple[tuple[str, int], ...] = ()
        if isinstance(decision.column, Category | Boolean):
            words = decision.column.levels if isinstance(decision.column, Category) else decision.column.words
            counts = np.bincount(values[values >= 0].astype(np.int64), minlength=len(words)).tolist()
            levels = tuple(sorted(zip(words, counts, strict=True), key=lambda pair: -pair[1]))
        gaps = int(np.isnan(values).sum())
        unit = decision.column.unit if isinstance(decision.column, Number) else ""
        found.append(ColumnDescription(name, decision.column.kind, decision.why, levels, gaps, unit=unit))  # type: ignore[arg-type]  # a kind of column is one of those
    return tuple(found)
