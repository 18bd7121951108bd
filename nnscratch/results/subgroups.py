"""The figures of each group of examples: by the levels of a column, or by quarters of its numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from nnscratch.config.data import Splits
from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.tables.encoding import TableEncoding
from nnscratch.datasets.tables.settings import TableSettings
from nnscratch.datasets.tables.text import is_gap
from nnscratch.errors import DataError, UsageError, did_you_mean, listed
from nnscratch.nn.compute.buffers import Array
from nnscratch.report.formats import count, decimals
from nnscratch.report.tables import Column, Table
from nnscratch.results.figures import Figure, figures_of_labels, figures_of_numbers, figures_to_dict
from nnscratch.runs.loaded import LoadedRun
from nnscratch.training.metrics.classification import confusion_matrix
from nnscratch.training.metrics.ranking import curves_by_class

SHOWN = {
    "classification": {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1"},
    "regression": {"mean_absolute_error": "MAE", "root_mean_squared_error": "RMSE", "r2": "R2"},
}
"""Figures of a group and what their columns are called."""
MOST = 12
"""Levels with a group of their own, the largest; the others are one."""
FEW = 8
"""So many different numbers are levels; of more, quarters are made."""
CODE = r"[+-]?0\d+"
"""What is no number though it has digits only, as everywhere in a table: 01234 is not 1234."""


@dataclass(frozen=True, eq=False)
class Groups:
    """A group for every example: its number (N,), and the groups' names."""

    column: str
    names: tuple[str, ...]
    of: Array

    @classmethod
    def by(cls, column: str, cells: Sequence[str], kind: str | None = None) -> Groups:
        """From what stands in a column: numbers in quarters, anything else by level, gaps in a group of their own.

        `kind` is what the column is taken for, as `kind_of` says it; None: a number, if all its cells are.
        """
        text = np.array(["" if is_gap(cell) else cell.strip() for cell in cells], object)
        try:
            values = np.array([float(each) if each else np.nan for each in text])
        except ValueError:
            return cls._of_levels(column, text)
        if kind is None and _holds_codes(text):
            return cls._of_levels(column, text)
        text[np.isnan(values)] = ""
        distinct = np.unique(values[~np.isnan(values)])
        if kind not in (None, "number"):
            return cls._of_levels(column, text if _holds_codes(text) else _one_text_of_each_number(text))
        if len(distinct) <= FEW:
            return cls._of_levels(column, _one_text_of_each_number(text))
        edges = np.unique(np.quantile(values[~np.isnan(values)], [0.25, 0.5, 0.75]))
        quarter = np.searchsorted(edges, values, side="left")
        limits: list[float] = []
        of = np.zeros(len(values), np.int64)
        for each in range(len(edges) + 1):
            inside = (quarter == each) & ~np.isnan(values)
            if inside.any():
                of[inside] = len(limits) // 2
                limits += [float(values[inside].min()), float(values[inside].max())]
        shown = decimals(limits)
        names = [f"{low} to {high}" for low, high in zip(shown[::2], shown[1::2], strict=True)]
        if np.isnan(values).any():
            of[np.isnan(values)] = len(names)
            names.append("(none)")
        return cls(column, tuple(names), of)

    @classmethod
    def _of_levels(cls, column: str, text: Array) -> Groups:
        levels, inverse, counts = np.unique(text.astype(str), return_inverse=True, return_counts=True)
        kept = np.sort(np.argsort(-counts, kind="stable")[:MOST])
        names = [str(levels[each]) or "(none)" for each in kept]
        number = np.full(len(levels), len(kept))
        number[kept] = np.arange(len(kept))
        if len(levels) > len(kept):
            names.append("(1 other)" if len(levels) == len(kept) + 1 else f"({len(levels) - len(kept)} others)")
        return cls(column, tuple(names), number[inverse])

    def figures(
        self, t: Array, p: Array, rng: np.random.Generator, predicted: Array | None = None
    ) -> tuple[Subgroup, ...]:
        """Of every group: from labels, probabilities and the classes that are predicted, or from numbers t and p."""
        found = []
        for number, name in enumerate(self.names):
            rows = np.flatnonzero(self.of == number)
            if predicted is None:
                figures = figures_of_numbers(t[rows], p[rows], rng)
            else:
                confusion = confusion_matrix(t[rows], predicted[rows], p.shape[1])
                figures = figures_of_labels(t[rows], p[rows], confusion, curves_by_class(t[rows], p[rows]), rng)
            found.append(Subgroup(name, len(rows), figures))
        return tuple(found)


def kind_of(column: str, encoding: TableEncoding | None, cells: Sequence[str]) -> str | None:
    """What the network has learned a column as; of one that it has not, `category` where a cell is a code, else None.

    `cells` are all of the table's, so that no split of it is grouped in another way than the others.
    """
    learned = {} if encoding is None else {each.name: each.kind for each in encoding.columns}
    return learned.get(column, "category" if _holds_codes(cells) else None)


def _holds_codes(cells: Iterable[str]) -> bool:
    return any(re.fullmatch(CODE, cell.strip()) for cell in cells)


def _one_text_of_each_number(text: Array) -> Array:
    """Cells (N,) of numbers and gaps; those that are the same to the last digit get one text: 1 for 1.0."""
    shortest: dict[Decimal | float, str] = {}
    for each in sorted(set(text) - {""}, key=lambda each: (len(each), each)):
        shortest.setdefault(_exactly(each), _plain(each))
    return np.array([each and shortest[_exactly(each)] for each in text], object)


def _exactly(number: str) -> Decimal | float:
    try:
        return Decimal(number)
    except InvalidOperation:  # an exponent beyond all bounds
        return float(number)


def _plain(number: str) -> str:
    """Without what does not change it; a power of ten stays one."""
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", number):
        return number
    digits = f"{Decimal(number):f}"
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if digits == "-0" else digits


@dataclass(frozen=True)
class Subgroup:
    """The figures of one group."""

    name: str
    examples: int
    figures: tuple[Figure, ...]


def subgroups_table(column: str, groups: Sequence[Subgroup]) -> Table:
    """A row for each group: the first figure with its interval, two more."""
    task = groups[0].figures[0].metric.task
    chosen = [{each.metric.name: each for each in group.figures} for group in groups]
    first, *others = SHOWN[task]
    columns = (
        Column(column), Column("examples", True), Column(SHOWN[task][first], True), Column("95 % interval", True),
        *(Column(SHOWN[task][name], True) for name in others),
    )  # fmt: skip
    rows = [
        (
            group.name, count(group.examples), own[first].text, own[first].interval_text,
            *(own[name].text for name in others),
        )
        for group, own in zip(groups, chosen, strict=True)
    ]  # fmt: skip
    return Table(columns, tuple(rows))


def subgroups_to_dict(column: str, groups: Sequence[Subgroup]) -> dict[str, Any]:
    """Plain values for JSON."""
    return {
        "column": column,
        "groups": [{"group": each.name, "examples": each.examples, **figures_to_dict(each.figures)} for each in groups],
    }


def cells_of_split(
    loaded: LoadedRun, dataset: Dataset, splits: Splits, split: str, column: str
) -> tuple[list[str], str | None]:
    """What stands in a column of the run's own table for every example of a split, read again, and its `kind_of`."""
    examples = splits.named(split)
    assert examples is not None
    origin = dataset.origins.get("train" if examples.inputs is dataset.train_inputs else split)
    if origin is None:
        raise UsageError(f"--by {column}: {dataset.name} is no table", "groups are made by a column of a table")
    from nnscratch.datasets.tables.reader import read_table  # which imports polars

    settings = loaded.config.data.dataset.build()
    told = (settings.delimiter, settings.header) if isinstance(settings, TableSettings) else (None, None)
    table = read_table(origin.path, *told)
    require_column(column, table.names, str(origin.path))
    cells = [str(cell) for cell in table.column(column).to_list()]
    own = [cells[row] for row in origin.rows[examples.rows]]
    return own, kind_of(column, loaded.encoding, cells)


def require_column(column: str, names: Sequence[str], path: str) -> None:
    """Raises DataError, with the closest name, when a table has no such column."""
    if column not in names:
        hint = f"its columns are: {listed(names, 20)}"
        raise DataError(f"{path} has no column {column!r}{did_you_mean(column, names)}", hint)
