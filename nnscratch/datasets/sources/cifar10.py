"""CIFAR-10: 60,000 colour photographs of 32 x 32 pixels in ten classes (Krizhevsky 2009).

Source: Learning Multiple Layers of Features from Tiny Images; https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnscratch import cpu
from nnscratch.datasets.dataset import NO_DOWNLOAD_HINT, Array, Dataset, Found, Report, Source
from nnscratch.datasets.download import Progress, RemoteFile, fetch
from nnscratch.datasets.formats.archives import require_official, unpack
from nnscratch.datasets.formats.pickled_arrays import read_pickled_dict
from nnscratch.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
PIXELS = 3 * 32 * 32
RECORD = 1 + PIXELS
PIECE = 200  # records that are read at a time

BINARY_FOLDER, PICKLE_FOLDER = "cifar-10-batches-bin", "cifar-10-batches-py"
BINARY_FILES = tuple(f"{batch}.bin" for batch in BATCHES)
BINARY_ARCHIVE, PICKLE_ARCHIVE = "cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"
LARGEST_BATCH = 64 << 20
LARGEST_ARCHIVE = 512 << 20

_PICKLE_DIGESTS = (
    "c99cafc152244af753f735de768cd75f",
    "d4bba439e000b95fd0a9bffe97cbabec",
    "54ebc095f3ab1f0389bbae665268c751",
    "634d18415352ddfa80567beed471001a",
    "482c414d41f54cd18b22e5b47cb7c3cb",
    "40351d587109b95175f43aff81a1287e",
)
_BASES = ("https://www.cs.toronto.edu/~kriz/", "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/")


@dataclass
class CIFAR10(Source):
    """50,000 training and 10,000 test images, (N, 32, 32, 3) uint8, from the binary batches or the pickles."""

    name: ClassVar[str] = "cifar10"
    also_called: ClassVar[tuple[str, ...]] = ("cifar",)
    example_shape: ClassVar[tuple[int, ...] | None] = (32, 32, 3)
    class_names: ClassVar[tuple[str, ...] | None] = CLASSES
    summary: ClassVar[str] = "photographs, 32 x 32 colour, 10 classes, 50,000 + 10,000"
    examples_per_batch: ClassVar[int] = 10_000
    download_folder: ClassVar[str] = "archives"
    downloads: ClassVar[tuple[RemoteFile, ...]] = (
        RemoteFile(
            BINARY_ARCHIVE,
            tuple(base + BINARY_ARCHIVE for base in _BASES),
            size=170_052_171,
            sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    )
    official_files: ClassVar[Mapping[str, str]] = {
        batch: f"md5:{digest}" for batch, digest in zip(BATCHES, _PICKLE_DIGESTS, strict=True)
    }

    def load(
        self,
        data_dir: Path,
        path: Path | None,
        report: Report,
        download: bool = True,
        progress: Progress | None = None,
    ) -> Dataset:
        """See `Source.load`. An archive that lies there is unpacked; binary batches win over pickles, with a note."""
        if not self.locate(data_dir, path):
            self._obtain(data_dir, path, report, download, progress)
        chosen, *others = self.locate(data_dir, path)
        notes = (f"used the {chosen.format} in {chosen.folder}, not the {other.format}" for other in others)
        return replace(self.read(chosen), notes=tuple(notes))

    def read(self, found: Found) -> Dataset:
        read_batch = _READERS[found.format]
        count = self.examples_per_batch
        # Allocated once and filled piece by piece: the peak is hardly above the result.
        images = np.empty((len(BATCHES) * count, 32, 32, 3), np.uint8)
        labels = np.empty(len(BATCHES) * count, np.int64)

        def fill(index: int) -> None:
            start = index * count
            for planes, of_piece in read_batch(found.files[index], count):
                part = slice(start, start + len(planes))
                start, labels[part] = part.stop, of_piece
                # Plane by plane: NumPy copies runs of 1,024 pixels so, runs of 3 in one transposed assignment.
                for channel in range(3):
                    plane = planes[:, channel * 1024 : (channel + 1) * 1024]
                    images[part, :, :, channel] = plane.reshape(-1, 32, 32)

        # Files are read, and pixels copied, without the interpreter's lock.
        cpu.threaded_map(fill, range(len(found.files)), min(cpu.usable_threads(), 2))
        train = (len(BATCHES) - 1) * count
        return Dataset(
            name=self.name,
            train_inputs=images[:train],
            train_targets=labels[:train],
            test_inputs=images[train:],
            test_targets=labels[train:],
            classes=CLASSES,
            origin=f"{found.format} in {found.folder}",
        )

    def locate(self, data_dir: Path, path: Path | None = None) -> tuple[Found, ...]:
        base = _base(path if path is not None else data_dir)
        found = []
        for form, name, files in _FORMATS:
            for folder in (base / name, base):
                paths = tuple(folder / file for file in files)
                if all(file.is_file() for file in paths):
                    found.append(Found(form, folder, paths))
                    break
        return tuple(found)

    def archives(self, data_dir: Path) -> tuple[Path, ...]:
        if data_dir.is_file():
            return (data_dir,)
        folders = (data_dir, data_dir / self.download_folder)
        places = [folder / name for name in (BINARY_ARCHIVE, PICKLE_ARCHIVE) for folder in folders]
        return tuple(place for place in places if place.is_file())

    def not_found(self, place: Path) -> DataError:
        if (lacking := _lacking(_base(place))) is not None:
            return DataError(
                f"{lacking[0]} is incomplete: it lacks {', '.join(lacking[1])}",
                "add the missing files, or remove the folder so that CIFAR-10 is fetched again",
            )
        return DataError(
            f"there is no CIFAR-10 in {place}: neither {BINARY_FOLDER}/ ({', '.join(BINARY_FILES)}) "
            f"nor {PICKLE_FOLDER}/ ({', '.join(BATCHES)}) nor {BINARY_ARCHIVE} nor {PICKLE_ARCHIVE}",
            f"`nnscratch data fetch cifar10` downloads it; {NO_DOWNLOAD_HINT}",
        )

    def prepare(self, data_dir: Path, report: Report) -> None:
        if self.locate(data_dir):
            return
        archives = self.archives(data_dir)
        if not archives:
            return
        archive = archives[0]
        if archive.name not in (BINARY_ARCHIVE, PICKLE_ARCHIVE):
            raise DataError(f"{archive} is no CIFAR-10 archive", f"its name is {BINARY_ARCHIVE} or {PICKLE_ARCHIVE}")
        folder, files = (BINARY_FOLDER, BINARY_FILES) if archive.name == BINARY_ARCHIVE else (PICKLE_FOLDER, BATCHES)
        official = next((file for file in self.downloads if file.name == archive.name), None)
        if official is not None:
            require_official(archive, official)
        report(f"unpacking {archive}")
        unpack(archive, _base(data_dir) / folder, dict.fromkeys(files, LARGEST_BATCH), LARGEST_ARCHIVE)

    def _obtain(
        self, data_dir: Path, path: Path | None, report: Report, download: bool, progress: Progress | None
    ) -> None:
        """Makes `locate` find something: unpacks an archive that is there, else downloads one; else a DataError."""
        place = path if path is not None else data_dir
        self.prepare(place, report)
        if self.locate(place):
            return
        if path is not None or not download or _lacking(_base(place)) is not None:
            raise self.not_found(place)
        fetch(self.downloads, self.folder_for_downloads(data_dir), report, progress, hint=NO_DOWNLOAD_HINT)
        self.prepare(data_dir, report)
        if not self.locate(data_dir):
            raise self.not_found(data_dir)


def _base(place: Path) -> Path:
    """The folder that batches are looked for in: an archive is unpacked beside itself."""
    return place.parent if place.is_file() else place


Pieces = Iterator[tuple[Array, Array]]
"""Planes (n, 3072) uint8 and labels (n,) of one piece of a batch after the other."""


def read_binary_batch(file: Path, count: int) -> Pieces:
    """One binary batch in pieces: records of a label and R, G, B planes."""
    size = file.stat().st_size
    if size != count * RECORD:
        raise DataError(
            f"{file}: {size:,} bytes, but {count:,} records of {RECORD:,} bytes are {count * RECORD:,}; "
            f"it is {'cut short' if size < count * RECORD else 'too long'}",
            "replace the file, or remove its folder so that CIFAR-10 is fetched again",
        )
    with file.open("rb") as stream:
        for start in range(0, count, PIECE):
            records = np.fromfile(stream, np.uint8, min(PIECE, count - start) * RECORD).reshape(-1, RECORD)
            yield records[:, 1:], _checked(file, records[:, 0])


def read_pickled_batch(file: Path, count: int) -> Pieces:
    """One pickled batch in one piece; nothing in it is run."""
    batch = read_pickled_dict(file, LARGEST_BATCH)
    planes, labels = batch.get("data"), batch.get("labels")
    if not isinstance(planes, np.ndarray) or not isinstance(labels, list):
        raise DataError(f"{file}: a batch has the keys data and labels, this file {', '.join(sorted(batch)) or 'none'}")
    if planes.shape != (count, PIXELS) or len(labels) != count:
        raise DataError(
            f"{file}: data of shape {planes.shape} and {len(labels):,} labels, expected ({count}, {PIXELS}) and {count}"
        )
    if not all(type(label) is int and 0 <= label < len(CLASSES) for label in labels):
        wrong = next(label for label in labels if type(label) is not int or not 0 <= label < len(CLASSES))
        raise DataError(f"{file}: label {wrong!r} is outside 0..{len(CLASSES) - 1}")
    yield planes, np.array(labels, np.int64)


def _checked(file: Path, labels: Array) -> Array:
    if labels.max() >= len(CLASSES):
        raise DataError(f"{file}: label {labels.max()} is outside 0..{len(CLASSES) - 1}", "it is no CIFAR-10 batch")
    return labels


_FORMATS = (("binary batches", BINARY_FOLDER, BINARY_FILES), ("Python batches", PICKLE_FOLDER, BATCHES))
_READERS: dict[str, Callable[[Path, int], Pieces]] = {
    "binary batches": read_binary_batch,
    "Python batches": read_pickled_batch,
}


def _lacking(base: Path) -> tuple[Path, list[str]] | None:
    """A folder that has some batches, and those that it lacks: it is somebody's, and not to be fetched again."""
    for _, name, files in _FORMATS:
        for folder in (base / name, base):
            lacks = [file for file in files if not (folder / file).is_file()]
            if len(lacks) < len(files):
                return folder, lacks
    return None
