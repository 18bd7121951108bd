"""What a file or folder of somebody's own data is: the source that reads it."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from nnscratch.datasets.formats.folder import refuse_endless, subfolders, walk
from nnscratch.datasets.sources.csv_table import SUFFIXES as TABLES
from nnscratch.datasets.sources.picture_folders import is_picture
from nnscratch.errors import DataError

ARRAYS = (".npz", ".npy")
MOST_FILES = 10_000
"""Of a larger folder only so many files are looked at."""
IDX = re.compile(rb"\0\0[\x08\x09\x0b-\x0e][\x01-\x04]")
"""How a file of the MNIST format begins."""

CIFAR10 = re.compile(
    r"cifar-10-batches-(py|bin)|cifar-10-(python|binary)\.tar(\.gz)?|(data_batch_[1-5]|test_batch)(\.bin)?"
)
"""What the files of CIFAR-10 and their folders are called."""


def recognize(path: Path) -> tuple[str, Path]:
    """The name of the source that reads what lies there, and the path for it: that of the one file in a folder.

    Raises DataError when there is nothing, nothing that is read here, or several files of which any could be meant.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist", "name a table, an NPZ file, or a folder with a folder for each class")
    refuse_endless(path)
    if not path.is_dir():
        _refuse_cifar10(path, [path])
        if is_picture(path):
            raise DataError(f"{path} is a single picture", "name the folder that has a folder of pictures per class")
        _refuse_other_formats(path)
        return ("npz" if path.suffix.lower() in ARRAYS else "csv"), path
    inside = sorted(each for each in path.iterdir() if each.is_file() and not each.name.startswith("."))
    tables = [each for each in inside if _has_suffix(each, TABLES)]
    with_pictures = list(islice(filter(_holds_pictures, subfolders(path)), 2))
    of_training = next((each for each in tables if each.name.partition(".")[0].lower() == "train"), None)
    if of_training is not None and len(with_pictures) > 1:
        raise DataError(
            f"{path} holds {of_training.name} and folders of pictures, {with_pictures[0].name}/ and others",
            f"name the file for the table; data.dataset.name=image_folder beside {path} reads the pictures",
        )
    if of_training is not None:
        return "csv", path
    if with_pictures:
        return "image_folder", path
    arrays = [each for each in inside if _has_suffix(each, ARRAYS)]
    if len(tables) + len(arrays) == 1:
        return recognize((tables + arrays)[0])
    if tables or arrays:
        names = ", ".join(each.name for each in (*tables, *arrays)[:10])
        raise DataError(f"{path} holds several files of data: {names}", "name one of them, or call one train.csv")
    _refuse_cifar10(path, [path, *path.iterdir()])
    raise DataError(
        f"{path} holds no data that is read here",
        "read are tables (CSV, TSV, JSON, Parquet, XLSX), NPZ files, and pictures in a folder for each class",
    )


def _refuse_cifar10(path: Path, found: Iterable[Path]) -> None:
    if any(CIFAR10.fullmatch(each.name) for each in found):
        raise DataError(
            f"{path} is CIFAR-10, as its authors give it out",
            "`data: {dataset: cifar10}` reads it: --data-dir, or data.path, is the folder that holds its files",
        )


def _has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(suffixes)


def _holds_pictures(folder: Path) -> bool:
    try:
        return any(not reason and is_picture(file) for file, reason in islice(walk(folder), MOST_FILES))
    except OSError:  # a folder that may not be looked into
        return False


def _refuse_other_formats(path: Path) -> None:
    """Raises DataError for files that people have data in, and that would be read as damaged text."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
        if start.startswith(b"\x1f\x8b"):
            with gzip.open(path) as packed:
                start = packed.read(512)
    except (OSError, EOFError, zlib.error):
        return  # whoever reads it says why not
    if IDX.match(start):
        raise DataError(
            f"{path} is an IDX file, as MNIST's are",
            "numpy.savez('mine.npz', x=x, y=y) makes an NPZ file of pictures and labels: "
            "x = numpy.frombuffer(gzip.open(...).read(), 'u1', offset=16).reshape(-1, 28, 28), y likewise, offset=8",
        )
    if start[257:262] == b"ustar":
        raise DataError(f"{path} is a tar archive", "unpack it, and name the folder or the file in it")
