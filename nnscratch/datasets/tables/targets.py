"""What a table is to predict: which columns, whether classes or numbers, and each row's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nnscratch.datasets.tables.columns import Boolean, Category, Column, Number
from nnscratch.datasets.tables.kinds import as_number, decide, natural_order
from nnscratch.datasets.tables.parsing import Decimal, as_text, known_cells
from nnscratch.datasets.tables.reader import TextTable
from nnscratch.datasets.tables.text import Array
from nnscratch.datasets.task import classes_or_quantity, doubt_of_classes
from nnscratch.errors import DataError

NOTHING = ("none", "nil", "missing", "keine angabe")
"""Gaps that may be an answer, in small letters."""

Task = Literal["auto", "classification", "regression"]


@dataclass(frozen=True, eq=False)
class Targets:
    """The target columns, what their cells are, and the classes (None: numbers are predicted)."""

    names: tuple[str, ...]
    columns: tuple[Column, ...]
    classes: tuple[str, ...] | None
    numbers: Array | None
    """The classes as numbers, where they are whole numbers."""
    why: str
    """In words: "classification, as it holds text (3 classes)"."""
    warnings: tuple[str, ...] = ()

    @property
    def units(self) -> tuple[str, ...]:
        """What stands behind the numbers of each column; none where none of them has a unit."""
        units = tuple(column.unit if isinstance(column, Number) else "" for column in self.columns)
        return units if any(units) else ()

    def read(self, table: TextTable) -> tuple[Array, NDArray[np.bool_]]:
        """Labels (N,) int64, or numbers (N, K), for each row, and which rows have a gap there (and no meaning).

        Raises DataError, with the place, for a cell that is neither a gap nor a number, and for a class that is new.
        """
        values = np.empty((len(table), len(self.columns)))
        for index, column in enumerate(self.columns):
            values[:, index], bad = column.read(table.column(column.name))
            if bad.any():
                raise _not_a_target(table, column, int(np.argmax(bad)))
        gaps: NDArray[np.bool_] = np.any(np.isnan(values), axis=1)
        if self.classes is None:
            return values, gaps
        (labels,) = values.T
        if self.numbers is not None:
            places = np.searchsorted(self.numbers, np.nan_to_num(labels)).clip(max=len(self.numbers) - 1)
            labels = np.where(self.numbers[places] == labels, places, -1)
        new = np.flatnonzero((labels < 0) & ~gaps)
        if len(new):
            raise DataError(
                f"{table.place(new[0])}: the class {table.cell(self.names[0], new[0])!r} is not in the training file"
            )
        return np.where(gaps, 0, np.nan_to_num(labels)).astype(np.int64), gaps


def choose_targets(
    table: TextTable, names: Sequence[str], task: Task, decimal: Decimal, given: Mapping[str, str]
) -> Targets:
    """What is predicted, from the training file. Raises DataError for what can be neither classes nor numbers."""
    if task == "classification" and len(names) > 1:
        raise DataError("classification has one target column", "name one in `target`, or use task: regression")
    columns, warnings = [], []
    for name in names:
        numbers = {name: "number"} if task == "regression" else {}
        try:
            decision = decide(table, name, decimal, {**given, **numbers}, is_target=True)
        except DataError:
            if task != "regression":
                raise
            number = as_number(table, name, decimal)
            raise _not_a_target(table, number, int(np.argmax(number.read(table.column(name))[1]))) from None
        column = decision.column
        warnings += [decision.warning] if decision.warning else []
        if column is None:
            raise DataError(
                f"{table.path}: every cell of the target {name!r} is a gap", "data.dataset.target names another"
            )
        if column.kind == "date":
            raise DataError(f"{table.path}: the target {name!r} is a date", "give it as a number, of days or hours")
        columns.append(column)
    is_classes, why = _decide_task(table, columns, task)
    if not is_classes:
        for column in columns:
            if not isinstance(column, Number):
                number = as_number(table, column.name, decimal)
                raise _not_a_target(table, number, int(np.argmax(number.read(table.column(column.name))[1])))
        targets = Targets(tuple(names), tuple(columns), None, None, why, tuple(warnings))
        _refuse_constant(table, targets)
        return targets
    classes = _classes(table, columns[0], why)
    return replace(classes, warnings=(*warnings, *_nothing(table, classes)))


def _nothing(table: TextTable, targets: Targets) -> list[str]:
    """What is to be said of text that may be a class or a gap."""
    (name,) = targets.names
    cells = as_text(table.column(name))
    words = set(known_cells(cells, with_words=True)) - set(known_cells(cells)) - set(targets.classes or ())
    if not any(word.lower() in NOTHING for word in words):
        return []
    own = "a class of it" if len(words) == 1 else "classes of them"
    return [
        f"rows whose target {name!r} is {' or '.join(map(repr, sorted(words)))} are left out, as gaps are; "
        f"columns: {{{name}: category}} makes {own}"
    ]


def _decide_task(table: TextTable, columns: list[Column], task: Task) -> tuple[bool, str]:
    """Whether it is classification, and why."""
    if task != "auto":
        return task == "classification", f"{task}, as configured"
    if len(columns) > 1:
        return False, "regression, as there are several targets"
    (column,) = columns
    if isinstance(column, Number):
        values, _ = column.read(table.column(column.name))
        is_classes, what = classes_or_quantity(values[~np.isnan(values)])
        if is_classes:
            return True, f"classification, as it holds {what} (task: regression overrules)"
        return False, f"regression, as it holds {what} (task: classification overrules)"
    levels = column.levels if isinstance(column, Category) else ()
    if (doubt := doubt_of_classes(levels, len(table))) is not None:
        raise DataError(
            f"{table.path}: the target {column.name!r} has {len(levels):,} different cells in {len(table):,} rows, "
            f"{doubt}",
            "data.dataset.task: classification makes a class of each, task: regression takes them as numbers; "
            "data.dataset.target names another column",
        )
    return True, f"classification, as it holds text ({len(levels) or 2} classes)"


def _refuse_constant(table: TextTable, targets: Targets) -> None:
    """Raises DataError for numbers that are the same in every row."""
    values, gaps = targets.read(table)
    known = values[~gaps]
    if len(known) and np.all(known == known[0]):
        said = ", ".join(f"{name!r} is {value:g}" for name, value in zip(targets.names, known[0], strict=True))
        raise DataError(f"{table.path}: the target {said} in every row; there is nothing to learn")


def _classes(table: TextTable, column: Column, why: str) -> Targets:
    """The classes of a target: its levels, or its whole numbers in their order."""
    name, numbers = column.name, None
    if isinstance(column, Number):
        values, _ = column.read(table.column(name))
        distinct = np.unique(values[~np.isnan(values)])
        if np.all(distinct == np.rint(distinct)) and np.all(np.abs(distinct) < 2**53):
            numbers = distinct
    if numbers is not None:
        classes = [str(int(number)) for number in numbers]
    elif isinstance(column, Category):
        classes = list(column.levels)
    else:
        known = known_cells(as_text(table.column(name)))
        classes = natural_order(known.to_list())
        if isinstance(column, Boolean) and len(classes) > known.str.to_lowercase().n_unique():
            classes = list(column.words) if known.str.to_lowercase().n_unique() > 1 else classes[:1]
        else:
            column = Category(name, levels=tuple(classes), own=len(classes))
    if len(classes) < 2:
        raise DataError(f"{table.path}: every row has the class {classes[0]!r}; there is nothing to learn")
    return Targets((name,), (column,), tuple(classes), numbers, why)


def _not_a_target(table: TextTable, column: Column, row: int) -> DataError:
    cell = table.cell(column.name, row)
    return DataError(
        f"{table.place(row)}: the target {column.name!r} is {cell!r}, not {column.expected(cell)}",
        "regression needs numbers; for text use task: classification",
    )
