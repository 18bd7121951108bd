"""One's own arrays: an NPZ file, as `numpy.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)` writes it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from nnscratch.component import setting
from nnscratch.datasets.dataset import Array, Dataset, Report, weights_guess
from nnscratch.datasets.description import Description, Guess
from nnscratch.datasets.download import Progress
from nnscratch.datasets.formats.npy import MAGIC, NPYHeader, read_npy, read_npy_blocks, read_npy_header
from nnscratch.datasets.formats.white import FAINTEST
from nnscratch.datasets.memory import available_memory
from nnscratch.datasets.separation import Separation, contradictions
from nnscratch.datasets.sources.array_companions import groups_of, order_of, weights_of
from nnscratch.datasets.sources.array_inputs import InputPlan, Pixels, Span, plan_inputs
from nnscratch.datasets.sources.array_names import CLASS_KEYS, KEYS, not_used
from nnscratch.datasets.sources.array_targets import Targets, Task, targets_of
from nnscratch.datasets.sources.own_data import LargeSource, TrainedOn, identity, required_path
from nnscratch.datasets.splits import hold_out
from nnscratch.datasets.storage import Storage
from nnscratch.errors import DataError, did_you_mean

LARGEST = 16 << 30
"""Bytes that targets and names may take once decompressed; they are in memory, whatever becomes of the inputs."""

SPLITS = ("train", "val", "test")


@dataclass
class NPZ(LargeSource):
    """Images (N, H, W), (N, H, W, C) or (N, C, H, W), or features (N, D); labels, one-hot rows, or float targets."""

    name: ClassVar[str] = "npz"
    also_called: ClassVar[tuple[str, ...]] = ("npy", "numpy", "arrays")
    summary: ClassVar[str] = "your own arrays: an NPZ file with x_train, y_train and perhaps x_test, y_test"

    task: Task = setting(
        "auto", "auto: classification for text, one-hot rows and few different whole numbers, regression for others"
    )
    test: float = setting(0.2, "fraction held out as the test split when the file has none", ge=0, lt=1)
    split_by: str | None = setting(
        None,
        "array of groups, such as patients, none of which may be in two splits: one value for each training example; "
        "of a file's own splits, NAME_val and NAME_test",
    )
    split: Literal["random", "last"] = setting("random", "which examples are held out, for test and for validation")
    order_by: str | None = setting(
        None, "array of numbers or dates that says which training examples are last; null: their order"
    )
    seed: int = setting(0, "which examples are held out", ge=0)

    def contradictions(self) -> Iterator[tuple[str, str]]:
        yield from contradictions(self.split_by, self.split, self.order_by)

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
        """See `LargeSource.load`. `path` is the NPZ file; nothing in it is unpickled."""
        file = required_path(path, self.name, "an NPZ file")
        if file.is_dir():
            raise DataError(f"{file} is a folder", f"it must be an NPZ file, such as {file / 'NAME.npz'}", "data.path")
        storage = Storage(in_memory, data_dir / "cache", download, report, file)
        with _opened(file) as arrays:
            targets = targets_of(str(file), arrays.targets(), arrays.names(), self.task, is_learned=trained_on is None)
            counts = {split: len(each) for split, each in targets.splits.items()}
            plans = arrays.plans(counts, trained_on)
            separation = self._separation(arrays, counts)
            rows = self._rows(counts, targets, separation)
            return self._dataset(file, arrays, targets, plans, rows, separation, storage)

    def _separation(self, arrays: _Arrays, counts: Mapping[str, int]) -> Separation:
        """That of the whole arrays."""
        if self.split_by is not None:
            return groups_of(self.split_by, arrays.beside(self.split_by, counts, "split_by"))
        if self.split == "last" and self.order_by is not None:
            return order_of(self.order_by, *arrays.beside(self.order_by, counts, "order_by")["train"])
        return Separation(order=np.arange(counts["train"]) if self.split == "last" else None)

    def _rows(self, counts: Mapping[str, int], targets: Targets, separation: Separation) -> dict[str, Array]:
        """Which rows of its array each split is; a test split that the file lacks is held out of those of train."""
        rows = {split: np.arange(count) for split, count in counts.items()}
        if "test" not in rows and self.test > 0:
            rng, labels = np.random.default_rng(self.seed), targets.splits["train"]
            rows["train"], rows["test"] = hold_out(
                labels, self.test, rng, targets.classes is not None,
                groups=separation.groups.get("train"), order=separation.order, field="data.dataset.test",
            )  # fmt: skip
        return {split: rows[split] for split in SPLITS if split in rows}

    def _dataset(
        self,
        file: Path,
        arrays: _Arrays,
        targets: Targets,
        plans: Mapping[str, InputPlan],
        rows: Mapping[str, Array],
        separation: Separation,
        storage: Storage,
    ) -> Dataset:
        plan = plans["train"]
        starts = dict(zip(rows, np.cumsum([0, *map(len, rows.values())]), strict=False))
        how = f"{self.test};{self.split_by!r};{self.split};{self.order_by!r};{self.seed};{self.task}"
        made_from = f"{str(file.resolve())!r} {identity(file)};{how};{[each.white for each in plans.values()]}"

        def fill(out: Array) -> Mapping[str, Any]:
            for split, each in plans.items():
                # A test split that is held out comes from the training array, so this array has rows for both.
                place = np.empty(len(arrays.of_split(split)), np.int64)
                for part in ("train", "test") if split == "train" and "test" not in plans else (split,):
                    if part in rows:
                        place[rows[part]] = starts[part] + np.arange(len(rows[part]))
                done = 0
                for block in arrays.blocks(split):
                    out[place[done : done + len(block)]] = each.convert(block)
                    done += len(block)
            return {"rows": len(out)}

        total = sum(map(len, rows.values()))
        inputs, _ = storage.rows((total, *plan.shape), plan.dtype, made_from, fill)
        found = {split: inputs[starts[split] : starts[split] + len(each)] for split, each in rows.items()}
        labels = {split: targets.splits[split if split in plans else "train"][each] for split, each in rows.items()}
        source = {split: split if split in plans else "train" for split in rows}
        own = weights_of(arrays.beside("sample_weight", {split: len(each) for split, each in targets.splits.items()}))
        weights = {split: own[of][rows[split]] for split, of in source.items() if of in own}
        groups, order = separation.groups, separation.order
        description = _description(arrays, plans, targets, rows, weights.get("train"))
        return Dataset(
            self.name,
            found["train"],
            labels["train"],
            found.get("test"),
            labels.get("test"),
            classes=targets.classes,
            origin=str(file),
            notes=_notes(description),
            target_names=None if targets.classes else tuple(f"y{column}" for column in range(labels["train"].shape[1])),
            description=description,
            validation_inputs=found.get("val"),
            validation_targets=labels.get("val"),
            white=plan.white,
            one_white=arrays.one_white,
            weights=weights,
            separation=replace(
                separation,
                groups={split: groups[of][rows[split]] for split, of in source.items() if of in groups},
                order=None if order is None else order[rows["train"]],
            ),
        )


def _notes(description: Description) -> tuple[str, ...]:
    guesses = (f"{each.what}: {each.taken} ({each.why})" for each in description.guesses if each.why)
    return (*guesses, *description.warnings)


def _description(
    arrays: _Arrays, plans: Mapping[str, InputPlan], targets: Targets, rows: Mapping[str, Array], weights: Array | None
) -> Description:
    plan, guesses = plans["train"], [*plans["train"].guesses, *targets.guesses]
    known = {(each.what, each.taken) for each in plan.guesses}
    for of, other in plans.items():
        guesses += [replace(g, taken=f"of {of} {g.taken}") for g in other.guesses if (g.what, g.taken) not in known]
    if "test" in rows and "test" not in plans:
        guesses.append(Guess("test split", f"{len(rows['test']):,} examples held out", "", "data.dataset.test"))
    if "val" in plans:
        guesses.append(Guess("validation", "the file's own", "in place of a share of training", "data.validation"))
    if weights is not None:
        guesses.append(weights_guess("sample_weight", weights))
    facts: dict[str, Any] = {"examples": {split: len(each) for split, each in rows.items()}}
    if plan.dtype == np.uint8:
        height, width, channels = plan.shape
        facts |= {"sizes": f"{width}x{height}", "channels": channels}
    left_out, warnings = not_used(arrays.members, arrays.used, arrays.keys)
    return Description(tuple(guesses), (), left_out, (*targets.warnings, *warnings), facts)


class _Arrays:
    """The arrays of an open NPZ file by what they are for."""

    def __init__(self, file: Path, archive: zipfile.ZipFile) -> None:
        self.file, self.archive = file, archive
        self.members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        self.keys = {
            role: key
            for role, names in (*KEYS.items(), ("classes", CLASS_KEYS))
            if (key := next((name for name in names if name in self.members), None)) is not None
        }
        self.used = set(self.keys.values())
        held = ", ".join(self.members) or "nothing"
        for role in ("train inputs", "train targets"):
            if role not in self.keys:
                raise DataError(
                    f"{file}: no array with the {role} ({', '.join(KEYS[role])}); it holds {held}",
                    "save it with np.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)",
                )
        for split in ("val", "test"):
            if (f"{split} inputs" in self.keys) != (f"{split} targets" in self.keys):
                raise DataError(f"{file}: x_{split} and y_{split} come together or not at all; it holds {held}")
        self.splits = [split for split in SPLITS if f"{split} inputs" in self.keys]
        self.headers = {split: self._header(self.keys[f"{split} inputs"]) for split in self.splits}
        self.one_white = True

    def name(self, key: str) -> str:
        return f"{self.file}: {key}"

    def of_split(self, split: str) -> range:
        """The rows of a split's inputs."""
        shape = self.headers[split].shape
        return range(shape[0] if shape else 0)

    def targets(self) -> dict[str, tuple[str, Array]]:
        """The targets by split, each with its name in the file."""
        return {split: (key := self.keys[f"{split} targets"], self._read(key)) for split in self.splits}

    def beside(self, key: str, counts: Mapping[str, int], field: str = "") -> dict[str, tuple[str, Array]]:
        """The array of that name, NAME_train, NAME_val and NAME_test, by split, with its name: a value an example.

        What is not there is left out; with the name of a `field` that wants it, DataError when training has none.
        """
        found = {}
        self.used |= {name for name in self.members if name in (key, *(f"{key}_{split}" for split in SPLITS))}
        for split in self.splits:
            names = (key, f"{key}_train") if split == "train" else (f"{key.removesuffix('_train')}_{split}",)
            name = next((each for each in names if each in self.members), None)
            if name is None:
                continue
            values = self._read(name).reshape(-1)
            if len(values) != counts[split]:
                message = f"{self.file}: {counts[split]:,} {split} targets but {len(values):,} values in {name}"
                raise DataError(message, field=f"data.dataset.{field}" if field else None)
            found[split] = (self.name(name), values)
        if field and "train" not in found:
            raise DataError(
                f"{self.file} has no array {key!r}{did_you_mean(key, tuple(self.members))}",
                f"it holds {', '.join(self.members)}; one more is saved with np.savez(path, ..., {key}=...)",
                f"data.dataset.{field}",
            )
        return found

    def names(self) -> Array | None:
        """The names of the classes, where there are any."""
        return self._read(self.keys["classes"]) if "classes" in self.keys else None

    def plans(self, counts: Mapping[str, int], trained_on: TrainedOn | None) -> dict[str, InputPlan]:
        """What to make of the inputs of each split."""

        @cache
        def pixels() -> Pixels:
            bytes, others = {}, {}
            for split in self.splits:
                name = self.name(self.keys[f"{split} inputs"])
                if self.headers[split].dtype == np.uint8:
                    bytes[name] = Span.of(self.blocks(split), enough=FAINTEST)
                else:
                    others[name] = Span.of(self.blocks(split))
            before = Pixels.of_before(bytes, others)
            self.one_white = (
                trained_on is None
                or trained_on.one_white
                or trained_on.white != (None if self.headers["train"].dtype == np.uint8 else before.white)
            )
            return Pixels.of(bytes, others) if self.one_white else before

        plans = {}
        for split in self.splits:
            name = self.name(self.keys[f"{split} inputs"])
            number = len(self.of_split(split))
            if number != counts[split]:
                key, shape = self.keys[f"{split} inputs"], self.headers[split].shape
                is_last = len(shape) > 1 and shape[-1] == counts[split]
                hint = f"the last axis counts them: {key} = numpy.moveaxis({key}, -1, 0)" if is_last else None
                raise DataError(
                    f"{self.file}: {number:,} inputs but {counts[split]:,} targets in the {split} split", hint
                )
            plans[split] = plan_inputs(name, self.headers[split], pixels)
            if (plans[split].shape, plans[split].dtype) != (plans["train"].shape, plans["train"].dtype):
                raise DataError(
                    f"{self.file}: a training example has shape {plans['train'].shape}, "
                    f"one of the {split} split {plans[split].shape}"
                )
        return plans

    def blocks(self, split: str) -> Iterator[Array]:
        """The inputs of a split, some rows at a time."""
        key = self.keys[f"{split} inputs"]
        with self.archive.open(self.members[key]) as member:
            yield from read_npy_blocks(member, self.members[key].file_size, self.name(key))

    def _header(self, key: str) -> NPYHeader:
        with self.archive.open(self.members[key]) as member:
            return read_npy_header(member, self.name(key))

    def _read(self, key: str) -> Array:
        size, largest = self.members[key].file_size, min(LARGEST, available_memory())
        if size > largest:
            raise DataError(f"{self.name(key)}: {size:,} bytes decompressed; at most {largest:,} are read here")
        with self.archive.open(self.members[key]) as member:
            values = read_npy(member, size, self.name(key))
        if values.dtype.kind != "S":
            return values if values.ndim else values.reshape(1, 1, 1)
        try:
            return np.char.decode(values, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self.name(key)} holds {error.object[:40]!r}, which is not UTF-8 text",
                f"save it as text: numpy.char.decode({key}, 'latin-1'), or whatever its encoding is",
            ) from error


@contextmanager
def _opened(file: Path) -> Iterator[_Arrays]:
    """The arrays of an NPZ file; whatever is wrong with the file is a DataError."""
    try:
        with file.open("rb") as stream:
            if stream.read(len(MAGIC)) == MAGIC:
                raise DataError(f"{file}: a single array, not an NPZ file", "save both: np.savez(path, x=..., y=...)")
        with zipfile.ZipFile(file) as archive:
            yield _Arrays(file, archive)
    except (DataError, MemoryError):
        raise
    except OSError as error:
        if error.filename is not None:
            raise
        raise _unreadable(file, error) from error
    # A damaged archive can fail in zipfile in any way.
    except Exception as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> DataError:
    return DataError(f"{file}: unreadable: {error or type(error).__name__}", "is it an NPZ file, and complete?")
