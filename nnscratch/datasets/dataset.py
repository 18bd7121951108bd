"""What every source delivers: arrays in memory, checked once, and what people call them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from nnscratch.component import Component
from nnscratch.datasets.description import Description, Guess
from nnscratch.datasets.download import Progress, RemoteFile
from nnscratch.datasets.separation import Separation
from nnscratch.datasets.tables.encoding import Schema, TableEncoding, digest_text
from nnscratch.errors import DataError

Array = NDArray[Any]
Report = Callable[[str], None]

NO_DOWNLOAD_HINT = "`nnscratch train configs/quickstart.yaml` trains on built-in data and needs no download"


@dataclass(frozen=True, eq=False)
class Origin:
    """Where examples stand: rows (N,) of a table's file, counted from 0 without its header."""

    path: Path
    rows: Array

    def take(self, rows: Array) -> Origin:
        """Of some of the examples."""
        return Origin(self.path, self.rows[rows])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test arrays with their names; a DataError when they do not fit each other.

    Validation arrays are there where whoever made the data set them apart. Inputs are (N, H, W, C) uint8 images or
    (N, D) float32 features; with a `schema` they are the raw values of a table's columns, (N, C) float64 with NaN for
    gaps, which `encoded` turns into features. Targets are (N,) int64 labels, which count from 0 through `classes`, or
    (N, K) float32 values when `classes` is None (regression), float64 where float32 has too few digits. Weights (N,)
    by split, from 0 on, say how much each example counts in the loss.
    """

    name: str
    train_inputs: Array
    train_targets: Array
    test_inputs: Array | None
    test_targets: Array | None
    classes: tuple[str, ...] | None
    origin: str
    notes: tuple[str, ...] = ()
    feature_names: tuple[str, ...] | None = None
    target_names: tuple[str, ...] | None = None
    description: Description = Description()
    validation_inputs: Array | None = None
    validation_targets: Array | None = None
    example_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What each row of a split (train, val, test) is called, where it has a name: its file."""

    white: float | None = None
    """The stored value that became the pixel 255, where pixels were stored with more than 8 bits or as fractions."""
    one_white: bool = True
    """It is that of all data; not so where a run of before goes on with what it took."""
    schema: Schema | None = None
    raw_digest: str | None = None
    """The digest of the raw values, when these are features made of them."""
    weights: Mapping[str, Array] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """By split, of a table."""
    separation: Separation = Separation()
    """What decides which examples may be in different splits."""

    def __post_init__(self) -> None:
        if self.classes is not None:
            object.__setattr__(self, "classes", tuple(map(as_text, self.classes)))
        self._check_split("training", self.train_inputs, self.train_targets)
        for split, inputs, targets in (
            ("validation", self.validation_inputs, self.validation_targets),
            ("test", self.test_inputs, self.test_targets),
        ):
            if (inputs is None) != (targets is None):
                raise self._error(f"{split} inputs and {split} targets come together or not at all")
            if inputs is None or targets is None:
                continue
            self._check_split(split, inputs, targets)
            if inputs.shape[1:] != self.train_inputs.shape[1:]:
                raise self._error(
                    f"a training example has shape {self.train_inputs.shape[1:]}, a {split} example {inputs.shape[1:]}"
                )
            if targets.shape[1:] != self.train_targets.shape[1:]:
                raise self._error(f"training and {split} targets differ in their number of columns")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example: (H, W, C) or (D,)."""
        return tuple(self.train_inputs.shape[1:])

    @property
    def task(self) -> Literal["classification", "regression"]:
        return "regression" if self.classes is None else "classification"

    @property
    def outputs(self) -> int:
        """How many numbers a network must produce: classes, or target columns."""
        return len(self.classes) if self.classes is not None else int(self.train_targets.shape[1])

    @property
    def arrays(self) -> tuple[Array | None, ...]:
        """Inputs and targets of training and test, and of validation where it is set apart."""
        arrays = (self.train_inputs, self.train_targets, self.test_inputs, self.test_targets)
        apart = self.validation_inputs is not None
        return (*arrays, self.validation_inputs, self.validation_targets) if apart else arrays

    def digest(self) -> str:
        """SHA-256, in hexadecimal, over shape, type and bytes of all `arrays`; equal data, equal digest.

        That of a table's features is the one of its raw values.
        """
        if self.raw_digest is not None:
            return self.raw_digest
        state = hashlib.sha256(digest_text(self.schema) if self.schema is not None else b"")
        for array in self.arrays:
            if array is None:
                state.update(b"none;")
                continue
            state.update(f"{array.shape} {array.dtype.newbyteorder('<').str};".encode())
            contiguous = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            state.update(contiguous.reshape(-1).view(np.uint8).data)
        for what, of_splits in (("weights", self.weights), ("groups", self.separation.groups)):
            for split, values in sorted(of_splits.items()):
                state.update(f"{what} of {split};".encode() + np.ascontiguousarray(values, "<f8").tobytes())
        if self.separation.order_from and self.separation.order is not None:
            state.update(b"order;" + np.ascontiguousarray(self.separation.order, "<f8").tobytes())
        return state.hexdigest()

    def encoded(self, encoding: TableEncoding) -> Dataset:
        """The dataset of the features that the encoding makes of these raw values."""
        assert self.schema is not None
        given = self.schema.columns
        test, validation = self.test_inputs, self.validation_inputs
        is_plain = encoding.schema.is_plain and not np.isnan(self.train_inputs).any()
        return replace(
            self,
            train_inputs=encoding.encode(self.train_inputs, given),
            test_inputs=encoding.encode(test, given) if test is not None else None,
            validation_inputs=encoding.encode(validation, given) if validation is not None else None,
            feature_names=encoding.features,
            description=replace(self.description, columns=encoding.describe(self.description.columns)),
            schema=None,
            # Numbers without gaps have the digest of their features, as before there were other tables.
            raw_digest=None if is_plain else self.digest(),
        )

    def _check_split(self, split: str, inputs: Array, targets: Array) -> None:
        if len(inputs) == 0:
            raise self._error(f"the {split} split is empty")
        if len(inputs) != len(targets):
            raise self._error(f"the {split} split has {len(inputs):,} inputs but {len(targets):,} targets")
        images = inputs.ndim == 4 and inputs.dtype == np.uint8
        features = inputs.ndim == 2 and inputs.dtype == (np.float32 if self.schema is None else np.float64)
        if not images and not features:
            raise self._error(
                f"{split} inputs are {inputs.dtype} of shape {inputs.shape}; "
                "images are uint8 (N, H, W, C), features float32 (N, D)"
            )
        if 0 in inputs.shape:
            raise self._error(f"{split} inputs of shape {inputs.shape} hold no values")
        if features and self.schema is None and not np.isfinite(inputs).all():
            raise self._error(f"{split} inputs hold NaN or infinity", "remove or fill in the gaps first")
        if self.classes is None:
            if targets.ndim != 2 or targets.dtype not in (np.float32, np.float64) or targets.shape[1] == 0:
                raise self._error(f"regression targets are float32 (N, K), not {targets.dtype} {targets.shape}")
            if not np.isfinite(targets).all():
                raise self._error(f"{split} targets hold NaN or infinity", "remove or fill in the gaps first")
        else:
            if targets.ndim != 1 or targets.dtype != np.int64:
                raise self._error(f"labels are int64 (N,), not {targets.dtype} {targets.shape}")
            lowest, highest = int(targets.min()), int(targets.max())
            if lowest < 0 or highest >= len(self.classes):
                wrong = lowest if lowest < 0 else highest
                raise self._error(f"{split} label {wrong} is outside 0..{len(self.classes) - 1}")

    def _error(self, message: str, hint: str | None = None) -> DataError:
        return DataError(f"dataset {self.name} ({self.origin}): {message}", hint)


def weights_guess(name: str, weights: Array, more: str = "") -> Guess:
    """What is to be said of the weights of training examples that stand under that name."""
    how = "every loss is a weighted mean, all other figures count each example once"
    return Guess("weights", f"{name}, from {weights.min():.4g} to {weights.max():.4g}", how + more)


def as_text(name: str) -> str:
    r"""The name; of a folder whose name is no UTF-8 with the bytes that are none written out (`caf\xe9`)."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class Source(Component):
    """A way to obtain a `Dataset`; the fields of a concrete source are its YAML fields."""

    kind: ClassVar[str] = "dataset"

    example_shape: ClassVar[tuple[int, ...] | None] = None
    """The shape of one example, where it is known without the data."""

    class_names: ClassVar[tuple[str, ...] | None] = None
    """The classes, where they are known without the data."""

    reads_path: ClassVar[bool] = True
    """Whether `data.path` leads to what it reads; not where the data is made up."""

    default_scaling: ClassVar[str] = "unit"
    """What its inputs are scaled to where a config does not say."""

    summary: ClassVar[str] = ""
    """What it is, in a few words, for `nnscratch data list`."""

    downloads: ClassVar[tuple[RemoteFile, ...]] = ()
    """What `nnscratch data fetch` gets, and `load` when nothing is there."""

    download_folder: ClassVar[str] = ""
    """Where, inside the data folder, the downloads are put."""

    official_files: ClassVar[Mapping[str, str]] = {}
    """The publisher's digests, `algorithm:hexadecimal`, by file name."""

    official_content: ClassVar[Mapping[str, str]] = {}
    """What `inventory.content_digest` gives for the publisher's splits, whatever their format and order."""

    def load(
        self,
        data_dir: Path,
        path: Path | None,
        report: Report,
        download: bool = True,
        progress: Progress | None = None,
    ) -> Dataset:
        """The dataset from `path` (one's own data), else from its place in `data_dir`, else downloaded into it.

        `report` is told what a person would like to know on the way, `progress` how far a download is.
        Raises DataError when the data is missing or is not what it claims to be.
        """
        raise NotImplementedError

    def folder_for_downloads(self, data_dir: Path) -> Path:
        """Where downloads are put; a data folder that is this very folder gets no second one inside."""
        return data_dir if data_dir.name == self.download_folder else data_dir / self.download_folder

    def locate(self, data_dir: Path, path: Path | None = None) -> tuple[Found, ...]:
        """The complete copies that lie there, the one that `load` would use first."""
        return ()

    def not_found(self, place: Path) -> DataError:
        """What to say of a place without a complete copy: that there is none, or what an incomplete one lacks."""
        return DataError(f"there is no {self.name} in {place}", f"`nnscratch data fetch {self.name}` downloads it")

    def archives(self, data_dir: Path) -> tuple[Path, ...]:
        """The archives that lie there and hold a copy, the one that `prepare` would unpack first."""
        return ()

    def prepare(self, data_dir: Path, report: Report) -> None:
        """Unpacks an archive that lies there when no copy is complete."""

    def read(self, found: Found) -> Dataset:
        """The dataset from one copy, checked. Raises DataError when it is not what it claims to be."""
        raise NotImplementedError


@dataclass(frozen=True)
class Found:
    """A complete copy of a dataset on disk: its format, its folder and its files."""

    format: str
    folder: Path
    files: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.files)
