"""What a served network takes and gives, for the page's form and for /openapi.json alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nnscratch.datasets.tables.columns import DAY, Boolean, Category, Column, Date, Number
from nnscratch.datasets.tables.text import MAGNITUDES
from nnscratch.runs.loaded import LoadedRun

MOST_FIELDS = 100
"""Columns that a form still has a field for; who has more sends JSON or CSV."""
MOST_CHOICES = 500
"""Levels of a category that can be chosen from."""

Takes = Literal["pictures", "columns", "numbers"]


@dataclass(frozen=True)
class Field:
    """An input of the form: its column, what goes into it, and what stands there at first (what fills a gap)."""

    name: str
    kind: Literal["number", "choice", "text"]
    value: str = ""
    choices: tuple[str, ...] = ()
    hint: str = ""
    may_be_empty: bool = True


@dataclass(frozen=True)
class Description:
    """A network seen from outside."""

    name: str
    epoch: int
    takes: Takes
    shape: tuple[int, ...]
    fields: tuple[Field, ...]
    """A table's columns; empty where the data had no names."""
    classes: tuple[str, ...] | None
    targets: tuple[str, ...]

    @property
    def has_form(self) -> bool:
        """Whether its columns fit into a form."""
        return 0 < len(self.fields) <= MOST_FIELDS

    @property
    def in_words(self) -> str:
        """What it does, in a line: `10 classes of pictures, 32 x 32 pixels in colour`."""
        gives = f"{len(self.classes)} classes" if self.classes else "values of " + ", ".join(self.targets[:5])
        if self.takes == "pictures":
            height, width, channels = self.shape
            return f"{gives} of pictures, {width} x {height} pixels in {'grey' if channels == 1 else 'colour'}"
        if self.fields:
            return f"{gives} from {len(self.fields)} columns"
        size = " x ".join(map(str, self.shape))
        return f"{gives} from rows of {size} numbers"


def describe(loaded: LoadedRun) -> Description:
    """That of a loaded run."""
    shape = loaded.input_shape
    fields: tuple[Field, ...] = ()
    takes: Takes = "numbers"
    if loaded.takes_images:
        takes = "pictures" if len(shape) == 3 and shape[2] in (1, 3) else "numbers"
    elif loaded.encoding is not None:
        takes, needed = "columns", loaded.encoding.schema.missing in ("error", "drop")
        fields = tuple(_field(column, not needed) for column in loaded.encoding.columns)
    elif loaded.feature_names is not None:
        takes, fields = "columns", tuple(Field(name, "number", may_be_empty=False) for name in loaded.feature_names)
    return Description(
        loaded.run.path.absolute().name, loaded.epoch, takes, shape, fields, loaded.classes, loaded.target_names
    )


def _field(column: Column, may_be_empty: bool) -> Field:
    match column:
        case Category() if len(column.levels) <= MOST_CHOICES:
            return Field(column.name, "choice", column.filled_with, column.levels, "", may_be_empty)
        case Category():
            return Field(column.name, "text", column.filled_with, (), "", may_be_empty)
        case Boolean():
            return Field(column.name, "choice", column.filled_with, column.words, "", may_be_empty)
        case Date():
            tells_time = "day" in column.parts or re.search("%[HI]", column.format)
            value = column.written(column.fill if tells_time else column.fill // DAY * DAY)
            return Field(column.name, "text", value, (), f"as {value}", may_be_empty)
        case Number() if column.unit in MAGNITUDES:
            value = f"{column.filled_with}{column.unit}"
            return Field(column.name, "text", value, (), f"as {value}", may_be_empty)
        case _:
            return Field(column.name, "number", column.filled_with, (), "", may_be_empty)


def schemas_of(fields: tuple[Field, ...]) -> Iterator[tuple[str, dict[str, object]]]:
    """The JSON Schema of each field's value."""
    for field in fields:
        kind = "number" if field.kind == "number" else "string"
        schema: dict[str, object] = {"type": [kind, "null"] if field.may_be_empty else kind}
        if field.value:
            schema["examples"] = [float(field.value) if kind == "number" else field.value]
        yield field.name, schema
