"""What a file or folder of somebody's own data is: the source that reads it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from nnscratch.datasets.formats.folder import refuse_endless
from nnscratch.datasets.formats.images import SUFFIXES as PICTURES
from nnscratch.datasets.sources.csv_table import SUFFIXES as TABLES
from nnscratch.errors import DataError

ARRAYS = (".npz", ".npy")
MOST_FILES = 10_000
"""Of a larger folder only so many files are looked at."""


def recognize(path: Path) -> tuple[str, Path]:
    """The name of the source that reads what lies there, and the path for it: that of the one file in a folder.

    Raises DataError when there is nothing, nothing that is read here, or several files of which any could be meant.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist", "name a table, an NPZ file, or a folder with a folder for each class")
    refuse_endless(path)
    if not path.is_dir():
        if path.suffix.lower() in PICTURES:
            raise DataError(f"{path} is a single picture", "name the folder that has a folder of pictures per class")
        return ("npz" if path.suffix.lower() in ARRAYS else "csv"), path
    inside = sorted(each for each in path.iterdir() if each.is_file() and not each.name.startswith("."))
    tables = [each for each in inside if _has_suffix(each, TABLES)]
    if any(each.name.partition(".")[0].lower() == "train" for each in tables):
        return "csv", path
    if _holds_pictures(path):
        return "image_folder", path
    arrays = [each for each in inside if _has_suffix(each, ARRAYS)]
    if len(tables) + len(arrays) == 1:
        return recognize((tables + arrays)[0])
    if tables or arrays:
        names = ", ".join(each.name for each in (*tables, *arrays)[:10])
        raise DataError(f"{path} holds several files of data: {names}", "name one of them, or call one train.csv")
    raise DataError(
        f"{path} holds no data that is read here",
        "read are tables (CSV, TSV, JSON, Parquet, XLSX), NPZ files, and pictures in a folder for each class",
    )


def _has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(suffixes)


def _holds_pictures(folder: Path) -> bool:
    below = islice(folder.rglob("*"), MOST_FILES)
    return any(path.suffix.lower() in PICTURES and path.parent != folder for path in below)
