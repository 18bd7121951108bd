"""Labelled data that is none of a run's splits: a folder of pictures for each class, an NPZ file, a table.

Inputs are read as `predict` reads them; classes are matched by name with those that the network knows.
"""

from __future__ import annotations

import shlex
import zipfile
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnscratch.datasets.dataset import as_text
from nnscratch.datasets.formats.folder import HIDDEN, refuse_endless, subfolders
from nnscratch.datasets.formats.images import SUFFIXES, quiet_pillow
from nnscratch.datasets.formats.npy import read_npy
from nnscratch.datasets.sources.array_names import CLASS_KEYS, KEYS
from nnscratch.datasets.sources.image_folder import ImageFolder
from nnscratch.datasets.sources.picture_folders import PictureFolders
from nnscratch.datasets.tables.columns import Number
from nnscratch.datasets.tables.encoding import TableEncoding
from nnscratch.datasets.tables.header import TARGET_NAMES, likeness
from nnscratch.datasets.tables.settings import TableSettings
from nnscratch.datasets.tables.text import is_gap
from nnscratch.datasets.task import as_float32
from nnscratch.errors import DataError, UsageError, did_you_mean, listed
from nnscratch.nn.compute.buffers import Array
from nnscratch.report.formats import counted
from nnscratch.results.data_section import guessed
from nnscratch.results.prediction_inputs import SPLITS_OF_ARRAYS, items
from nnscratch.results.prediction_tables import Item, read_as_trained, table_items, unlike_training, with_marks_of
from nnscratch.results.subgroups import require_column
from nnscratch.runs.loaded import LoadedRun
from nnscratch.training.examples import Examples

if TYPE_CHECKING:
    from nnscratch.datasets.tables.parsing import Decimal
    from nnscratch.datasets.tables.reader import TextTable


@dataclass(frozen=True, eq=False)
class Labelled:
    """Examples with their targets and names, what was guessed, and the cells of a column asked for."""

    examples: Examples
    note: str = ""
    cells: tuple[str, ...] | None = None


def read_labelled(loaded: LoadedRun, path: Path, by: str | None = None) -> Labelled:
    """The labelled examples of a file or folder. Raises DataError, which says how to `predict` without labels."""
    if not path.exists():
        raise DataError(f"{path} does not exist", "--data takes a table, an NPZ file or a folder per class")
    refuse_endless(path)
    is_table = path.is_file() and path.suffix.lower() != ".npz"
    if by is not None and not is_table:
        raise UsageError(f"--by {by}: {path} is no table", "groups are made by a column of a table")
    if is_table:
        return _table(loaded, path, by)
    return _folder(loaded, path) if path.is_dir() else _arrays(loaded, path)


def unlabelled(loaded: LoadedRun, path: Path, reason: str) -> DataError:
    """That there is nothing to compare predictions with."""
    command = shlex.join(["nnscratch", "predict", str(loaded.run.path), str(path)])
    return DataError(f"{path}: {reason}", f"without labels: {command}")


def _folder(loaded: LoadedRun, folder: Path) -> Labelled:
    """Every picture in a folder that is called like its class."""
    if loaded.classes is None:
        raise DataError(f"{folder}: the run is a regression, which a folder per class has no numbers for")
    folders = subfolders(folder)
    if not folders:
        raise unlabelled(loaded, folder, "no folder per class in it, so no labels")
    splits = [each.name for each in folders if each.name.lower() in ("train", "val", "test")]
    if splits and not set(splits) & set(loaded.classes):
        raise DataError(
            f"{folder}: {', '.join(splits)}: splits, no classes",
            f"say which: --data {shlex.quote(str(folder / splits[-1]))}",
        )
    found = PictureFolders({"train": folder})
    by_class = {as_text(each.name): found.pictures(each) for each in folders}
    _require_known(loaded.classes, [name for name, inside in by_class.items() if inside], folder)
    labels = {str(file): loaded.classes.index(name) for name, inside in by_class.items() for file in inside}
    if not labels:
        raise DataError(f"{folder}: no pictures in it ({', '.join(SUFFIXES)})")
    found.leave_out_loose()
    with quiet_pillow():
        read = items(loaded, list(labels), ())
        places, inputs, unlike = _read(_readable(read, found) if _may_skip(loaded) else read)
    targets = np.array([labels[place] for place in places], np.int64)
    absent = [name for name in loaded.classes if not by_class.get(name)]
    notes = [f"no pictures of {', '.join(absent[:20])}"] * bool(absent)
    notes += [f"left out: {count:,} {what}" for what, count in found.left_out.items() if what != HIDDEN]
    notes += [unlike] * bool(unlike)
    return Labelled(Examples.all_of(inputs, targets, places), "\n".join(notes))


def _may_skip(loaded: LoadedRun) -> bool:
    """Whether the run was trained without pictures that could not be read."""
    source = loaded.config.data.dataset.build()
    return isinstance(source, ImageFolder) and source.unreadable == "skip"


def _readable(read: Iterable[Item], found: PictureFolders) -> Iterator[Item]:
    """Those that can be read; others count as left out."""
    for item in read:
        try:
            pixels = item.read()
        except DataError:
            found.left_out["unreadable pictures"] += 1
        else:
            yield replace(item, read=partial(np.asarray, pixels))


def _arrays(loaded: LoadedRun, path: Path) -> Labelled:
    """The inputs and targets of an NPZ file: those of its test split when it has several."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {each.filename.removesuffix(".npy"): each.file_size for each in archive.infolist()}
            key = _targets_key(sizes)
            if key is None:
                held = ", ".join(sizes) or "nothing"
                raise unlabelled(loaded, path, f"no labels of the inputs: it holds {held}, none called y")
            found = {}
            for name in (key, *(each for each in CLASS_KEYS if each in sizes)):
                with archive.open(f"{name}.npy") as member:
                    found[name] = read_npy(member, sizes[name], f"{path}: {name}")
    except zipfile.BadZipFile as error:
        raise DataError(f"{path}: unreadable: {error}", "is it an NPZ file, and complete?") from error
    places, inputs, unlike = _read(items(loaded, [str(path)], ()))
    values, names = found.pop(key), next(iter(found.values()), None)
    if len(values) != len(inputs):
        raise DataError(f"{path}: {len(inputs):,} inputs, but {len(values):,} targets in {key}")
    if loaded.classes is None:
        return Labelled(Examples.all_of(inputs, numbers_of(loaded, values, path), places), unlike)
    first = 1 if guessed(loaded.run, "labels").startswith("1 is ") else 0
    targets, note = _labels(loaded.classes, values, names, path, first)
    return Labelled(Examples.all_of(inputs, targets, places), "\n".join(filter(None, [note, unlike])))


def _targets_key(held: Container[str]) -> str | None:
    """The targets that belong to the inputs which are read: of their own split, or of none where there is one alone."""
    splits = [each for each in SPLITS_OF_ARRAYS if any(name in held for name in KEYS[f"{each} inputs"])] or ["train"]
    known = KEYS[f"{splits[0]} targets"] + (KEYS["train targets"] if len(splits) == 1 else ())
    return next((name for name in known if name in held), None)


def _table(loaded: LoadedRun, path: Path, by: str | None) -> Labelled:
    """The rows of a table whose target has no gap; `by` is a column whose cells are wanted, too."""
    if loaded.takes_images and path.suffix.lower() in SUFFIXES:
        raise unlabelled(loaded, path, "a picture alone has no label; a folder for each class gives them")
    from nnscratch.datasets.tables.kinds import as_number  # which imports polars

    source = loaded.config.data.dataset.build()
    settings = source if isinstance(source, TableSettings) else TableSettings()
    as_text = (settings.target,) if loaded.classes is not None and isinstance(settings.target, str) else ()
    table = read_as_trained(loaded, path, as_text)
    if by is not None:
        require_column(by, table.names, str(path))
    names = _target_names(loaded, settings, table.names, path)
    decimal = settings.decimal or _decimal_mark(loaded, table)
    is_kept = ~_dropped(loaded, table)
    has_gap = len(table) - int(is_kept.sum())
    if loaded.classes is None:
        values = _numbers(loaded, table, names, decimal)
        is_kept &= ~np.isnan(values).any(axis=1)
        targets = numbers_of(loaded, values[is_kept], path)
    else:
        cells = [str(cell).strip() for cell in table.column(names[0]).to_list()]
        is_kept &= [cell in loaded.classes or not is_gap(cell) for cell in cells]
        targets = labels_of(
            loaded.classes, [_class_name(cell, loaded.classes) for cell in compress(cells, is_kept)], path
        )
    rows = np.flatnonzero(is_kept)
    if not len(rows):
        reason = f"every cell of the target {names[0]!r} is empty"
        raise unlabelled(loaded, path, f"{reason}, or another of its row (missing: drop)" if has_gap else reason)
    places, inputs, unlike = _read(compress(table_items(loaded, path, ()), is_kept))
    weights = None
    if settings.weight is not None and settings.weight in table.names:
        weights = as_number(table, settings.weight, decimal).read(table.column(settings.weight))[0][rows]
        if not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any():
            raise DataError(f"{path}: the weights {settings.weight!r} are not all numbers from 0 on, or all are 0")
    left_out, lacks = len(table) - len(rows) - has_gap, settings.weight is not None and weights is None
    notes = [f"left out: {counted(left_out, 'row')} without a target"] * bool(left_out)
    notes += [f"left out, as in training (missing: drop): {counted(has_gap, 'row')} with a gap"] * bool(has_gap)
    notes += [unlike] * bool(unlike)
    notes += [f"without a column {settings.weight!r} every row counts the same in the loss"] * lacks
    cells_by = None if by is None else tuple(str(cell) for cell in table.column(by).gather(rows).to_list())
    return Labelled(Examples.all_of(inputs, targets, places, weights), "\n".join(notes), cells_by)


def _dropped(loaded: LoadedRun, table: TextTable) -> Array:
    """Which rows have a gap, where training left such rows out."""
    encoding = loaded.encoding
    if encoding is None or encoding.schema.missing != "drop":
        return np.zeros(len(table), bool)
    schema = replace(with_marks_of(table, encoding).schema, missing="auto", unknown_levels="other")
    values, errors, _ = TableEncoding(schema).read(table)
    return np.isnan(values).any(axis=1) & np.array([error is None for error in errors])


def _numbers(loaded: LoadedRun, table: TextTable, names: Sequence[str], decimal: Decimal) -> Array:
    """The numbers (N, K) in the targets of these names, NaN for a gap. Raises DataError for what is neither."""
    from nnscratch.datasets.tables.kinds import as_number  # which imports polars

    found = []
    for name, unit in zip(names, _target_units(loaded, names), strict=True):
        number = as_number(table, name, decimal, unit)
        values, bad = number.read(table.column(name))
        if bad.any():
            row = int(np.argmax(bad))
            cell = table.cell(name, row)
            raise DataError(f"{table.place(row)}: the target {name!r} is {cell!r}, not {number.expected(cell)}")
        found.append(values)
    return np.stack(found, axis=1)


def _decimal_mark(loaded: LoadedRun, table: TextTable) -> Decimal:
    """The decimal mark of targets that fit both: that of most inputs, which is as in training where they fit both."""
    from nnscratch.datasets.tables.decimal_marks import decimal_mark

    columns = () if loaded.encoding is None else with_marks_of(table, loaded.encoding).columns
    marks = [column.decimal for column in columns if isinstance(column, Number)]
    if not marks:
        return decimal_mark(table, None)[0]
    return "," if marks.count(",") > marks.count(".") else "."


def _target_units(loaded: LoadedRun, names: Sequence[str]) -> list[str | None]:
    """What stands behind the numbers of these targets in training; None for what the run does not say."""
    if loaded.encoding is None:
        return [None] * len(names)
    schema = loaded.encoding.schema
    known = dict(zip(schema.targets, schema.target_units or [""] * len(schema.targets), strict=True))
    return [known.get(name) for name in names]


def _target_names(loaded: LoadedRun, settings: TableSettings, names: Sequence[str], path: Path) -> tuple[str, ...]:
    """The columns with the targets: those that the run was told of or knows, else by the rule that training has."""
    if loaded.classes is None and loaded.target_names and settings.target is None:
        wanted = loaded.target_names
    elif settings.target is not None:
        wanted = (settings.target,) if isinstance(settings.target, str) else tuple(dict.fromkeys(settings.target))
    else:
        features = [] if loaded.encoding is None else [column.name for column in loaded.encoding.columns]
        others = [name for name in names if name not in (*features, *settings.ignore, settings.weight)]
        by_name = sorted((name for name in others if name.lower() in TARGET_NAMES), key=likeness)
        wanted = tuple((by_name or others[-1:])[:1])
        if not wanted:
            raise unlabelled(loaded, path, "no column beside the features, so no labels")
    missing = [name for name in wanted if name not in names]
    if missing:
        raise unlabelled(loaded, path, f"no column {', '.join(map(repr, missing))}, so no labels")
    return wanted


def _class_name(cell: str, classes: tuple[str, ...]) -> str:
    """The cell as the classes are called: 1.0 is 1 where these are whole numbers."""
    if cell in classes:
        return cell
    try:
        value = float(cell)
    except ValueError:
        return cell
    return str(int(value)) if value.is_integer() else cell


def _read(read: Iterable[Item]) -> tuple[tuple[str, ...], Array, str]:
    """The places and the inputs of all, and what of them was not so in training.

    Raises the DataError of the first that cannot be read: figures are of all or none.
    """
    notes, arrays = {}, []
    for item in read:
        arrays.append(item.read())
        notes[item.name] = item.note
    if not arrays:
        raise DataError("there is no example in it")
    return tuple(notes), np.stack(arrays), unlike_training(notes)


def _labels(classes: tuple[str, ...], values: Array, names: Array | None, path: Path, first: int) -> tuple[Array, str]:
    """Labels (N,) by the network's classes, and what was guessed of them; `first` is the first number of training's."""
    flat = values.reshape(len(values), -1)
    is_wide = flat.shape[1] == len(classes) > 1 and flat.dtype.kind in "biuf"
    if is_wide and ((flat == 0) | (flat == 1)).all() and (flat.sum(axis=1) == 1).all():
        return flat.argmax(axis=1), f"one-hot rows, in the order of the classes: {classes[0]}, {classes[1]}, ..."
    if flat.shape[1] != 1:
        raise DataError(f"{path}: labels of shape {values.shape}; they are one per example, (N,)")
    flat = np.char.decode(flat[:, 0], "utf-8") if flat.dtype.kind == "S" else flat[:, 0]
    is_number = flat.dtype.kind in "iubf"
    if is_number and not (np.isfinite(flat).all() and (flat == np.rint(flat)).all()):
        raise DataError(f"{path}: the targets are broken numbers, the run's are classes: {', '.join(classes[:10])}")
    own = [str(int(each)) if is_number else str(each) for each in flat]
    if names is not None and is_number:
        listed = [str(each) for each in names.ravel()]
        if not all(first <= int(each) < first + len(listed) for each in own):
            raise DataError(f"{path}: a label is not among {first} to {first + len(listed) - 1}, as of its class names")
        own = [listed[int(each) - first] for each in own]
    elif is_number and not set(own) <= set(classes) and all(first <= int(each) < first + len(classes) for each in own):
        told = f"{first} is taken for {classes[0]}, {first + 1} for {classes[1]}, ..."
        return flat.astype(np.int64) - first, f"labels are numbers: {told}"
    return labels_of(classes, own, path), ""


def labels_of(classes: tuple[str, ...], names: Sequence[str], path: Path) -> Array:
    """Labels (N,) of class names; DataError for what the network does not know."""
    _require_known(classes, sorted(set(names)), path)
    numbering = {name: label for label, name in enumerate(classes)}
    return np.array([numbering[name] for name in names], np.int64)


def _require_known(classes: tuple[str, ...], names: Iterable[str], path: Path) -> None:
    unknown = [name for name in names if name not in classes]
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise DataError(
            f"{path}: the network knows no class {unknown[0]!r}{more}{did_you_mean(unknown[0], classes)}",
            f"its classes are {listed(classes, 20)}",
        )


def numbers_of(loaded: LoadedRun, values: Array, path: Path) -> Array:
    """Regression targets (N, K), float32 where that has all their digits."""
    if values.dtype.kind not in "biuf":
        raise DataError(f"{path}: targets of {values.dtype}; a regression's are numbers")
    flat = as_float32(values.reshape(len(values), -1).astype(np.float64))
    if flat.shape[1] != loaded.outputs:
        raise DataError(f"{path}: {flat.shape[1]} targets an example, the network gives {loaded.outputs}")
    if not np.isfinite(flat).all():
        raise DataError(f"{path}: a target is not a finite number")
    return flat
