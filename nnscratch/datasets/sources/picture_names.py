"""What the names of pictures say beside their class: the patient, the day, by a pattern such as `{group}_*.png`."""

from __future__ import annotations

import re

from nnscratch.datasets.sources.picture_folders import Listing
from nnscratch.errors import DataError, listed

GROUP, ORDER = "{group}", "{order}"
NAMED_AT_ONCE = 3


def problem_of(pattern: str, part: str) -> str:
    """Why that is no pattern with the part in it; empty for one."""
    if pattern.count(part) != 1:
        return f"'{pattern}' must have {part} in it once, as '{part}_*' has"
    around = re.sub(r"\?", "", pattern)
    if f"*{part}" in around or f"{part}*" in around:
        return f"in '{pattern}' nothing says where {part} ends: write what stands between it and *, as '{part}_*' does"
    return ""


def parts_of(listing: Listing, pattern: str, part: str) -> list[str]:
    """What stands for the part in the name of each picture, or, when the pattern has a /, in its path below its class.

    Of several ways to read a name it is the one with the shortest beginnings. Raises DataError for names without it.
    """
    whole = re.compile(_expression(pattern, part), re.DOTALL)
    names = listing.names if "/" in pattern else [name.rpartition("/")[2] for name in listing.names]
    found = [whole.fullmatch(name) for name in names]
    others = [name for name, match in zip(names, found, strict=True) if match is None]
    if others:
        shown = listed(others, NAMED_AT_ONCE)
        raise DataError(
            f"{len(others):,} of {len(names):,} pictures are not called '{pattern}': {shown}",
            "it must fit the names of all",
            f"data.dataset.{'split_by' if part == GROUP else 'order_by'}",
        )
    return [match["part"] for match in found if match is not None]


def _expression(pattern: str, part: str) -> str:
    """The regular expression of a pattern, in which nothing crosses a /."""
    signs = {"*": "[^/]*?", "?": "[^/]", part: "(?P<part>[^/]+?)"}
    pieces = re.split(rf"({re.escape(part)}|[*?])", pattern)
    return "".join(signs.get(piece, re.escape(piece)) for piece in pieces)
