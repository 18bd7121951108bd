"""`nnscratch data`: what is found, fetched and verified, as values that can be printed for people or scripts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnscratch.datasets import inventory
from nnscratch.datasets.dataset import Found
from nnscratch.datasets.storage import cached_rows
from nnscratch.errors import DataError, UsageError
from nnscratch.host.display import Display
from nnscratch.report.formats import count
from nnscratch.report.tables import Column, Table, plain_table


@dataclass(frozen=True)
class DatasetList:
    """Every dataset and the copies of it that lie in the data folder."""

    data_dir: Path
    listings: tuple[inventory.Listing, ...]
    failure = None

    @property
    def cache(self) -> Path:
        """The folder of rows that were decoded from one's own data."""
        return self.data_dir / "cache"

    def to_dict(self) -> dict[str, Any]:
        files, size = cached_rows(self.cache)
        return {
            "data_dir": str(self.data_dir),
            "cache": {"folder": str(self.cache), "files": files, "bytes": size},
            "datasets": [
                {
                    "name": each.name,
                    "summary": each.summary,
                    "available": each.available,
                    "found": [_found(copy) for copy in each.found],
                    "archives": [str(path) for path in each.archives],
                    "download_size": each.download_size,
                }
                for each in self.listings
            ],
        }

    def to_text(self) -> str:
        rows = tuple((each.name, each.summary, state(each)) for each in self.listings)
        table = Table((Column("dataset"), Column("what it is"), Column(f"in {self.data_dir}")), rows)
        files, size = cached_rows(self.cache)
        kept = f"\n\nrows decoded from your own data: {files} in {self.cache} ({_megabytes(size)}); delete them freely"
        return plain_table(table).rstrip("\n") + (kept if files else "")


@dataclass(frozen=True)
class VerificationReport:
    """What was checked of every copy of a dataset, and what is wrong with it."""

    copies: tuple[inventory.Verification, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "copies": [
                {
                    "name": copy.name,
                    **_found(copy.found),
                    "official": copy.official,
                    "problem": copy.problem,
                    "splits": {
                        split.split: {"examples": split.examples, "per_class": dict(split.per_class)}
                        for split in copy.splits
                    },
                }
                for copy in self.copies
            ]
        }

    def to_text(self) -> str:
        return "\n".join(line for copy in self.copies for line in _lines(copy))

    @property
    def failure(self) -> DataError | None:
        damaged = [str(copy.found.folder) for copy in self.copies if copy.problem is not None]
        if not damaged:
            return None
        name = self.copies[0].name
        return DataError(f"{name} is damaged in {', '.join(damaged)}", f"remove it, then: nnscratch data fetch {name}")


def list_datasets(data_dir: Path) -> DatasetList:
    """What there is; reads no data."""
    return DatasetList(data_dir, tuple(inventory.describe(data_dir)))


def fetch_dataset(name: str, data_dir: Path, display: Display) -> DatasetList:
    """Downloads what is missing of one dataset."""
    return DatasetList(data_dir, (inventory.fetch(name, data_dir, display.say, display.download),))


def verify_dataset(name: str | None, data_dir: Path, display: Display) -> VerificationReport:
    """Reads every copy of one dataset and checks it. Raises UsageError, naming those there are, without a name."""
    if name is None:
        names = inventory.verifiable()
        raise UsageError(f"which dataset? {', '.join(names)}", f"nnscratch data verify {names[0]}")
    return VerificationReport(tuple(inventory.verify(name, data_dir, display.say)))


def state(listing: inventory.Listing) -> str:
    """Where a dataset is, in a few words."""
    if listing.found:
        return "; ".join(f"{copy.format} in {copy.folder} ({_megabytes(copy.size)})" for copy in listing.found)
    if listing.archives:
        return f"archive {listing.archives[0]}, unpacked when first used"
    if listing.download_size:
        return f"not there; `nnscratch data fetch {listing.name}` downloads {_megabytes(listing.download_size)}"
    return "needs no download"


def _lines(copy: inventory.Verification) -> Iterator[str]:
    yield f"{copy.name}: {copy.found.format} in {copy.found.folder}, {_megabytes(copy.found.size)}"
    if copy.problem is not None:
        yield f"  DAMAGED: {copy.problem}"
        return
    for split in copy.splits:
        smallest = min(split.per_class, key=lambda pair: pair[1])
        largest = max(split.per_class, key=lambda pair: pair[1])
        yield (
            f"  {split.split}: {count(split.examples)} examples, {len(split.per_class)} classes of "
            f"{count(smallest[1])} ({smallest[0]}) to {count(largest[1])} ({largest[0]})"
        )
    yield (
        "  structure, counts and labels are right; "
        + {
            True: "these are the publisher's examples, bit for bit",
            False: "but these are not the publisher's bytes (re-encoded or changed)",
            None: "whether these are the publisher's bytes cannot be told",
        }[copy.official]
    )


def _found(copy: Found) -> dict[str, Any]:
    return {"format": copy.format, "folder": str(copy.folder), "bytes": copy.size}


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
