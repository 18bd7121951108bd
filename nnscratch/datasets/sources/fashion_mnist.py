"""Fashion-MNIST: 70,000 grey pictures of clothes, 28 x 28 pixels, in ten classes.

Source: Xiao, Rasul, Vollgraf 2017, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnscratch.datasets.dataset import NO_DOWNLOAD_HINT, Array, Dataset, Found, Report, Source
from nnscratch.datasets.download import Progress, RemoteFile, fetch
from nnscratch.datasets.formats.byte_table import read_byte_table
from nnscratch.datasets.formats.idx import read_idx
from nnscratch.errors import DataError

CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
IDX_FOLDER, CSV_FOLDER = "fashion-mnist", "Fashion_Dataset"
IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CSV_FILES = ("fashion-mnist_train.csv", "fashion-mnist_test.csv")
PIXELS = 28 * 28

_BASES = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
_SIZES_AND_DIGESTS = (
    (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
)


@dataclass
class FashionMNIST(Source):
    """60,000 training and 10,000 test images, (N, 28, 28, 1) uint8, from the IDX files or Kaggle's CSV."""

    name: ClassVar[str] = "fashion_mnist"
    example_shape: ClassVar[tuple[int, ...] | None] = (28, 28, 1)
    class_names: ClassVar[tuple[str, ...] | None] = CLASSES
    summary: ClassVar[str] = "clothes, 28 x 28 grey, 10 classes, 60,000 + 10,000"
    counts: ClassVar[tuple[int, int]] = (60_000, 10_000)
    download_folder: ClassVar[str] = IDX_FOLDER
    downloads: ClassVar[tuple[RemoteFile, ...]] = tuple(
        RemoteFile(f"{name}.gz", tuple(f"{base}{name}.gz" for base in _BASES), size, sha256)
        for name, (size, sha256) in zip(IDX_FILES, _SIZES_AND_DIGESTS, strict=True)
    )
    official_files: ClassVar[Mapping[str, str]] = {file.name: f"sha256:{file.sha256}" for file in downloads}
    official_content: ClassVar[Mapping[str, str]] = {
        "train": "9b59105b0403efb11e8b880a02c46894ebc04265c845ebcbb781b324c4fdd377",
        "test": "42d9ee570837aba1cd0b32741e8c1a09f099a3abe1ff438da2b17208614d12f5",
    }

    def load(
        self,
        data_dir: Path,
        path: Path | None,
        report: Report,
        download: bool = True,
        progress: Progress | None = None,
    ) -> Dataset:
        """See `Source.load`. The IDX files win over the CSV files, with a note."""
        found = self.locate(data_dir, path)
        if not found:
            base = path if path is not None else data_dir
            if path is not None or not download:
                raise _missing(base, folders=(base / IDX_FOLDER, base / CSV_FOLDER, base))
            fetch(self.downloads, self.folder_for_downloads(data_dir), report, progress, hint=NO_DOWNLOAD_HINT)
            found = self.locate(data_dir, path)
        chosen, *others = found
        notes = (f"used the {chosen.format} in {chosen.folder}, not the {other.format}" for other in others)
        return replace(self.read(chosen), notes=tuple(notes))

    def read(self, found: Found) -> Dataset:
        if found.format == "IDX files":
            splits = [self._read_idx_pair(*found.files[index : index + 2]) for index in (0, 2)]
        else:
            splits = [_read_csv(file) for file in found.files]
        for count, (images, _), file in zip(self.counts, splits, found.files[:: len(found.files) // 2], strict=True):
            if len(images) != count:
                raise DataError(f"{file}: {len(images):,} images, expected {count:,}", "replace the file")
        (train_images, train_labels), (test_images, test_labels) = splits
        return Dataset(
            name=self.name,
            train_inputs=train_images,
            train_targets=train_labels,
            test_inputs=test_images,
            test_targets=test_labels,
            classes=CLASSES,
            origin=f"{found.format} in {found.folder}",
        )

    def locate(self, data_dir: Path, path: Path | None = None) -> tuple[Found, ...]:
        base = path if path is not None else data_dir
        folders = (base / IDX_FOLDER, base / CSV_FOLDER, base)
        found = []
        for folder in folders:
            pairs = [(folder / name, folder / f"{name}.gz") for name in IDX_FILES]
            files = tuple(raw if raw.is_file() else packed for raw, packed in pairs)
            if all(file.is_file() for file in files):
                found.append(Found("IDX files", folder, files))
                break
        for folder in folders:
            files = tuple(folder / name for name in CSV_FILES)
            if all(file.is_file() for file in files):
                found.append(Found("CSV files", folder, files))
                break
        return tuple(found)

    @staticmethod
    def _read_idx_pair(images_file: Path, labels_file: Path) -> tuple[Array, Array]:
        images, labels = read_idx(images_file, 3), read_idx(labels_file, 1)
        if images.shape[1:] != (28, 28):
            raise DataError(f"{images_file}: images of {images.shape[1:]} pixels, expected (28, 28)")
        if len(images) != len(labels):
            raise DataError(f"{images_file} has {len(images):,} images, {labels_file.name} {len(labels):,} labels")
        return images[..., np.newaxis], _checked(labels_file, labels)


def _read_csv(file: Path) -> tuple[Array, Array]:
    table = read_byte_table(file, 1 + PIXELS, header="label")
    images = np.ascontiguousarray(table[:, 1:]).reshape(-1, 28, 28, 1)
    return images, _checked(file, table[:, 0])


def _checked(file: Path, labels: Array) -> Array:
    if len(labels) and labels.max() >= len(CLASSES):
        index = int(np.argmax(labels >= len(CLASSES)))
        raise DataError(f"{file}: label {labels[index]} of example {index} is outside 0..{len(CLASSES) - 1}")
    return labels.astype(np.int64)


def _missing(base: Path, folders: tuple[Path, ...]) -> DataError:
    hint = f"`nnscratch data fetch fashion_mnist` downloads it; {NO_DOWNLOAD_HINT}"
    for folder in folders:
        for names, suffixes in ((IDX_FILES, ("", ".gz")), (CSV_FILES, ("",))):
            lacks = [name for name in names if not any((folder / f"{name}{suffix}").is_file() for suffix in suffixes)]
            if len(lacks) < len(names):
                wanted = ", ".join(f"{name}{suffixes[-1]}" for name in lacks)
                return DataError(f"{folder} is incomplete: it lacks {wanted}", hint)
    idx_names = ", ".join(f"{name}.gz" for name in IDX_FILES)
    return DataError(
        f"there is no Fashion-MNIST in {base}: neither {IDX_FOLDER}/ ({idx_names}) "
        f"nor {CSV_FOLDER}/ ({', '.join(CSV_FILES)})",
        hint,
    )
