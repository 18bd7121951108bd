"""What a config may say of a table, whatever file it is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nnscratch.component import setting
from nnscratch.datasets.tables.columns import Missing
from nnscratch.datasets.tables.encoding import UnknownLevels

Kind = Literal["number", "category", "boolean", "date", "ignore"]


@dataclass
class TableSettings:
    """How a table is read, and what it is to predict."""

    target: str | tuple[str, ...] | None = setting(
        None, "column to predict, or several for regression; null: label, target, class or y, else the last"
    )
    task: Literal["auto", "classification", "regression"] = setting(
        "auto", "auto: classification for text and for few different whole numbers, else regression"
    )
    columns: dict[str, Kind] = setting(
        default_factory=dict, help="kinds of columns, where the guess is wrong: {zip: category, id: ignore}"
    )
    missing: Missing = setting(
        "auto",
        "gaps: mean, median or most_frequent of the training rows fills them, and a feature says so; auto: median for "
        "numbers, else most_frequent; drop leaves the row out",
    )
    unknown_levels: UnknownLevels = setting(
        "other", "a level of a category that no training row has: counts as other, or is an error"
    )
    weight: str | None = setting(
        None, "column that says how much each row counts in the loss: 0 not at all, 2 twice; no feature"
    )
    test: float = setting(0.2, "fraction held out as the test split when there is no test file", ge=0, lt=1)
    test_path: str | None = setting(None, "file with the test split; relative to the training file")
    ignore: tuple[str, ...] = setting((), "columns to leave out, such as a row number")
    header: bool | None = setting(None, "whether the first row names the columns; null: detect")
    delimiter: str | None = setting(None, 'character that separates the cells, " " for any white space; null: detect')
    decimal: Literal[".", ","] | None = setting(None, "decimal mark of numbers; null: detect")
    seed: int = setting(0, "which rows are held out", ge=0)
