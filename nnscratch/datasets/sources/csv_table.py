"""One's own table: a CSV file with one example per row, for classification or regression."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from nnscratch.component import setting
from nnscratch.datasets.dataset import Array, Dataset, Report, Source
from nnscratch.datasets.download import Progress
from nnscratch.datasets.formats.csv_file import Layout, cell_place, detect_layout, is_number, read_rows
from nnscratch.datasets.sources.own_data import Splits, hold_out, labels_from, required_path
from nnscratch.errors import DataError, did_you_mean

TARGET_NAMES = ("label", "target", "class", "y")
MOST_CLASSES_OF_NUMBERS = 20
"""A column of whole numbers with more distinct values than this is taken for a quantity, not for labels."""


@dataclass(frozen=True)
class _Table:
    """The cells of one file: features as float32 (N, D), target columns as text, and the line of each row."""

    path: Path
    features: Array
    targets: tuple[list[str], ...]
    lines: list[int]


@dataclass
class CSVTable(Source):
    """Features (N, D) float32 and labels or numbers to predict, from the rows of a CSV file."""

    name: ClassVar[str] = "csv"
    summary: ClassVar[str] = "your own table: a CSV file with one example per row"

    target: str | tuple[str, ...] | None = setting(
        None, "column to predict, or several for regression; null: label, target, class or y, else the last"
    )
    task: Literal["auto", "classification", "regression"] = setting(
        "auto", "auto: classification for text or at most 20 whole numbers, else regression"
    )
    test: float = setting(0.2, "fraction held out as the test split when there is no test file", ge=0, lt=1)
    test_path: str | None = setting(None, "file with the test split; relative to the training file")
    ignore: tuple[str, ...] = setting((), "columns to leave out, such as a row number")
    header: bool | None = setting(None, "whether the first row names the columns; null: detect")
    delimiter: str | None = setting(None, "character that separates the cells; null: comma, semicolon or tab, detected")
    seed: int = setting(0, "which rows are held out", ge=0)

    def contradictions(self) -> Iterator[tuple[str, str]]:
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            yield "delimiter", 'must be one character, no quote or line end; a tab is "\\t", in double quotes'
        if self.target == ():
            yield "target", "needs at least one column; leave it out to predict label, target, class, y or the last"

    def load(
        self,
        data_dir: Path,
        path: Path | None,
        report: Report,
        download: bool = True,
        progress: Progress | None = None,
    ) -> Dataset:
        """See `Source.load`. `path` is the CSV file, or a folder with train.csv and perhaps test.csv."""
        place = required_path(path, self.name, "a CSV file, or a folder with train.csv and perhaps test.csv")
        file = required_path(place / "train.csv", self.name, "a CSV file") if place.is_dir() else place
        test_file = self._test_file(file, folder=place if place.is_dir() else None)
        layout = detect_layout(file, self.delimiter, self.header)
        targets = self._targets(file, layout)
        self._check_ignored(file, layout)
        notes = [
            f'column {index} of {file.name} has no name: if it is a row number, put "{name}" into `ignore`'
            for index, name in enumerate(layout.names, start=1)
            if (not name or name.lower().startswith("unnamed:")) and name not in self.ignore
        ]
        if self.header is None and layout.has_header and any(is_number(name) for name in layout.names):
            notes.append(
                f"the first row of {file.name} was taken for a header, though it holds numbers: "
                "`header: false` reads it as an example"
            )
        train = self._read(file, layout, targets)
        test = None
        if test_file is not None:
            test_layout = detect_layout(test_file, self.delimiter, self.header)
            if test_layout.names != layout.names:
                raise DataError(
                    f"{test_file} and {file} do not have the same columns", "both need the same header, in one order"
                )
            test = self._read(test_file, test_layout, targets)
        classification, reason = self._decide_task(train)
        notes.append(f"{', '.join(targets)}: {reason}")
        convert = _labels if classification else _numbers
        classes, values = convert(train, targets, None)
        arrays: Splits
        if test is not None:
            arrays = (train.features, values, test.features, convert(test, targets, classes)[1])
        else:
            arrays = hold_out(train.features, values, self.test, self.seed, stratify=classification)
        dropped = {*targets, *self.ignore}
        return Dataset(
            self.name,
            *arrays,
            classes=classes,
            origin=str(file),
            notes=tuple(notes),
            feature_names=tuple(name for name in layout.names if name not in dropped),
            target_names=None if classification else targets,
        )

    def _test_file(self, file: Path, folder: Path | None) -> Path | None:
        if self.test_path is not None:
            return required_path(file.parent / self.test_path, self.name, "a CSV file")
        return folder / "test.csv" if folder is not None and (folder / "test.csv").is_file() else None

    def _targets(self, file: Path, layout: Layout) -> tuple[str, ...]:
        if self.target is None:
            lower = [name.lower() for name in layout.names]
            known = next((name for name in TARGET_NAMES if name in lower), None)
            return (layout.names[lower.index(known) if known is not None else -1],)
        wanted = (self.target,) if isinstance(self.target, str) else self.target
        for name in wanted:
            self._check_column(file, layout, name, "target")
        return tuple(dict.fromkeys(wanted))

    def _check_ignored(self, file: Path, layout: Layout) -> None:
        for name in self.ignore:
            self._check_column(file, layout, name, "ignore")

    @staticmethod
    def _check_column(file: Path, layout: Layout, name: str, field: str) -> None:
        if name not in layout.names:
            shown = ", ".join(layout.names[:20]) + (", ..." if len(layout.names) > 20 else "")
            raise DataError(
                f"{file}: {field}: there is no column {name!r}{did_you_mean(name, layout.names)}",
                f"its columns are: {shown}",
            )

    def _read(self, file: Path, layout: Layout, targets: tuple[str, ...]) -> _Table:
        target_indices = [layout.names.index(name) for name in targets]
        dropped = {*targets, *self.ignore}
        feature_indices = [index for index, name in enumerate(layout.names) if name not in dropped]
        if not feature_indices:
            raise DataError(f"{file}: no column is left to learn from", "a row needs features beside its target")
        # 4 bytes a number: a list of Python floats would take 32.
        features = array("f")
        columns: tuple[list[str], ...] = tuple([] for _ in targets)
        lines: list[int] = []
        rows = read_rows(file, layout.delimiter)
        if layout.has_header:
            next(rows)
        for line, row in rows:
            if len(row) != len(layout.names):
                raise DataError(
                    f"{file}:{line}: {len(row)} columns, but the first row has {len(layout.names)}",
                    "every row needs the same number of cells",
                )
            try:
                features.extend([float(row[index]) for index in feature_indices])
            except ValueError:
                is_first = not lines and not layout.has_header
                raise _bad_number(file, line, row, feature_indices, layout, is_first) from None
            for column, index in zip(columns, target_indices, strict=True):
                cell = row[index].strip()
                if not cell:
                    raise DataError(
                        f"{cell_place(file, line, row, index)}: the target {layout.names[index]!r} is empty",
                        "remove the row, or fill it in",
                    )
                column.append(cell)
            lines.append(line)
        if not lines:
            raise DataError(f"{file}: there are no rows below its header")
        table = np.frombuffer(features, np.float32).reshape(len(lines), len(feature_indices))
        if not np.isfinite(table).all():
            row_index, column_index = np.argwhere(~np.isfinite(table))[0]
            raise DataError(
                f"{file}:{lines[row_index]}: {layout.names[feature_indices[column_index]]!r} "
                f"is {table[row_index, column_index]}, not a finite float32 number",
                "remove the row, or fill it in",
            )
        return _Table(file, table, columns, lines)

    def _decide_task(self, table: _Table) -> tuple[bool, str]:
        """Whether it is classification, and why, for the log."""
        if self.task != "auto":
            if self.task == "classification" and len(table.targets) > 1:
                raise DataError("classification has one target column", "name one in `target`, or use task: regression")
            return self.task == "classification", f"{self.task}, as configured"
        if len(table.targets) > 1:
            return False, "regression, as there are several targets"
        distinct = set(table.targets[0])
        if not all(is_number(cell) for cell in distinct):
            return True, f"classification, as it holds text ({len(distinct)} classes)"
        numbers = {float(cell) for cell in distinct}
        if len(numbers) <= MOST_CLASSES_OF_NUMBERS and all(number.is_integer() for number in numbers):
            return True, f"classification, as it holds {len(numbers)} whole numbers (task: regression overrules)"
        return False, "regression, as it holds many or broken numbers (task: classification overrules)"


def _bad_number(file: Path, line: int, row: list[str], indices: list[int], layout: Layout, is_first: bool) -> DataError:
    index = next(index for index in indices if not is_number(row[index]))
    name, cell = layout.names[index], row[index].strip()
    place = cell_place(file, line, row, index)
    if not cell:
        header = ", or set `header: true` if it names the columns" if is_first else ""
        return DataError(f"{place}: {name!r} is empty", f"remove the row, or fill in the gap{header}")
    listed = name if name.replace("_", "").replace(" ", "").isalnum() else json.dumps(name)
    return DataError(
        f"{place}: {name!r} is {cell[:40]!r}, not a number",
        "features must be numbers: encode categories as numbers (one 0/1 column for each), or leave the column out: "
        f"data.dataset.ignore=[{listed}] on the command line, or `dataset: {{name: csv, ignore: [{listed}]}}`",
    )


def _labels(
    table: _Table, names: tuple[str, ...], classes: tuple[str, ...] | None
) -> tuple[tuple[str, ...] | None, Array]:
    """Class names and labels (N,) int64; with `classes` given, a label outside them is a DataError."""
    (cells,) = table.targets
    # The training file decides, or its class 01 beside A1 would be 1 in a test file without A1.
    if all(_is_whole(name) for name in classes or set(cells)):
        # 1 and 1.0 are one class.
        cells = [str(int(float(cell))) if _is_whole(cell) else cell for cell in cells]
    if classes is None:
        classes, numbering = labels_from(cells)
        if len(classes) < 2:
            raise DataError(f"{table.path}: every row has the class {classes[0]!r}; there is nothing to learn")
    else:
        numbering = {name: label for label, name in enumerate(classes)}
    for line, cell in zip(table.lines, cells, strict=True):
        if cell not in numbering:
            raise DataError(f"{table.path}:{line}: the class {cell!r} is not in the training file")
    return classes, np.array([numbering[cell] for cell in cells], np.int64)


def _is_whole(cell: str) -> bool:
    return is_number(cell) and float(cell).is_integer()


def _numbers(table: _Table, names: tuple[str, ...], classes: tuple[str, ...] | None) -> tuple[None, Array]:
    """Regression targets (N, K) float32."""
    values = np.empty((len(table.lines), len(names)), np.float32)
    for index, (name, cells) in enumerate(zip(names, table.targets, strict=True)):
        for row, (line, cell) in enumerate(zip(table.lines, cells, strict=True)):
            if not is_number(cell):
                raise DataError(
                    f"{table.path}:{line}: the target {name!r} is {cell[:40]!r}, not a number",
                    "regression needs numbers; for text use task: classification",
                )
            values[row, index] = float(cell)
        if not np.isfinite(values[:, index]).all():
            row = int(np.argmin(np.isfinite(values[:, index])))
            raise DataError(f"{table.path}:{table.lines[row]}: the target {name!r} is not a finite number")
    return None, values
