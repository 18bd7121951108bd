"""Dataclasses kept as JSON, and read back from files of any age and from anybody's hand."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from nnscratch.component import hints_of, typed
from nnscratch.runs.reading import mappings_of

Kind = TypeVar("Kind")


def read_record(kind: type[Kind], values: object) -> Kind:
    """The dataclass with those plain values: one that is missing or of another type is the field's default.

    Raises ValueError, which names it, for a field without a default. What the class does not know is left out.
    """
    given = values if isinstance(values, Mapping) else {}
    read: dict[str, Any] = {}
    annotations = hints_of(kind)  # type: ignore[arg-type]  # mypy thinks that a class is not hashable
    for field in fields(kind):  # type: ignore[arg-type]  # a dataclass
        try:
            read[field.name] = _value(annotations[field.name], given[field.name])
        except (KeyError, ValueError):
            if field.default is MISSING and field.default_factory is MISSING:
                found = repr(given[field.name])[:60] if field.name in given else "missing"
                raise ValueError(f"{field.name} is {found}") from None
    return kind(**read)


def read_lines(kind: type[Kind], path: Path) -> list[Kind]:
    """The records of a file with one in a line, in order; what is no whole record is left out."""
    found = []
    for values in mappings_of(path):
        with suppress(ValueError):
            found.append(read_record(kind, values))
    return found


def _value(annotation: Any, value: object) -> Any:
    """The value, when it is of that type. Raises ValueError."""
    nested = next((each for each in (annotation, *get_args(annotation)) if is_dataclass(each)), None)
    if nested is not None and (value is not None or nested is annotation):
        return read_record(nested, value)  # type: ignore[arg-type]  # a class
    return typed(annotation, tuple(value) if isinstance(value, list) else value)
