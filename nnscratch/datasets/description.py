"""What was guessed about data that somebody else laid out: each guess with its reason and the field that overrules it.

A source fills a `Description` while it reads; the data report, `data describe`, `--dry-run`, `preflight` and `init`
show it. Nothing here knows of files or of a terminal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ColumnKind = Literal["number", "category", "boolean", "date", "left out"]


@dataclass(frozen=True)
class Guess:
    """One decision that the user did not write down: what was taken, why, and the field that overrules it."""

    what: str
    """In a word or two: "separator", "target", "task", "header", "channel order"."""

    taken: str
    """What was decided, as a value: ";", "price", "regression"."""

    why: str = ""
    """What in the data speaks for it; empty where it is written in the config."""

    field: str = ""
    """The config's field that overrules it, such as "data.dataset.delimiter"."""


@dataclass(frozen=True)
class ColumnDescription:
    """One column of a table: its kind, what becomes of it, and how many gaps it has."""

    name: str
    kind: ColumnKind
    why: str = ""
    levels: tuple[tuple[str, int], ...] = ()
    """The levels of a category with their counts, most frequent first."""

    gaps: int = 0
    filled_with: str = ""
    """What stands in for a gap, in words: "median 28"."""
    unit: str = ""
    """What stands behind its numbers: "kg"."""


@dataclass(frozen=True)
class Description:
    """Everything that was guessed about a dataset, what was left out of it, and what looks wrong with it."""

    guesses: tuple[Guess, ...] = ()
    columns: tuple[ColumnDescription, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many files, folders or rows were not read, by reason: {"hidden files": 3, ".tif": 2}."""

    warnings: tuple[str, ...] = ()
    """What looks wrong, each a sentence that says what to do: an id among the inputs, a class with one example."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """Anything else worth a line, plain values by name: {"sizes": "28x28 (70,000)", "duplicates": 12}."""
