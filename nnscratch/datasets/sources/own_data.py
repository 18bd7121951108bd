"""What the sources of a user's own data share: where it is, and what its labels are called."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from pathlib import Path

from nnscratch.datasets.dataset import Dataset, Report, Source
from nnscratch.datasets.download import Progress
from nnscratch.datasets.formats.folder import natural, refuse_endless
from nnscratch.datasets.tables.encoding import TableEncoding
from nnscratch.errors import ConfigError, DataError, Problem

OWN_DATA = ("csv", "npz", "image_folder")
"""Sources of whatever lies at `data.path`: their name says nothing of what that is."""


@dataclass(frozen=True)
class TrainedOn:
    """How a run took its data: for whoever goes on with it, or uses it, the same data means the same again.

    What nobody should begin to train on is then read, too.
    """

    encoding: TableEncoding | None = None
    """How its table became inputs."""
    white: float | None = None
    """The stored value that became the pixel 255; None for bytes as they are."""
    one_white: bool = False
    """It was that of all data; runs of before took arrays type by type, and pictures with numbers below 0."""


class LargeSource(Source):
    """A source whose rows need not be in memory."""

    def load(
        self,
        data_dir: Path,
        path: Path | None,
        report: Report,
        download: bool = True,
        progress: Progress | None = None,
        in_memory: bool | None = None,
        trained_on: TrainedOn | None = None,
    ) -> Dataset:
        """See `Source.load`; `in_memory` as in `storage.Storage`, whose caches lie in `cache/` of the data folder.

        Without `download` nothing stays on the disk. `trained_on` is None for a training that begins.
        """
        raise NotImplementedError


def identity(file: Path) -> str:
    """What is another for a file with other bytes, even where its size and time are the same.

    Time and size are copied with a file, or set by whoever unpacks it; when its entry last changed (ctime) nobody sets.
    """
    status = file.stat()
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def required_path(path: Path | None, source: str, what: str, field: str = "data.path") -> Path:
    """The path, which must be given and exist; ConfigError or DataError, of that field of the config, otherwise."""
    if path is None:
        raise ConfigError(
            [Problem("data.path", f"is missing; dataset {source} needs the path of {what}")],
            f"for example `data: {{dataset: {source}, path: mine}}` or `data.path=mine` on the command line",
        )
    if not path.exists():
        raise DataError(f"{path} does not exist", f"it must be {what}", field)
    refuse_endless(path)
    return path


def labels_from(values: list[str]) -> tuple[tuple[str, ...], dict[str, int]]:
    """The class names, sorted as numbers or, where not all are, as people count (cat2, cat10), and their labels."""
    names = set(values)
    try:
        # NaN has no place among numbers: what reads as one stands behind them.
        ordered = sorted(names, key=lambda name: (isnan(float(name)), 0 if isnan(float(name)) else float(name), name))
    except ValueError:
        ordered = sorted(names, key=lambda name: (natural(name), name))
    return tuple(ordered), {name: label for label, name in enumerate(ordered)}
