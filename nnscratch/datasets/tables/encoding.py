"""From a table's raw columns to the numbers that a network takes, as the training rows say; the run keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nnscratch.component import with_fields
from nnscratch.datasets.description import ColumnDescription
from nnscratch.datasets.tables.columns import KINDS, Category, Column, Missing, Number
from nnscratch.datasets.tables.text import Array, Values
from nnscratch.errors import DataError, did_you_mean, listed

if TYPE_CHECKING:
    from nnscratch.datasets.tables.reader import TextTable

UnknownLevels = Literal["other", "error"]


@dataclass(frozen=True)
class Schema:
    """The input columns of a table before anything is learned from its rows, and how gaps and new levels are taken."""

    columns: tuple[Column, ...]
    missing: Missing = "auto"
    unknown_levels: UnknownLevels = "other"
    names: tuple[str, ...] = ()
    """All columns of the file, in order."""
    has_header: bool = True
    targets: tuple[str, ...] = ()
    """The columns to predict."""
    target_units: tuple[str, ...] = ()
    """What stands behind the numbers of each; none where none of them has a unit."""

    @property
    def is_plain(self) -> bool:
        """Whether every column is a number, taken as it is."""
        return all(isinstance(column, Number) and not column.centre for column in self.columns)


@dataclass(frozen=True)
class TableEncoding:
    """A schema whose columns are fitted to the training rows: raw values (N, C) become features (N, D) float32."""

    schema: Schema

    @classmethod
    def fit(cls, schema: Schema, values: Values) -> TableEncoding:
        """The encoding for raw training values (N, C) of the schema's columns."""
        columns = (column.fit(values[:, index], schema.missing) for index, column in enumerate(schema.columns))
        return cls(replace(schema, columns=tuple(columns)))

    @classmethod
    def of_numbers(cls, names: Sequence[str]) -> TableEncoding:
        """That of a table of numbers without gaps, as they are: all that runs knew before there were others."""
        return cls(Schema(tuple(Number(name) for name in names), missing="error", names=tuple(names)))

    @property
    def columns(self) -> tuple[Column, ...]:
        """The fitted columns, in the order of the raw values."""
        return self.schema.columns

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(name for column in self.columns for name in column.features)

    @property
    def offsets(self) -> Values:
        """What each feature (D,) is less than its column's own number, as a person knows it."""
        return np.array([offset for column in self.columns for offset in column.offsets])

    def encode(self, values: Values, given: Sequence[Column] | None = None) -> Array:
        """Features (N, D) float32 of raw values (N, C).

        The codes of categories count through the levels of `given`, columns of the same names (None: of these). Raises
        DataError when `given` has other columns or kinds, and for a level that is unknown where that is an error.
        """
        blocks = []
        places = {} if given is None else {each.name: index for index, each in enumerate(given)}
        for index, column in enumerate(self.columns):
            own = values[:, index] if given is None else self._matched(column, values, given, places.get(column.name))
            if self.schema.unknown_levels == "error" and isinstance(column, Category) and (own < 0).any():
                raise DataError(
                    f"{int((own < 0).sum()):,} rows have a level of {column.name!r} that no training row has",
                    "unknown_levels: other takes such a level for none of those that are known",
                )
            blocks.append(column.encode(own))
        return np.ascontiguousarray(np.hstack(blocks), np.float32)

    def read(self, table: TextTable) -> tuple[Values, list[str | None], list[str]]:
        """Raw values (N, C) of a table's rows; for each row what is wrong with it, or None, and what training had not.

        Raises DataError when the table lacks a column.
        """
        from nnscratch.datasets.tables.parsing import shown  # which imports polars

        cells = [table.columns[index] for index in self.places(table)]
        values = np.empty((len(table), len(self.columns)))
        errors: list[str | None] = [None] * len(table)
        notes: list[list[str]] = [[] for _ in errors]
        for index, (column, series) in enumerate(zip(self.columns, cells, strict=True)):
            values[:, index], bad = column.read(series)
            for row in np.flatnonzero(bad):
                cell = shown(series, row)
                errors[row] = errors[row] or f"column {column.name!r} is {cell!r}, not {column.expected(cell)}"
            if self.schema.missing in ("error", "drop"):
                for row in np.flatnonzero(np.isnan(values[:, index]) & ~bad):
                    errors[row] = errors[row] or f"column {column.name!r} is empty (missing: {self.schema.missing})"
            if self.schema.unknown_levels == "error" and isinstance(column, Category):
                for row in np.flatnonzero(values[:, index] < 0):
                    errors[row] = (
                        errors[row]
                        or f"column {column.name!r} is {str(series[int(row)])[:40]!r}, a level that no training row has"
                    )
            for row in np.flatnonzero(values[:, index] < 0) if isinstance(column, Category) else ():
                notes[row].append(f"{column.name} {str(series[int(row)])[:40]!r} is new and counts as other")
            for row in np.flatnonzero(np.isnan(values[:, index]) & ~bad) if not column.flag else ():
                notes[row].append(f"{column.name} is empty and taken for {column.filled_with}")
        return values, errors, ["; ".join(each) for each in notes]

    def places(self, table: TextTable) -> list[int]:
        """Where each column stands in a table: by name; by position only where one of the two files has no names."""
        names, wanted = table.names, [column.name for column in self.columns]
        there = set(names)
        if table.has_header and self.schema.has_header:
            missing = [name for name in wanted if name not in there]
            if missing:
                none = f"no column {listed(map(repr, missing), 10)}" + did_you_mean(missing[0], names)
                if len(missing) == len(wanted):
                    none = "no column of the training data"
                raise DataError(
                    f"{table.path} has {none}; it has {listed(map(repr, names), 10)}",
                    f"the run was trained with {listed(map(repr, wanted), 20)}",
                )
            return _places_of(wanted, names)
        if len(names) == len(self.schema.names):
            return _places_of(wanted, self.schema.names)
        if len(names) == len(wanted):
            return list(range(len(wanted)))
        raise DataError(
            f"{table.path} has no names and {len(names)} columns; the training data had {len(self.schema.names)}, "
            f"of which {len(wanted)} are inputs",
            "give it a header, or exactly these columns",
        )

    def describe(self, described: Sequence[ColumnDescription]) -> tuple[ColumnDescription, ...]:
        """The descriptions of columns, with what stands in for their gaps."""
        if self.schema.missing in ("drop", "error"):
            return tuple(described)
        words = {column.name: column.filled_with for column in self.columns}
        given = self.schema.missing.replace("_", " ")

        def filled(each: ColumnDescription) -> str:
            of_numbers = "median" if given == "auto" else given
            how = {"number": of_numbers, "date": "median"}.get(each.kind, "most frequent")
            return f"{how} {words[each.name]}"

        return tuple(
            replace(each, filled_with=filled(each)) if each.gaps and each.name in words else each for each in described
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        schema = self.schema
        return {
            "columns": [column.to_dict() for column in schema.columns],
            "missing": schema.missing,
            "unknown_levels": schema.unknown_levels,
            "names": list(schema.names),
            "has_header": schema.has_header,
            "targets": list(schema.targets),
            **({"target_units": list(schema.target_units)} if schema.target_units else {}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TableEncoding:
        """The encoding that `to_dict` wrote. Raises ValueError for anything else."""
        if not isinstance(values, Mapping) or not isinstance(values.get("columns"), list) or not values["columns"]:
            raise ValueError("the encoding of its table has no columns")
        columns = tuple(_column(each) for each in values["columns"])
        plain = {name: value for name, value in values.items() if name != "columns"}
        schema = with_fields(_PlainSchema, plain, "the encoding of its table").schema(columns)
        if not {column.name for column in columns} <= set(schema.names):
            raise ValueError("the encoding of its table has columns that the table has not")
        if schema.target_units and len(schema.target_units) != len(schema.targets):
            raise ValueError("the encoding of its table has units of other targets")
        if len({column.name for column in columns}) < len(columns):
            raise ValueError("the encoding of its table has two columns of one name")
        return cls(schema)

    def _matched(self, column: Column, values: Values, given: Sequence[Column], index: int | None) -> Values:
        if index is None or type(given[index]) is not type(column):
            found = "is not there" if index is None else f"is a {given[index].kind} now"
            raise DataError(
                f"the column {column.name!r}, a {column.kind} in training, {found}",
                "use the data the run was trained on, or say its kind: data.dataset.columns",
            )
        other = given[index]
        own: Values = values[:, index]
        if isinstance(column, Category) and isinstance(other, Category):
            return column.recode(own, other.levels)
        return own


def _places_of(wanted: Sequence[str], names: Sequence[str]) -> list[int]:
    places = {name: index for index, name in enumerate(names)}
    return [places[name] for name in wanted]


@dataclass(frozen=True)
class _PlainSchema:
    """What a schema has besides its columns, as JSON holds it."""

    missing: Missing
    unknown_levels: UnknownLevels
    names: tuple[str, ...]
    has_header: bool
    targets: tuple[str, ...]
    target_units: tuple[str, ...] = ()

    def schema(self, columns: tuple[Column, ...]) -> Schema:
        return Schema(
            columns, self.missing, self.unknown_levels, self.names, self.has_header, self.targets, self.target_units
        )


def _column(values: object) -> Column:
    if not isinstance(values, Mapping) or str(values.get("kind")) not in KINDS:
        raise ValueError("the encoding of its table has a column of no known kind")
    fields = {name: value for name, value in values.items() if name != "kind"}
    column = with_fields(KINDS[str(values["kind"])], fields, "a column of its table")
    if isinstance(column, Category) and not 0 <= column.own <= len(column.levels):
        raise ValueError(f"the levels of its column {column.name!r} contradict each other")
    try:
        _ = column.filled_with
    except (IndexError, OverflowError, ValueError):
        raise ValueError(f"no value of its column {column.name!r} is {column.fill}, which is to fill gaps") from None
    return column


def digest_text(schema: Schema) -> bytes:
    """What of a schema belongs to the data: its columns and their levels."""
    return json.dumps([column.to_dict() for column in schema.columns], sort_keys=True).encode()
