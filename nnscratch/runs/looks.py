"""How often each split of a run was looked at: every score of it is a chance to fit it by choosing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from nnscratch.runs import layout
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.records import read_lines


@dataclass(frozen=True)
class Look:
    """One score of a split, or of other data."""

    split: str
    by: str
    """`train`, at its end, or `evaluate`."""
    examples: int = 0
    checkpoint: str | None = None
    at: str | None = None


def note_look(run: RunDirectory, look: Look) -> None:
    """Adds it to the run's looks.jsonl, with the time. Raises UserError when the disk refuses."""
    run.append(layout.LOOKS, {**asdict(look), "at": time.strftime("%Y-%m-%dT%H:%M:%S%z")})


def read_looks(run: RunDirectory) -> list[Look]:
    """Those there were, the first first."""
    return read_lines(Look, run.path / layout.LOOKS)


def count_looks(run: RunDirectory) -> Mapping[str, int]:
    """How often each was looked at; the validation split also once per epoch."""
    counted: dict[str, int] = {}
    validated = sum("val_loss" in row for row in run.read_history())
    if validated:
        counted["val"] = validated
    for look in read_looks(run):
        counted[look.split] = counted.get(look.split, 0) + 1
    if "test" not in counted and run.read_test():  # of a run from before looks were kept
        counted["test"] = 1
    return counted
