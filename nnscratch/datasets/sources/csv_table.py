"""One's own table: a file with one example per row, for classification or regression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nnscratch.datasets.dataset import Dataset, Report, Source
from nnscratch.datasets.download import Progress
from nnscratch.datasets.separation import contradictions
from nnscratch.datasets.sources.own_data import required_path
from nnscratch.datasets.tables.settings import TableSettings
from nnscratch.errors import DataError


@dataclass
class CSVTable(TableSettings, Source):
    """Columns of any kind and labels or numbers to predict, from the rows of a table: CSV, TSV, JSON, Parquet, XLSX."""

    name: ClassVar[str] = "csv"
    also_called: ClassVar[tuple[str, ...]] = (
        "table",
        "tsv",
        "parquet",
        "xlsx",
        "excel",
        "json",
        "tabular",
        "dataframe",
    )
    summary: ClassVar[str] = "your own table: a CSV, TSV, JSON, Parquet or XLSX file with one example per row"
    default_scaling: ClassVar[str] = "standardize"

    def contradictions(self) -> Iterator[tuple[str, str]]:
        if self.delimiter is not None and (
            len(self.delimiter) != 1 or self.delimiter in '"\r\n' or not self.delimiter.isascii()
        ):
            yield "delimiter", 'must be one ASCII character, no quote or line end; a tab is "\\t", in double quotes'
        if self.target == ():
            yield "target", "needs at least one column; leave it out to predict label, target, class, y or the last"
        targets = (self.target,) if isinstance(self.target, str) else self.target or ()
        if self.weight is not None and self.weight in targets:
            yield "weight", f"the target {self.weight!r} cannot be the weight, too"
        for field, name in (("split_by", self.split_by), ("order_by", self.order_by)):
            if name is not None and name in (*targets, self.weight):
                yield field, f"{name!r} is the target or the weight"
        yield from contradictions(self.split_by, self.split, self.order_by)
        for name in targets:
            if name in self.ignore or self.columns.get(name) == "ignore":
                yield "target", f"the target {name!r} cannot be left out"

    def load(
        self,
        data_dir: Path,
        path: Path | None,
        report: Report,
        download: bool = True,
        progress: Progress | None = None,
    ) -> Dataset:
        """See `Source.load`. `path` is the file, or a folder with train.csv and perhaps val.csv and test.csv."""
        # Polars, which takes a tenth of a second, is imported where a table is read.
        from nnscratch.datasets.tables.loading import load_table

        place = required_path(path, self.name, "a table, or a folder with train.csv and perhaps test.csv")
        file = _in_folder(place, "train") if place.is_dir() else place
        if not file.exists():
            raise DataError(f"there is no {file.name} in {place}", "give the path of a table itself", "data.path")
        test_file = _in_folder(place, "test") if place.is_dir() else None
        if self.test_path is not None:
            test_file = required_path(file.parent / self.test_path, self.name, "a table", "data.dataset.test_path")
        validation_file = _in_folder(place, "val", "valid", "validation", "dev") if place.is_dir() else None
        others = (each if each is not None and each.is_file() else None for each in (validation_file, test_file))
        return load_table(self, self.name, file, *others)


SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".csv.gz", ".json", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".zip")


def _in_folder(folder: Path, *names: str) -> Path:
    """The table of the first of these names in a folder: a .csv if none is there."""
    found = (folder / f"{name}{suffix}" for name in names for suffix in SUFFIXES)
    return next((file for file in found if file.is_file()), folder / f"{names[0]}.csv")
