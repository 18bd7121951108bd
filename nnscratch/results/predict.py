"""`nnscratch predict`: what a run's network makes of new inputs, streamed in bounded memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from nnscratch import cpu
from nnscratch.datasets.formats.images import quiet_pillow
from nnscratch.errors import UsageError, UserError
from nnscratch.host.json_text import json_text
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.communicator import ALONE, Communicator
from nnscratch.report.formats import count, decimal, percent, printable
from nnscratch.results.prediction_inputs import items
from nnscratch.results.prediction_tables import Item
from nnscratch.runs.loaded import LoadedRun, load_run, use_threads_of

BATCH = 256
"""Inputs in memory at a time."""
Said: TypeAlias = list[tuple[str | None, str]]
"""What is wrong with each input, if something is, and its note."""


@dataclass(frozen=True)
class Prediction:
    """What the network says of one input: the top classes with probabilities, or values by target; or why nothing."""

    input: str
    top: tuple[tuple[str, float], ...] = ()
    values: Mapping[str, float] | None = None
    error: str | None = None
    kept: Mapping[str, str] = field(default_factory=dict)
    """Cells of its row in a table that were asked for."""
    note: str = ""
    """What in its row training never saw, and what it was taken for."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        own: dict[str, Any] = {"input": self.input, **({"kept": dict(self.kept)} if self.kept else {})}
        own |= {"note": self.note} if self.note else {}
        if self.error is not None:
            return {**own, "error": self.error}
        if self.values is not None:
            return {**own, "values": dict(self.values)}
        label, probability = self.top[0]
        top = [{"label": name, "probability": share} for name, share in self.top]
        return {**own, "label": label, "probability": probability, "top": top}

    def to_text(self) -> str:
        """One line for people."""
        own = "  ".join([self.input, *(f"{name}={cell}" for name, cell in self.kept.items())])
        note = f"  note: {self.note}" if self.note else ""
        if self.error is not None:
            return printable(f"{own}  error: {self.error}")
        if self.values is not None:
            return printable("  ".join([own, *(f"{name} {_shown(v)}" for name, v in self.values.items())]) + note)
        (label, probability), *others = self.top
        also = ", ".join(f"{name} {percent(share, 1)}" for name, share in others)
        return printable(f"{own}  {label} {percent(probability, 1)}" + (f"  ({also})" if also else "") + note)


def _shown(value: float) -> str:
    """Six digits, and all before the point: 1000000012."""
    return f"{value:.0f}" if 1e6 <= abs(value) < 1e15 else decimal(value, 6)


class Predictions:
    """A stream of predictions: read once, in one of its forms, each piece of which is there as soon as it is made."""

    def __init__(
        self,
        stream: Iterator[Prediction],
        target_names: tuple[str, ...],
        top: int,
        keep: Sequence[str] = (),
    ) -> None:
        """The columns of a table are those to `keep`, and `target_names` for a regression, `top` classes else."""
        self._stream, self._target_names, self._top, self._keep = stream, target_names, top, tuple(keep)
        self._made = self._failed = 0

    @property
    def failure(self) -> UserError | None:
        """How many of the inputs read so far had no prediction."""
        if not self._failed:
            return None
        return UserError(
            f"{count(self._failed)} of {count(self._made)} inputs could not be predicted; their rows say why"
        )

    def __iter__(self) -> Iterator[Prediction]:
        for prediction in self._stream:
            self._made, self._failed = self._made + 1, self._failed + (prediction.error is not None)
            yield prediction

    def to_text(self) -> Iterator[str]:
        """A line for every input."""
        yield from (prediction.to_text() + "\n" for prediction in self)

    def to_json(self) -> Iterator[str]:
        """One list."""
        separator = "["
        for prediction in self:
            yield separator + json_text(prediction.to_dict())
            separator = ",\n "
        yield "]\n" if self._made else "[]\n"

    def to_csv(self) -> Iterator[str]:
        """Columns input, those kept; label, probability, label_2, ..., or every target; error; note.

        What is called as a column that is kept gets `_predicted` behind it.
        """
        names = list(self._target_names)
        for place in range(1, self._top + 1):
            names += [name if place == 1 else f"{name}_{place}" for name in ("label", "probability")]
        names = [f"{name}_predicted" if name in self._keep else name for name in names]
        first, *last = (f"{name}_predicted" if name in self._keep else name for name in ("input", "error", "note"))
        yield _csv_row([first, *self._keep, *names, *last])
        for prediction in self:
            cells: list[object] = [cell for pair in prediction.top for cell in pair]
            cells += (prediction.values or {}).values()
            cells = [""] * len(names) if prediction.error is not None else cells
            kept = [prediction.kept.get(name, "") for name in self._keep]
            yield _csv_row([prediction.input, *kept, *cells, prediction.error or "", prediction.note])


def _csv_row(cells: Sequence[object]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([printable(cell) if isinstance(cell, str) else cell for cell in cells])
    return text.getvalue()


def predict_run(
    path: Path,
    inputs: Sequence[str],
    listing: Iterable[str | bytes],
    *,
    checkpoint: str = "best",
    top: int = 3,
    threads: int | None = None,
    keep: Sequence[str] = (),
    communicator: Communicator = ALONE,
) -> Predictions:
    """What the network of a run says of the inputs: see `prediction_inputs.items`.

    Processes that call it together, and read the predictions together, share out the inputs.
    """
    if top < 1:
        raise UsageError(f"--top {top}: at least 1")
    if communicator.size > 1 and "-" in inputs:
        raise UsageError(
            "-: mpirun does not pass on where standard input ends", "name the files or folders, or start one process"
        )
    loaded = load_run(path, checkpoint)
    used = use_threads_of(loaded, threads)
    stream = predict(loaded, items(loaded, inputs, listing, keep), top, used, communicator)
    names = () if loaded.classes else loaded.target_names
    return Predictions(stream, names, min(top, len(loaded.classes or ())), keep)


def predict(
    loaded: LoadedRun, inputs: Iterable[Item], top: int = 3, readers: int = 1, communicator: Communicator = ALONE
) -> Iterator[Prediction]:
    """A Prediction for every input, in order; BATCH of them are in memory at a time."""
    stored = np.empty((BATCH, *loaded.input_shape), np.uint8 if loaded.takes_images else np.float32)
    x = np.empty(stored.shape, np.float32)
    remaining = iter(inputs)
    while batch := list(islice(remaining, BATCH)):
        # Warning filters belong to the process: this outermost one puts back what the readers' own leave behind.
        own = communicator.share(len(batch))
        with quiet_pillow() if loaded.takes_images else nullcontext():
            read = cpu.threaded_map(
                read_item, batch[own], readers
            )  # Pillow decodes without holding the interpreter's lock
        arrays = [each for each in read if not isinstance(each, str)]
        for index, array in enumerate(arrays):
            stored[index] = array
        number = len(arrays)
        y = np.empty((0, loaded.outputs), np.float32)
        if number:
            y = loaded.outputs_of(stored[:number], x[:number])
        said = [
            (each if isinstance(each, str) else None, item.note) for each, item in zip(read, batch[own], strict=True)
        ]
        if communicator.size > 1:
            said, y = _of_all(said, y, loaded.outputs, communicator)
        made = answers(loaded, y, top)
        for item, (error, note) in zip(batch, said, strict=True):
            answer = next(made) if error is None else partial(Prediction, error=error)
            yield answer(item.name, kept=item.kept, note=note)


def _of_all(said: Said, y: Array, outputs: int, communicator: Communicator) -> tuple[Said, Array]:
    """What all processes found of a batch: errors and notes in its order, and the outputs of what had no error."""
    found: list[Said] = [json.loads(text) for text in communicator.texts(json.dumps(said))]
    borders = [0, *accumulate(outputs * sum(error is None for error, _ in each) for each in found)]
    together = np.empty(borders[-1], np.float32)
    together[borders[communicator.rank] : borders[communicator.rank + 1]] = y.reshape(-1) if y.size else ()
    communicator.all_gather(together, borders)
    return [(error, note) for each in found for error, note in each], together.reshape(-1, outputs)


def read_item(item: Item) -> Array | str:
    """The item's array, or in words why there is none: whatever is wrong with one file, the others are predicted."""
    try:
        return item.read()
    except UserError as error:
        return error.message.removeprefix(f"{item.name}: ")
    except Exception as error:
        return f"unreadable: {type(error).__name__}: {error}"


def answers(loaded: LoadedRun, y: Array, top: int) -> Iterator[partial[Prediction]]:
    """For every row of outputs, what makes the Prediction once the input's name is known."""
    p = loaded.probabilities(y) if loaded.classes is not None and len(y) else y  # of none there is no largest
    values = loaded.values(y) if loaded.classes is None else y
    order = np.argsort(-y, axis=1, kind="stable")[:, :top].tolist()
    is_finite: list[bool] = np.all(np.isfinite(y) & np.isfinite(values), axis=1).tolist()
    for row in range(len(y)):
        if not is_finite[row]:
            yield partial(Prediction, error="the network's outputs for it are not finite")
        elif loaded.classes is not None:
            best = tuple((loaded.classes[index], float(p[row, index])) for index in order[row])
            yield partial(Prediction, top=best)
        else:
            names = zip(loaded.target_names, values[row].tolist(), strict=True)
            yield partial(Prediction, values=dict(names))
