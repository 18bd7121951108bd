"""What the files of a run say, whoever wrote them: bounded, and no more than it can be."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from nnscratch.errors import UserError

LONGEST_META = 1 << 24
LONGEST_METRICS = 1 << 30
"""Bytes of meta.json, and of metrics.jsonl: what is longer is not read."""
LARGEST = 3.4e38
"""What single precision holds: training measures nothing larger, and pictures of it would overflow."""


def text_of(path: Path, longest: int) -> str:
    """What a file says, as far as it is text; empty when it cannot be read, or is a pipe or a device without an end.

    Raises UserError when it has more than `longest` bytes.
    """
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            contents = file.read(longest + 1)
    except OSError:
        return ""
    if len(contents) > longest:
        raise UserError(f"{path} has more than {longest:,} bytes: no training wrote it")
    return contents.decode("utf-8", "replace")


def mapping_of(path: Path, longest: int = LONGEST_META) -> dict[str, Any] | None:
    """The mapping that a JSON file holds, read likewise; None for what is none."""
    return _mapping(text_of(path, longest))


def mappings_of(path: Path) -> list[dict[str, Any]]:
    """Those that its lines hold, in order; a line that holds none, as one that a kill cut off, is left out."""
    found = map(_mapping, text_of(path, LONGEST_METRICS).splitlines())
    return [each for each in found if each is not None]


def _mapping(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def number(value: object) -> float:
    """The value, when it is a number that single precision can hold; else NaN. Whole numbers stay whole."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST <= value <= LARGEST:
        return math.nan
    return value
