"""One's own pictures: a folder per class, `mine/cat/1.png`, or `mine/train/cat/1.png` and `mine/test/cat/2.png`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from nnscratch import cpu
from nnscratch.component import setting
from nnscratch.datasets.dataset import Array, Dataset, Report, Source
from nnscratch.datasets.download import Progress
from nnscratch.datasets.formats.images import SUFFIXES, decode, quiet_pillow
from nnscratch.datasets.sources.own_data import Splits, hold_out, required_path
from nnscratch.errors import DataError

LARGEST = 8 << 30
"""Bytes that all pictures together may take in memory."""

VALIDATION_NAMES = ("val", "valid", "validation")


@dataclass
class ImageFolder(Source):
    """Images (N, size, size, channels) uint8 and their folders' names as classes, sorted."""

    name: ClassVar[str] = "image_folder"
    summary: ClassVar[str] = "your own pictures: a folder per class, PNG, JPEG, GIF, BMP or WebP"

    size: int = setting(32, "height and width; other sizes are resized, aspect ratio not kept", ge=1, le=1024)
    mode: Literal["rgb", "grey"] = setting("rgb", "three channels, or one")
    test: float = setting(0.2, "fraction held out as the test split when there is no folder test/", ge=0, lt=1)
    seed: int = setting(0, "which pictures are held out", ge=0)

    def load(
        self,
        data_dir: Path,
        path: Path | None,
        report: Report,
        download: bool = True,
        progress: Progress | None = None,
    ) -> Dataset:
        """See `Source.load`. `path` is the folder."""
        folder = required_path(path, self.name, "a folder with one folder of pictures per class")
        if not folder.is_dir():
            raise DataError(f"{folder} is a file", "data.path must be a folder with one folder of pictures per class")
        has_splits = (folder / "train").is_dir() and (folder / "test").is_dir()
        if not has_splits:
            _refuse_other_splits(folder)
        train_folder = folder / "train" if has_splits else folder
        classes = _class_folders(train_folder)
        files, labels = _listed(train_folder, classes)
        report(f"reading {len(files):,} pictures from {train_folder}")
        images = self._read_all(files)
        arrays: Splits
        if has_splits:
            unknown = [name for name in _class_folders(folder / "test") if name not in classes]
            if unknown:
                raise DataError(f"{folder / 'test'}: the class {unknown[0]!r} is not in {train_folder}")
            test_files, test_labels = _listed(folder / "test", classes)
            arrays = (images, labels, self._read_all(test_files), test_labels)
        else:
            arrays = hold_out(images, labels, self.test, self.seed, stratify=True)
        unread = sorted(entry.name for entry in folder.iterdir() if entry.name.lower() in VALIDATION_NAMES)
        notes = [f"{name}/ is not read: data.validation takes its images from train/" for name in unread if has_splits]
        return Dataset(self.name, *arrays, classes=classes, origin=str(folder), notes=tuple(notes))

    def _read_all(self, files: list[Path]) -> Array:
        channels = 3 if self.mode == "rgb" else 1
        shape = (len(files), self.size, self.size, channels)
        if int(np.prod(shape, dtype=np.int64)) > LARGEST:
            raise DataError(f"{len(files):,} pictures of {shape[1:]} need more than {LARGEST:,} bytes", "lower `size`")
        images = np.empty(shape, np.uint8)

        def read(index: int) -> None:
            images[index] = decode(files[index], self.size, self.size, channels)

        # Pillow decodes without holding the interpreter's lock.
        with quiet_pillow():
            cpu.threaded_map(read, range(len(files)), min(8, cpu.usable_threads()))
        return images


def _refuse_other_splits(folder: Path) -> None:
    """A DataError when a folder that is called like a split holds folders and no pictures: it would become a class."""
    splits = []
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and entry.name.lower() in ("train", "test", *VALIDATION_NAMES):
            inside = [each for each in entry.iterdir() if each.name[0] != "."]
            pictures = any(each.suffix.lower() in SUFFIXES and each.is_file() for each in inside)
            if not pictures and any(each.is_dir() for each in inside):
                splits.append(f"{entry.name}/")
    if splits:
        raise DataError(
            f"{folder}: {', '.join(splits)}: folders of folders are no classes; "
            "what is read is train/CLASS/*.png and test/CLASS/*.png, or CLASS/*.png",
            "name the two splits train/ and test/ (rename val/ to test/), or set data.path to the training folder: "
            "data.dataset.test and data.validation hold images out of it",
        )


def _class_folders(folder: Path) -> tuple[str, ...]:
    classes = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."))
    if len(classes) < 2:
        found = f"only {classes[0]!r}" if classes else "none"
        raise DataError(
            f"{folder}: a folder per class is needed, at least two; found {found}",
            f"lay the pictures out as {folder}/cat/1.png, {folder}/dog/2.png",
        )
    return classes


def _listed(folder: Path, classes: tuple[str, ...]) -> tuple[list[Path], Array]:
    """Every picture and its label, in the order of the names, whatever order the file system has."""
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        inside = sorted((folder / name).rglob("*"))
        members = [file for file in inside if file.suffix.lower() in SUFFIXES and file.is_file()]
        if not members and (folder / name).is_dir():
            raise DataError(
                f"{folder / name}: no pictures in it ({', '.join(SUFFIXES)})", "add some, or remove the folder"
            )
        files += members
        labels += [label] * len(members)
    if not files:
        raise DataError(f"{folder}: no pictures in it ({', '.join(SUFFIXES)})")
    return files, np.array(labels, np.int64)
