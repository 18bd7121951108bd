"""What lies in the data folder: found, fetched and verified for `nnscratch data`; nothing is printed here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import nnscratch.datasets  # noqa: F401  (importing the sources makes their names known)
from nnscratch.component import catalogue
from nnscratch.datasets.dataset import NO_DOWNLOAD_HINT, Array, Found, Report, Source
from nnscratch.datasets.download import Patience, Progress
from nnscratch.datasets.download import fetch as fetch_files
from nnscratch.errors import DataError, UsageError, did_you_mean


@dataclass(frozen=True)
class Listing:
    """One dataset: what it is, the copies found (the one that is used first), and what a fetch would download."""

    name: str
    summary: str
    found: tuple[Found, ...]
    archives: tuple[Path, ...]  # there, but not unpacked; `load` does that
    download_size: int  # bytes; 0: nothing to download

    @property
    def available(self) -> bool:
        """Whether training on it needs no download."""
        return bool(self.found or self.archives) or self.download_size == 0


@dataclass(frozen=True)
class FileCheck:
    """A file, its size, and whether it is the publisher's, bit for bit (None: the publisher's digest is not known)."""

    path: Path
    size: int
    official: bool | None


@dataclass(frozen=True)
class SplitCheck:
    """How many examples a split has, and how many of each class."""

    split: str
    examples: int
    per_class: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Verification:
    """One copy of a dataset, read in full and checked: a copy with a fault has a `problem` and no splits.

    `official` says whether the examples are the publisher's, in whatever format and order; None: it cannot be told.
    """

    name: str
    found: Found
    files: tuple[FileCheck, ...]
    splits: tuple[SplitCheck, ...]
    official: bool | None
    problem: str | None


def describe(data_dir: Path) -> list[Listing]:
    """Every dataset there is, in the order of definition; reads no data."""
    return [_listing(source(), data_dir) for source in catalogue(Source).values()]


def fetch(
    name: str,
    data_dir: Path,
    report: Report,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> Listing:
    """The dataset downloaded where it is missing, unpacked, and listed; a copy that is there is left alone.

    Raises UsageError for a dataset that is not downloaded, DataError when no address delivers.
    """
    source = _source(name)
    if not source.downloads:
        raise UsageError(
            f"{name} is not downloaded: it is {source.summary}",
            "to be fetched: " + ", ".join(known for known, kind in catalogue(Source).items() if kind.downloads),
        )
    listing = _listing(source, data_dir)
    if not listing.available:
        folder = source.folder_for_downloads(data_dir)
        fetch_files(source.downloads, folder, report, progress, patience, hint=NO_DOWNLOAD_HINT)
    source.prepare(data_dir, report)
    return _listing(source, data_dir)


def verifiable() -> list[str]:
    """The datasets of which it is known what they are to hold."""
    return [name for name, source in catalogue(Source).items() if source.downloads]


def verify(name: str, data_dir: Path, report: Report) -> list[Verification]:
    """Every copy of a dataset that lies in `data_dir`, read and checked. Raises DataError when there is none."""
    source = _source(name)
    if not source.downloads:
        names = ", ".join(verifiable())
        raise UsageError(f"{name} has nothing to verify: it is {source.summary}", f"can be verified: {names}")
    source.prepare(data_dir, report)
    found = source.locate(data_dir)
    if not found:
        raise source.not_found(data_dir)
    return [_verification(source, copy) for copy in found]


def content_digest(inputs: Array, targets: Array) -> str:
    """SHA-256 over the sorted SHA-256 of each example and its label: the same in any order of the examples."""
    rows = np.ascontiguousarray(inputs).reshape(len(inputs), -1).view(np.uint8)
    digests = sorted(
        hashlib.sha256(row.tobytes() + label.to_bytes(8, "little")).digest()
        for row, label in zip(rows, targets.tolist(), strict=True)
    )
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _source(name: str) -> Source:
    known = catalogue(Source)
    if name not in known:
        raise UsageError(f"there is no dataset {name!r}{did_you_mean(name, known)}", f"datasets: {', '.join(known)}")
    return known[name]()


def _listing(source: Source, data_dir: Path) -> Listing:
    archives = () if source.locate(data_dir) else source.archives(data_dir)
    size = sum(file.size for file in source.downloads)
    return Listing(source.name, source.summary, source.locate(data_dir), archives, size)


def _verification(source: Source, found: Found) -> Verification:
    files = tuple(
        FileCheck(path, path.stat().st_size, _is_official(path, source.official_files.get(path.name)))
        for path in found.files
    )
    try:
        dataset = source.read(found)
    except DataError as error:
        return Verification(source.name, found, files, (), False, error.message)
    named = {"train": (dataset.train_inputs, dataset.train_targets)}
    if dataset.test_inputs is not None and dataset.test_targets is not None:
        named["test"] = (dataset.test_inputs, dataset.test_targets)
    classes = dataset.classes or ()
    splits = tuple(
        SplitCheck(
            split,
            len(inputs),
            tuple(zip(classes, np.bincount(targets, minlength=len(classes)).tolist(), strict=True)),
        )
        for split, (inputs, targets) in named.items()
    )
    official: bool | None = None
    if all(file.official is not None for file in files):
        official = all(file.official for file in files)
    elif source.official_content:
        official = all(content_digest(*arrays) == source.official_content.get(key) for key, arrays in named.items())
    return Verification(source.name, found, files, splits, official, None)


def _is_official(path: Path, expected: str | None) -> bool | None:
    """`expected` is written `algorithm:hexadecimal`, as the publisher states it."""
    if expected is None:
        return None
    algorithm, _, digest = expected.partition(":")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest() == digest
