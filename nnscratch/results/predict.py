"""`nnscratch predict`: what a run's network makes of new inputs, streamed in bounded memory."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from nnscratch.datasets.formats.images import quiet_pillow
from nnscratch.errors import UsageError, UserError
from nnscratch.host.json_text import json_text
from nnscratch.nn.compute.buffers import Array
from nnscratch.report.formats import count, decimal, percent, printable
from nnscratch.results.measured import probabilities
from nnscratch.results.prediction_inputs import Item, items
from nnscratch.runs.loaded import LoadedRun, load_run, use_threads_of
from nnscratch.training.test_time_augmentation import averaged_outputs

BATCH = 256
"""Inputs in memory at a time."""

Form = Literal["text", "json", "csv"]


@dataclass(frozen=True)
class Prediction:
    """What the network says of one input: the top classes with probabilities, or values by target; or why nothing."""

    input: str
    top: tuple[tuple[str, float], ...] = ()
    values: Mapping[str, float] | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        if self.error is not None:
            return {"input": self.input, "error": self.error}
        if self.values is not None:
            return {"input": self.input, "values": dict(self.values)}
        label, probability = self.top[0]
        top = [{"label": name, "probability": share} for name, share in self.top]
        return {"input": self.input, "label": label, "probability": probability, "top": top}

    def to_text(self) -> str:
        """One line for people."""
        if self.error is not None:
            return printable(f"{self.input}  error: {self.error}")
        if self.values is not None:
            return printable("  ".join([self.input, *(f"{name} {decimal(v, 6)}" for name, v in self.values.items())]))
        (label, probability), *others = self.top
        also = ", ".join(f"{name} {percent(share, 1)}" for name, share in others)
        return printable(f"{self.input}  {label} {percent(probability, 1)}" + (f"  ({also})" if also else ""))


@dataclass(frozen=True)
class Predictions:
    """A stream of predictions, with what naming its columns needs."""

    stream: Iterator[Prediction]
    target_names: tuple[str, ...]
    """Empty for a classifier."""
    top: int


def predict_run(
    path: Path,
    inputs: Sequence[str],
    listing: Iterable[str | bytes],
    *,
    checkpoint: str = "best",
    top: int = 3,
    threads: int | None = None,
) -> Predictions:
    """What the network of a run says of the inputs: see `prediction_inputs.items`."""
    if top < 1:
        raise UsageError(f"--top {top}: at least 1")
    loaded = load_run(path, checkpoint)
    used = use_threads_of(loaded, threads)
    stream = predict(loaded, items(loaded, inputs, listing), top, used)
    return Predictions(stream, () if loaded.classes else loaded.target_names, min(top, len(loaded.classes or ())))


def predict(loaded: LoadedRun, inputs: Iterable[Item], top: int = 3, readers: int = 1) -> Iterator[Prediction]:
    """A Prediction for every input, in order; BATCH of them are in memory at a time."""
    stored = np.empty((BATCH, *loaded.input_shape), np.uint8 if loaded.takes_images else np.float32)
    x = np.empty(stored.shape, np.float32)
    views = loaded.config.evaluation.test_time_augmentation
    remaining = iter(inputs)
    with ThreadPoolExecutor(readers) as pool:  # Pillow decodes without holding the interpreter's lock
        while batch := list(islice(remaining, BATCH)):
            # Warning filters belong to the process: this outermost one puts back what the readers' own leave behind.
            with quiet_pillow() if loaded.takes_images else nullcontext():
                read = list(pool.map(_read, batch))
            arrays = [each for each in read if not isinstance(each, str)]
            for index, array in enumerate(arrays):
                stored[index] = array
            number = len(arrays)
            y = x[:0]
            if number:
                y = averaged_outputs(loaded.network, loaded.affine.apply(stored[:number], x[:number]), views)
            answers = _answers(loaded, y, top)
            for item, each in zip(batch, read, strict=True):
                yield Prediction(item.name, error=each) if isinstance(each, str) else next(answers)(item.name)


def _read(item: Item) -> Array | str:
    """The item's array, or in words why there is none: whatever is wrong with one file, the others are predicted."""
    try:
        return item.read()
    except UserError as error:
        return error.message.removeprefix(f"{item.name}: ")
    except Exception as error:
        return f"unreadable: {type(error).__name__}: {error}"


def _answers(loaded: LoadedRun, y: Array, top: int) -> Iterator[Callable[[str], Prediction]]:
    """For every row of outputs, what makes the Prediction once the input's name is known."""
    p = probabilities(loaded.config, y) if loaded.classes is not None and len(y) else y
    values = loaded.target_affine.undo(y) if loaded.classes is None else y
    order = np.argsort(-y, axis=1, kind="stable")[:, :top].tolist() if y.ndim == 2 else []
    for row in range(len(y)):
        if not np.isfinite(y[row]).all():
            yield partial(Prediction, error="the network's outputs for it are not finite")
        elif loaded.classes is not None:
            best = tuple((loaded.classes[index], float(p[row, index])) for index in order[row])
            yield partial(Prediction, top=best)
        else:
            names = zip(loaded.target_names, values[row].tolist(), strict=True)
            yield partial(Prediction, values=dict(names))


def write_predictions(predictions: Predictions, form: Form, out: IO[str]) -> None:
    """Writes every prediction as soon as it is made. Raises UserError at the end when some inputs had none."""
    write = {"text": _write_text, "json": _write_json, "csv": _write_csv}[form]
    total, failed = write(predictions, out)
    out.flush()
    if failed:
        raise UserError(f"{count(failed)} of {count(total)} inputs could not be predicted; their rows say why")


def _write_text(predictions: Predictions, out: IO[str]) -> tuple[int, int]:
    total = failed = 0
    for prediction in predictions.stream:
        total, failed = total + 1, failed + (prediction.error is not None)
        out.write(prediction.to_text() + "\n")
    return total, failed


def _write_json(predictions: Predictions, out: IO[str]) -> tuple[int, int]:
    total = failed = 0
    for prediction in predictions.stream:
        out.write(("[" if total == 0 else ",\n ") + json_text(prediction.to_dict()))
        total, failed = total + 1, failed + (prediction.error is not None)
    out.write("]\n" if total else "[]\n")
    return total, failed


def _write_csv(predictions: Predictions, out: IO[str]) -> tuple[int, int]:
    """Columns input, label, probability, label_2, probability_2, ..., error; or input, every target, error."""
    names = list(predictions.target_names)
    for place in range(1, predictions.top + 1):
        names += [name if place == 1 else f"{name}_{place}" for name in ("label", "probability")]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["input", *names, "error"])
    total = failed = 0
    for prediction in predictions.stream:
        total, failed = total + 1, failed + (prediction.error is not None)
        cells: list[object] = [cell for pair in prediction.top for cell in pair]
        cells += list((prediction.values or {}).values())
        cells = [""] * len(names) if prediction.error is not None else cells
        row = [prediction.input, *cells, prediction.error or ""]
        writer.writerow([printable(cell) if isinstance(cell, str) else cell for cell in row])
    return total, failed
