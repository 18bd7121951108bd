"""Which files below a folder may be examples: one rule, for those to learn from and those to predict."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from nnscratch.errors import DataError

NO_DATA = frozenset(
    ("__macosx", "@eadir", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "lost+found", "__pycache__")
)
"""What macOS, Windows, disk stations and notebooks lay beside the files of a person, in lower case."""
HIDDEN = "hidden files and folders"
BROKEN = "broken links"
SEEN = "links to a folder that is read already"
NO_FILE = "neither files nor folders"


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name is nobody's example: hidden, or left there by a program."""
    return name.startswith((".", "~$")) or name.lower() in NO_DATA


def refuse_endless(path: Path) -> None:
    """Raises DataError for a pipe, a socket or a device: what it gives may never come, or never end."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise DataError(f"{path} is neither a file nor a folder", "write what it gives into a file first")


def natural(text: str) -> tuple[tuple[str, int, str], ...]:
    """A key that sorts text as people count: 1, 2, 10 and cat2, cat10."""
    parts = re.findall(r"(\D*)(\d*)", text)
    return tuple((words, len(digits.lstrip("0")), digits.lstrip("0") + digits) for words, digits in parts)


def walk(folder: Path) -> Iterator[tuple[Path, str]]:
    """Everything below the folder in natural order, with the reason why it is no example: "" for a file that may be.

    Links are followed, but no folder is entered twice and none that it lies in, so that a circle of links ends.
    """
    yield from _walk(folder, {_place(above) for above in folder.resolve().parents})


def subfolders(folder: Path) -> list[Path]:
    """The folders in it that are not hidden, in natural order; links to folders count."""
    inside = (entry for entry in folder.iterdir() if not is_hidden(entry.name) and entry.is_dir())
    return sorted(inside, key=lambda entry: natural(entry.name))


def _place(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _walk(folder: Path, entered: set[tuple[int, int]]) -> Iterator[tuple[Path, str]]:
    place = _place(folder)
    if place in entered:
        yield folder, SEEN
        return
    entered.add(place)
    with os.scandir(folder) as entries:
        inside = sorted(entries, key=lambda entry: natural(entry.name))
    for entry in inside:
        path = folder / entry.name
        if is_hidden(entry.name):
            yield path, HIDDEN
        elif entry.is_symlink() and not path.exists():  # asked first: of a link to itself is_dir raises an OSError
            yield path, BROKEN
        elif entry.is_dir():
            yield from _walk(path, entered)
        elif entry.is_file():
            yield path, ""
        else:
            yield path, NO_FILE
