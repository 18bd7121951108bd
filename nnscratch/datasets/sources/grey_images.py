"""MNIST and its kin: ten classes of grey images, 28 x 28 pixels, 60,000 to learn from and 10,000 to test with.

They come as four files in the IDX format, under the same names for every dataset, so that what lies there is told by
its labels. Source: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnscratch.component import catalogue
from nnscratch.datasets.dataset import NO_DOWNLOAD_HINT, Array, Dataset, Found, Report, Source
from nnscratch.datasets.download import Progress, RemoteFile, fetch
from nnscratch.datasets.formats.idx import read_idx
from nnscratch.errors import DataError

IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
SIDE = 28


@dataclass(frozen=True)
class Form:
    """One way in which the two splits lie on disk; the first half of the files is the training split."""

    title: str
    folder: str
    files: tuple[str, ...]
    read_split: Callable[[Sequence[Path]], tuple[Array, Array]]
    suffixes: tuple[str, ...] = ("",)
    """What a file's name may go on with, the one that is used first at the front."""

    def found_in(self, folder: Path) -> Found | None:
        """The copy in a folder, when it is complete."""
        paths = [self._path(folder, name) for name in self.files]
        files = tuple(path for path in paths if path is not None)
        return Found(self.title, folder, files) if len(files) == len(self.files) else None

    def lacking(self, folder: Path) -> list[str]:
        """The names of the files that are not there, as they are downloaded."""
        return [f"{name}{self.suffixes[-1]}" for name in self.files if self._path(folder, name) is None]

    def _path(self, folder: Path, name: str) -> Path | None:
        paths = (folder / f"{name}{suffix}" for suffix in self.suffixes)
        return next((path for path in paths if path.is_file()), None)


class GreyImages(Source):
    """Grey images (N, 28, 28, 1) uint8 of ten classes, in the first of `forms` that is there."""

    title: ClassVar[str]
    forms: ClassVar[tuple[Form, ...]]
    example_shape: ClassVar[tuple[int, ...] | None] = (SIDE, SIDE, 1)
    counts: ClassVar[tuple[int, int]] = (60_000, 10_000)
    per_class: ClassVar[tuple[int, ...]]
    """How many training images the publisher's has of each class."""

    def load(
        self,
        data_dir: Path,
        path: Path | None,
        report: Report,
        download: bool = True,
        progress: Progress | None = None,
    ) -> Dataset:
        """See `Source.load`. An earlier form wins over a later one, with a note."""
        found = self.locate(data_dir, path)
        if not found:
            if path is not None or not download:
                raise self.not_found(path if path is not None else data_dir)
            fetch(self.downloads, self.folder_for_downloads(data_dir), report, progress, hint=NO_DOWNLOAD_HINT)
            found = self.locate(data_dir, path)
        chosen, *others = found
        notes = (f"used the {chosen.format} in {chosen.folder}, not the {other.format}" for other in others)
        return replace(self.read(chosen), notes=tuple(notes))

    def locate(self, data_dir: Path, path: Path | None = None) -> tuple[Found, ...]:
        folders = self._folders(path if path is not None else data_dir)
        copies = ([form.found_in(folder) for folder in folders] for form in self.forms)
        first = (next((copy for copy in each if copy is not None), None) for each in copies)
        return tuple(copy for copy in first if copy is not None)

    def read(self, found: Found) -> Dataset:
        form = next(form for form in self.forms if form.title == found.format)
        half = len(found.files) // 2
        splits = [form.read_split(found.files[:half]), form.read_split(found.files[half:])]
        for count, (images, labels), files in zip(
            self.counts, splits, (found.files[:half], found.files[half:]), strict=True
        ):
            if len(images) != count:
                raise DataError(f"{files[0]}: {len(images):,} images, expected {count:,}", "replace the file")
            self._check_labels(files[-1], labels)
        (train_images, train_labels), (test_images, test_labels) = splits
        return Dataset(
            name=self.name,
            train_inputs=train_images,
            train_targets=train_labels.astype(np.int64),
            test_inputs=test_images,
            test_targets=test_labels.astype(np.int64),
            classes=self.class_names,
            origin=f"{found.format} in {found.folder}",
        )

    def _check_labels(self, file: Path, labels: Array) -> None:
        """Raises DataError for labels that no class has, and for those of another dataset with these file names."""
        if labels.max() >= len(self.per_class):
            index = int(np.argmax(labels >= len(self.per_class)))
            raise DataError(f"{file}: label {labels[index]} of example {index} is outside 0..{len(self.per_class) - 1}")
        found = tuple(np.bincount(labels, minlength=len(self.per_class)).tolist())
        for other in catalogue(GreyImages).values():
            if found == other.per_class != self.per_class:
                raise DataError(
                    f"{file}: its classes have the sizes of {other.name}, not those of {self.name}",
                    f"`data.dataset: {other.name}` reads it; {self.name} is to be in {self.forms[0].folder}/ of the "
                    "data folder, or where data.path says",
                )

    def _folders(self, base: Path) -> tuple[Path, ...]:
        return (*(base / form.folder for form in self.forms), base)

    def not_found(self, place: Path) -> DataError:
        hint = f"`nnscratch data fetch {self.name}` downloads it; {NO_DOWNLOAD_HINT}"
        for folder in self._folders(place):
            for form in self.forms:
                lacks = form.lacking(folder)
                if len(lacks) < len(form.files):
                    return DataError(f"{folder} is incomplete: it lacks {', '.join(lacks)}", hint)
        wanted = (
            f"{form.folder}/ ({', '.join(f'{name}{form.suffixes[-1]}' for name in form.files)})" for form in self.forms
        )
        neither = "neither" if len(self.forms) > 1 else "no"
        return DataError(f"there is no {self.title} in {place}: {neither} {' nor '.join(wanted)}", hint)


def idx_form(folder: str) -> Form:
    """The publisher's four files, packed or not, in a folder of that name."""
    return Form("IDX files", folder, IDX_FILES, _read_idx_pair, ("", ".gz"))


def idx_downloads(bases: Sequence[str], sizes_and_digests: Sequence[tuple[int, str]]) -> tuple[RemoteFile, ...]:
    """The four packed files at each of the base addresses, with their bytes and SHA-256 in the order of `IDX_FILES`."""
    return tuple(
        RemoteFile(f"{name}.gz", tuple(f"{base}{name}.gz" for base in bases), size, sha256)
        for name, (size, sha256) in zip(IDX_FILES, sizes_and_digests, strict=True)
    )


def _read_idx_pair(files: Sequence[Path]) -> tuple[Array, Array]:
    images_file, labels_file = files
    images, labels = read_idx(images_file, 3), read_idx(labels_file, 1)
    if images.shape[1:] != (SIDE, SIDE):
        raise DataError(f"{images_file}: images of {images.shape[1:]} pixels, expected {(SIDE, SIDE)}")
    if len(images) != len(labels):
        raise DataError(f"{images_file} has {len(images):,} images, {labels_file.name} {len(labels):,} labels")
    return images[..., np.newaxis], labels
