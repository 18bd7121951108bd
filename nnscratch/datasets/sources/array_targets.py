"""What arrays of targets mean: labels in any of the forms people save them in, or the values of a regression."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nnscratch.datasets.dataset import Array
from nnscratch.datasets.description import Guess
from nnscratch.datasets.sources.own_data import labels_from
from nnscratch.datasets.tables.text import is_gap
from nnscratch.datasets.task import as_float32, classes_or_quantity, doubt_of_classes
from nnscratch.errors import DataError

Task = Literal["auto", "classification", "regression"]
FIELD = "data.dataset.task"


@dataclass(frozen=True)
class Targets:
    """Labels (N,) int64 with their classes, or values (N, K) where there are none; by split."""

    classes: tuple[str, ...] | None
    splits: Mapping[str, Array]
    guesses: tuple[Guess, ...] = ()
    warnings: tuple[str, ...] = ()


def targets_of(
    file: str, splits: Mapping[str, tuple[str, Array]], names: Array | None, task: Task, *, is_learned: bool = True
) -> Targets:
    """The targets of every split, each given with the name of its array; train decides what they are.

    Raises DataError, with the line of NumPy that mends it, for what cannot be learned; what makes no sense to learn
    is one only where that `is_learned`, and not where a run has learned it.
    """
    key, train = splits["train"]
    empty = [split for split, (_, values) in splits.items() if not len(values)]
    if empty:
        raise DataError(f"{file}: the {empty[0]} split is empty")
    guesses: list[Guess] = []
    plain = {split: (key, _flat(values)) for split, (key, values) in splits.items()}
    if task != "regression" and all(_is_one_hot(values) for _, values in plain.values()):
        width = {values.shape[1] for _, values in plain.values()}
        if len(width) > 1:
            raise DataError(f"{file}: one-hot targets of different widths: {', '.join(map(str, sorted(width)))}")
        guesses.append(
            Guess("targets", f"one-hot rows, {width.pop()} classes", f"{key} has shape {train.shape}", FIELD)
        )
        count = plain["train"][1].shape[1]
        names = names if names is not None else np.arange(count)
        plain = {split: (key, values.argmax(axis=1)) for split, (key, values) in plain.items()}
        task = "classification"
    values, said = plain["train"][1], f"{key}.argmax(axis=1)" if _is_one_hot(train) else key
    is_labels, reason = _decide(file, key, values, names, task)
    if task == "auto":
        kind = "classification" if is_labels else "regression"
        guesses.append(Guess("task", kind, reason, FIELD))
    if not is_labels:
        found = {split: _numbers(file, *each) for split, each in plain.items()}
        if is_learned and len(found["train"]) > 1 and np.all(found["train"] == found["train"][0]):
            raise DataError(f"{file}: {key} is the same in every example; there is nothing to learn")
        return Targets(None, found, tuple(guesses))
    labels = {split: _labels(file, *each) for split, each in plain.items()}
    if names is None:
        classes, numbering = labels_from([str(value) for value in np.unique(labels["train"])])
    else:
        classes = tuple(str(name) for name in names.ravel())
        numbering, guess = _numbering(file, key, classes, labels)
        guesses += guess
    numbered = _numbered(file, labels, numbering)
    written = {label: repr(value) if values.dtype.kind == "U" else value for value, label in numbering.items()}
    if is_learned:
        _require_classes(file, said, classes, numbered["train"], written)
    return Targets(classes, numbered, tuple(guesses), tuple(_nothing(said, classes, numbered["train"], written)))


def _require_classes(file: str, key: str, classes: tuple[str, ...], train: Array, written: Mapping[int, str]) -> None:
    """Raises DataError for classes that are no two, or have no names to tell them apart by."""
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        raise DataError(
            f"{file}: {', '.join(map(repr, twice[:10]))} is the name of more than one class",
            "give each class a name of its own",
        )
    empty = [label for label, name in enumerate(classes) if not name.strip()]
    unnamed = np.isin(train, empty)
    if unnamed.any():
        raise DataError(
            f"{file}: the class of {int(unnamed.sum()):,} of {len(train):,} examples is empty text",
            f"leave those out: keep = ~numpy.isin({key}, [{', '.join(written[label] for label in empty)}]), "
            "and [keep] of inputs and targets alike",
        )
    if len(distinct := np.unique(train)) < 2:
        raise DataError(f"{file}: every example has the class {classes[distinct[0]]!r}; there is nothing to learn")


def _nothing(key: str, classes: tuple[str, ...], train: Array, written: Mapping[int, str]) -> Iterator[str]:
    """What is to be said of classes whose names read as missing values; `written` is each label as the file has it."""
    for label, name in enumerate(classes):
        if is_gap(name) and any(map(str.isalpha, name)):  # a dash may well be the class of dashes
            yield (
                f"{name!r} is taken as a class, with {int((train == label).sum()):,} examples; where it stands for a "
                f"missing label, keep = {key} != {written.get(label, repr(name))} leaves those out"
            )


def _flat(values: Array) -> Array:
    """A column as the row that it is."""
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _is_one_hot(values: Array) -> bool:
    if values.ndim != 2 or values.shape[1] < 2 or values.dtype.kind not in "biuf" or not len(values):
        return False
    return bool(((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all())


def _decide(file: str, key: str, values: Array, names: Array | None, task: Task) -> tuple[bool, str]:
    """Whether they are labels, and why."""
    if task != "auto":
        return task == "classification", "as configured"
    if values.dtype.kind == "U":
        distinct = np.unique(values).tolist()
        if names is None and (doubt := doubt_of_classes(distinct, len(values))) is not None:
            raise DataError(
                f"{file}: {key} holds {len(distinct):,} different texts in {len(values):,} examples, {doubt}",
                f"{key} = {key}.astype(float) makes numbers of them, task: classification a class of each",
            )
        return True, f"{key} holds text"
    if names is not None:
        return True, "the file names classes"
    if values.dtype.kind == "b":
        return True, f"{key} holds true and false"
    if values.ndim == 1 and values.dtype.kind in "iuf" and len(values):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise DataError(f"{file}: {key} holds NaN or infinity", f"leave those out: keep = numpy.isfinite({key})")
        is_labels, what = classes_or_quantity(values)
        return is_labels, f"{key} holds {what}"
    if values.ndim > 1 and values.dtype.kind in "biu":
        one_each = f"{key}.ravel()" if values.shape[0] == 1 else f"{key}.argmax(axis=1)"
        raise DataError(
            f"{file}: {key} has shape {values.shape} and is not one-hot; labels are one per example, (N,)",
            f"task: regression learns them as numbers; for one label each, {key} = {one_each}",
        )
    return False, f"{key} holds {values.shape[1] if values.ndim == 2 else 'other'} numbers for each example"


def _labels(file: str, key: str, values: Array) -> Array:
    """Labels (N,) as text or int64."""
    if values.ndim != 1 or values.dtype.kind not in "biufU":
        raise DataError(
            f"{file}: {key} has shape {values.shape}; labels are one per example, (N,)",
            f"turn scores into labels with {key} = {key}.argmax(axis=1), or use task: regression",
        )
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise DataError(
            f"{file}: classification needs whole-number or text labels, not broken numbers",
            f"task: regression learns them as they are; {key} = {key}.round().astype(int) makes labels of them",
        )
    return values.astype(np.int64) if values.dtype.kind in "fb" else values


def _numbering(
    file: str, key: str, classes: tuple[str, ...], labels: Mapping[str, Array]
) -> tuple[dict[str, int], list[Guess]]:
    """The label of each value, where the file names its classes."""
    train = labels["train"]
    if train.dtype.kind == "U":
        return {name: label for label, name in enumerate(classes)}, []
    first, last = min(int(each.min()) for each in labels.values()), max(int(each.max()) for each in labels.values())
    if first == 1 and last == len(classes):
        guess = Guess("labels", f"1 is {classes[0]}", f"{key} counts from 1 to {last}, and there are {last} names")
        return {str(label + 1): label for label in range(last)}, [guess]
    if first < 0 or last >= len(classes):
        raise DataError(
            f"{file}: the label {first if first < 0 else last} is outside 0..{len(classes) - 1}, "
            f"as there are {len(classes)} class names",
        )
    return {str(label): label for label in range(len(classes))}, []


def _numbered(file: str, labels: Mapping[str, Array], numbering: Mapping[str, int]) -> dict[str, Array]:
    found = {}
    for split, values in labels.items():
        distinct, inverse = np.unique(values, return_inverse=True)
        unknown = [str(value) for value in distinct if str(value) not in numbering]
        if unknown:
            whose = "class names" if split == "train" else "training targets"
            raise DataError(
                f"{file}: the class {', '.join(map(repr, unknown[:10]))} of the {split} targets is not in the {whose}"
            )
        found[split] = np.array([numbering[str(value)] for value in distinct], np.int64)[inverse]
    return found


def _numbers(file: str, key: str, values: Array) -> Array:
    if values.dtype.kind not in "biuf" or values.ndim not in (1, 2):
        raise DataError(
            f"{file}: regression targets are numbers (N,) or (N, K), not {values.dtype} {values.shape}",
            f"{key} = {key}.reshape(len({key}), -1) makes a row of each" if values.ndim > 2 else None,
        )
    with np.errstate(over="ignore"):
        return as_float32(values.reshape(len(values), -1).astype(np.float64))
