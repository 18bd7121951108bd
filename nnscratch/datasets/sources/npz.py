"""One's own arrays: an NPZ file, as `numpy.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)` writes it."""

from __future__ import annotations

import math
import os
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from nnscratch.component import setting
from nnscratch.datasets.dataset import Array, Dataset, Report, Source
from nnscratch.datasets.download import Progress
from nnscratch.datasets.formats.npy import MAGIC, read_npy
from nnscratch.datasets.sources.own_data import Splits, hold_out, labels_from, required_path
from nnscratch.errors import DataError

LARGEST = 16 << 30
"""Bytes that the arrays may take once decompressed."""

_KEYS = {
    "train inputs": ("x_train", "X_train", "train_images", "train_x", "x", "X", "images", "data", "inputs", "features"),
    "train targets": ("y_train", "Y_train", "train_labels", "train_y", "y", "Y", "labels", "targets", "target"),
    "test inputs": ("x_test", "X_test", "test_images", "test_x"),
    "test targets": ("y_test", "Y_test", "test_labels", "test_y"),
}
_CLASS_KEYS = ("classes", "class_names", "label_names", "target_names")


@dataclass
class NPZ(Source):
    """uint8 images (N, H, W) or (N, H, W, C), or features (N, D); labels (N,), or float targets (regression)."""

    name: ClassVar[str] = "npz"
    summary: ClassVar[str] = "your own arrays: an NPZ file with x_train, y_train and perhaps x_test, y_test"

    task: Literal["auto", "classification", "regression"] = setting(
        "auto", "auto: classification for whole-number or text targets, regression for float ones"
    )
    test: float = setting(0.2, "fraction held out as the test split when the file has none", ge=0, lt=1)
    seed: int = setting(0, "which examples are held out", ge=0)

    def load(
        self,
        data_dir: Path,
        path: Path | None,
        report: Report,
        download: bool = True,
        progress: Progress | None = None,
    ) -> Dataset:
        """See `Source.load`. `path` is the NPZ file; nothing in it is unpickled."""
        file = required_path(path, self.name, "an NPZ file")
        found = _read(file)
        inputs, targets = _inputs(file, found["train inputs"]), found["train targets"]
        test_targets = found.get("test targets")
        classification = self._is_classification(targets)
        classes: tuple[str, ...] | None = None
        if classification:
            classes, targets, test_targets = _labels(file, targets, test_targets, found.get("classes"))
        else:
            targets = _numbers(file, targets)
            test_targets = _numbers(file, test_targets) if test_targets is not None else None
        arrays: Splits
        if test_targets is not None:
            arrays = (inputs, targets, _inputs(file, found["test inputs"]), test_targets)
        else:
            if len(inputs) != len(targets):
                raise DataError(f"{file}: {len(inputs):,} inputs but {len(targets):,} targets")
            arrays = hold_out(inputs, targets, self.test, self.seed, stratify=classification)
        names = None if classes is not None else tuple(f"y{index}" for index in range(targets.shape[1]))
        return Dataset(self.name, *arrays, classes=classes, origin=str(file), target_names=names)

    def _is_classification(self, targets: Array) -> bool:
        of_labels: bool = targets.dtype.kind in "iubU"
        return of_labels if self.task == "auto" else self.task == "classification"


def _read(file: Path) -> dict[str, Array]:
    """The arrays by what they are for; training inputs and targets are there, test ones both or neither."""
    try:
        with file.open("rb") as stream:
            if stream.read(len(MAGIC)) == MAGIC:
                raise DataError(f"{file}: a single array, not an NPZ file", "save both: np.savez(path, x=..., y=...)")
        with zipfile.ZipFile(file) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            size = sum(member.file_size for member in members.values())
            if size > (largest := _largest()):
                raise DataError(f"{file}: {size:,} bytes decompressed; at most {largest:,} are read on this machine")
            chosen = {role: _key([*members], names) for role, names in (*_KEYS.items(), ("classes", _CLASS_KEYS))}
            for role in ("train inputs", "train targets"):
                if chosen[role] is None:
                    raise DataError(
                        f"{file}: no array with the {role} ({', '.join(_KEYS[role])}); "
                        f"it holds {', '.join(members) or 'nothing'}",
                        "save it with np.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)",
                    )
            if (chosen["test inputs"] is None) != (chosen["test targets"] is None):
                raise DataError(f"{file}: x_test and y_test come together or not at all; it holds {', '.join(members)}")
            found: dict[str, Array] = {}
            for role, key in chosen.items():
                if key is not None:
                    with archive.open(members[key]) as member:
                        values = read_npy(member, members[key].file_size, f"{file}: {key}")
                    found[role] = _as_text(file, key, values)
            return found
    except DataError:
        raise
    # A damaged archive can fail in zipfile in any way.
    except Exception as error:
        raise DataError(
            f"{file}: unreadable: {error or type(error).__name__}", "is it an NPZ file, and complete?"
        ) from error


def _largest() -> int:
    """LARGEST, or what memory this machine has, when it is less."""
    with suppress(AttributeError, ValueError, OSError):  # Windows knows no sysconf
        return min(LARGEST, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return LARGEST


def _key(keys: list[str], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in keys), None)


def _as_text(file: Path, key: str, values: Array) -> Array:
    """The array itself, or text in place of bytes, whose names would read b'cat'."""
    if values.dtype.kind != "S":
        return values
    try:
        return np.char.decode(values, "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: {key} holds {error.object[:40]!r}, which is not UTF-8 text",
            f"save it as text: numpy.char.decode({key}, 'latin-1'), or whatever its encoding is",
        ) from error


def _inputs(file: Path, values: Array) -> Array:
    if values.dtype == np.uint8 and values.ndim in (3, 4):
        return np.ascontiguousarray(values if values.ndim == 4 else values[..., np.newaxis])
    if values.ndim == 2 and values.dtype.kind in "biuf":
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(values, dtype=np.float32)
    raise DataError(
        f"{file}: inputs are {values.dtype} of shape {values.shape}",
        "images are uint8 (N, H, W) or (N, H, W, C) with values 0..255, features are numbers (N, D)",
    )


def _labels(
    file: Path, targets: Array, test_targets: Array | None, names: Array | None
) -> tuple[tuple[str, ...], Array, Array | None]:
    """Class names, training labels, test labels; whole numbers from 0 are kept, anything else is numbered."""
    both = [_one_column(file, split) for split in (targets, test_targets) if split is not None]
    if names is not None:
        classes = tuple(str(name) for name in names.ravel())
        numbered = [split.astype(np.int64) for split in both if split.dtype.kind in "iub"]
        if len(numbered) != len(both):
            raise DataError(f"{file}: with class names, targets are whole numbers that count through them")
    else:
        classes, numbering = labels_from([str(value) for value in np.unique(both[0])])
        numbered = []
        for split in both:
            distinct, inverse = np.unique(split, return_inverse=True)
            unknown = [str(value) for value in distinct if str(value) not in numbering]
            if unknown:
                raise DataError(f"{file}: the class {unknown[0]!r} of the test targets is not in the training targets")
            numbered.append(np.array([numbering[str(value)] for value in distinct], np.int64)[inverse])
    return classes, numbered[0], numbered[1] if len(numbered) > 1 else None


def _one_column(file: Path, targets: Array) -> Array:
    if math.prod(targets.shape) != len(targets) if targets.ndim else True:
        raise DataError(
            f"{file}: targets of shape {targets.shape}; labels are one per example, (N,)",
            "turn one-hot rows into labels with y.argmax(axis=1), or use task: regression",
        )
    flat = targets.reshape(-1)
    if flat.dtype.kind == "f" and not (np.isfinite(flat).all() and (flat == np.rint(flat)).all()):
        raise DataError(f"{file}: classification needs whole-number or text labels, not broken numbers")
    return flat.astype(np.int64) if flat.dtype.kind in "fb" else flat


def _numbers(file: Path, targets: Array) -> Array:
    if targets.dtype.kind not in "biuf" or targets.ndim not in (1, 2):
        raise DataError(f"{file}: regression targets are numbers (N,) or (N, K), not {targets.dtype} {targets.shape}")
    with np.errstate(over="ignore"):
        return targets.reshape(len(targets), -1).astype(np.float32)
