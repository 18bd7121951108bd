"""The report on data before training: what was read, guessed and left out, what its splits hold, what looks wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from nnscratch.datasets.dataset import Array, Dataset
from nnscratch.datasets.description import Description
from nnscratch.datasets.separation import suspicious_groups, told
from nnscratch.datasets.suspicions import (
    Shared,
    class_suspicions,
    column_suspicions,
    identical_examples,
    majority_share,
    shared_suspicions,
    target_suspicions,
)
from nnscratch.datasets.tables.columns import Boolean, Category, Date

Parts = Mapping[str, tuple[Array, Array, Array]]
"""Inputs, targets, and the rows of both that belong to it, by the name of the split; training first."""


@dataclass(frozen=True)
class TargetRange:
    """A regression's target in training: its smallest, mean and largest value."""

    name: str
    least: float
    mean: float
    most: float


@dataclass(frozen=True)
class DataReport:
    """Everything there is to say of data before training, as plain values."""

    name: str
    origin: str
    task: str
    input_shape: tuple[int, ...]
    description: Description
    examples: Mapping[str, int]
    classes: Mapping[str, Mapping[str, int]]
    """Of each split, the examples of each class; empty for regression."""
    majority: float | None
    """The share of the largest class in training where classes are very uneven."""
    targets: tuple[TargetRange, ...]
    repeated: int | None
    """Training inputs that another is equal to; None where that was not looked for."""
    shared: tuple[Shared, ...]
    held_out: str
    """Which examples were held out; empty where it was at random."""

    @property
    def majorities(self) -> dict[str, float]:
        """Of each split, the share of the class that is largest in training; empty unless classes are very uneven."""
        if self.majority is None:
            return {}
        train = next(iter(self.classes.values()))
        largest = max(train, key=lambda name: train[name])
        return {split: counts[largest] / max(sum(counts.values()), 1) for split, counts in self.classes.items()}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What looks wrong, each a sentence."""
        return self.description.warnings

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in data_report.json and for --json."""
        return asdict(self)


def examined(dataset: Dataset) -> Dataset:
    """The dataset with what looks wrong with its columns among the warnings of its description."""
    inputs = dataset.train_inputs
    if inputs.ndim != 2:
        return dataset
    names = dataset.feature_names or tuple(str(number) for number in range(inputs.shape[1]))
    columns = dataset.schema.columns if dataset.schema is not None else ()
    categories = {column.name for column in columns if isinstance(column, Category | Boolean)}
    how = " (data.dataset.ignore)" if dataset.schema is not None else ""
    dates = {column.name for column in columns if isinstance(column, Date)}
    found = column_suspicions(inputs, dataset.train_targets, names, categories, dates, how)
    description = dataset.description
    warnings = (*description.warnings, *found)
    return replace(dataset, description=replace(description, warnings=warnings))


def data_report(dataset: Dataset, parts: Parts) -> DataReport:
    """The report on a dataset whose splits are these."""
    rows = {name: (inputs, rows) for name, (inputs, _, rows) in parts.items()}
    identical = identical_examples(rows)
    repeated, shared = identical if identical is not None else (None, ())
    sources = {id(dataset.validation_inputs): "val", id(dataset.test_inputs): "test", id(dataset.train_inputs): "train"}
    of_source = {name: (sources.get(id(inputs), ""), taken) for name, (inputs, taken) in rows.items()}
    called = {name: dataset.example_names.get(source) for name, (source, _) in of_source.items()}
    shared = tuple(_with_names(each, called[each.first], called[each.second]) for each in shared)
    labels = {name: targets[rows] for name, (_, targets, rows) in parts.items()}
    train = next(iter(labels.values()))
    suspicions = (*shared_suspicions(shared), *suspicious_groups(dataset.separation, of_source))
    warnings = [*dataset.description.warnings, *suspicions]
    classes: dict[str, dict[str, int]] = {}
    ranges: tuple[TargetRange, ...] = ()
    majority = None
    if dataset.classes is not None:
        for split, each in labels.items():
            counts = np.bincount(each, minlength=len(dataset.classes)).tolist()
            classes[split] = dict(zip(dataset.classes, counts, strict=True))
        majority = majority_share(train, len(dataset.classes))
        warnings += class_suspicions(train, dataset.classes)
    else:
        names = dataset.target_names or [f"target {number}" for number in range(1, train.shape[1] + 1)]
        warnings += target_suspicions(train, names)
        figures = (train.min(axis=0), train.mean(axis=0, dtype=np.float64), train.max(axis=0))
        ranges = tuple(
            TargetRange(name, float(least), float(mean), float(most))
            for name, least, mean, most in zip(names, *figures, strict=True)
        )
    return DataReport(
        name=dataset.name,
        origin=dataset.origin,
        task=dataset.task,
        input_shape=dataset.input_shape,
        description=replace(dataset.description, warnings=tuple(warnings)),
        examples={name: len(each) for name, each in labels.items()},
        classes=classes,
        majority=majority,
        targets=ranges,
        repeated=repeated,
        shared=shared,
        held_out=told(dataset.separation, of_source),
    )


def _with_names(shared: Shared, first: Sequence[str] | None, second: Sequence[str] | None) -> Shared:
    if first is None or second is None:
        return shared
    return replace(shared, names=(first[shared.rows[0]], second[shared.rows[1]]))
