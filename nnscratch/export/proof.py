"""The proof of an export: its own answers beside the run's, on the same examples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nnscratch.datasets.tables.columns import DAY, Boolean, Category, Date
from nnscratch.datasets.tables.encoding import TableEncoding
from nnscratch.errors import DataError, UserError
from nnscratch.export.format import Answers, Format
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.report.formats import count
from nnscratch.results.evaluate import load_data
from nnscratch.results.model import Model
from nnscratch.runs.loaded import LoadedRun
from nnscratch.training.test_time_augmentation import averaged_outputs

MOST = 1000
"""Examples that are compared."""
BATCH = 100
"""Examples that go through the network in float64 at a time."""
TOLERANCE = 1e-5
"""How far float32 probabilities may differ; of a regression, values in deviations of their target."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs as the run's data is stored, and what they are called."""

    stored: Array
    origin: str


@dataclass(frozen=True)
class Proof:
    """How far an export's answers are from the run's."""

    examples: int
    origin: str
    """Which examples: test, or what stands in for it."""
    difference: float
    """The largest, of a probability; of a regression, of a value in deviations of its target."""
    labels_that_differ: int
    ties: int
    """Those of them whose two labels the run holds for equally likely, within the tolerance."""
    is_regression: bool

    @property
    def failure(self) -> UserError | None:
        """Why the export is none."""
        wrong = self.labels_that_differ - self.ties
        if self.difference <= TOLERANCE and not wrong:
            return None
        return UserError(f"the export does not answer as the run does: {self.to_text()}", "nothing was written")

    def to_text(self) -> str:
        """One line for people."""
        what = "value, in deviations of its target," if self.is_regression else "probability"
        labels = "" if self.is_regression else f"; labels that differ: {self.labels_that_differ}"
        ties = f" ({self.ties} of them ties)" if self.ties else ""
        compared = f"on {count(self.examples)} {self.origin}"
        return f"largest difference of a {what} {compared}: {self.difference:.1e}{labels}{ties}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they are kept beside the export."""
        return {
            "examples": self.examples,
            "origin": self.origin,
            "largest_difference": self.difference,
            "tolerance": TOLERANCE,
            "labels_that_differ": self.labels_that_differ,
            "ties": self.ties,
        }


@np.errstate(all="ignore")  # what overflows is found in the answers
def prove(format: Format, path: Path, loaded: LoadedRun, examples: Examples) -> Proof:
    """Compares what is at that path with the run, example by example.

    The run rounds, too: in a deep network its fast convolutions by more than an export may differ. What differs by more
    is compared once more, with the run's own network in float64.
    """
    y = Model(loaded).outputs(examples.stored)
    answers = format.answer(path, loaded, examples.stored)
    proof = _compared(loaded, examples, y, answers)
    if proof.failure is None:
        return proof
    exact = replace(examples, origin=f"{examples.origin}, the run in float64")
    return _compared(loaded, exact, _in_float64(loaded, examples.stored), answers)


def _compared(loaded: LoadedRun, examples: Examples, y: Array, answers: Answers) -> Proof:
    if loaded.classes is None:
        return _of_values(loaded, examples, y, answers.numbers)
    p = loaded.probabilities(y)
    return _of_labels(loaded, examples, p, np.argmax(y, axis=1), answers)


def _in_float64(loaded: LoadedRun, stored: Array) -> Array:
    """The outputs (N, K) of the same weights for the same scaled inputs."""
    network, parameters = loaded.network.copy(), loaded.network.parameters
    network.load(parameters.named(), parameters.named_state(), np.float64)
    y = np.empty((len(stored), loaded.outputs))
    for start in range(0, len(stored), BATCH):
        part = stored[start : start + BATCH]
        x = loaded.affine.apply(part, np.empty(part.shape, np.float32)).astype(np.float64)
        y[start : start + BATCH] = averaged_outputs(network, x, loaded.record.views)
    return y


def _of_labels(loaded: LoadedRun, examples: Examples, p: Array, expected: Array, answers: Answers) -> Proof:
    number = {name: index for index, name in enumerate(loaded.classes or ())}
    labels = [] if answers.labels is None else answers.labels.tolist()
    found = np.array([number.get(str(label), -1) for label in labels], int)
    if answers.numbers.shape != p.shape or found.shape != expected.shape:
        raise UserError(f"the export answers with shapes {answers.numbers.shape} and {found.shape}")
    other = np.flatnonzero(found != expected)
    ties = [row for row in other if found[row] >= 0 and p[row, expected[row]] - p[row, found[row]] <= TOLERANCE]
    return Proof(len(p), examples.origin, _largest(answers.numbers - p), len(other), len(ties), False)


def _of_values(loaded: LoadedRun, examples: Examples, y: Array, found: Array) -> Proof:
    expected = loaded.values(y)
    deviations = np.abs(found - expected) * np.abs(loaded.target_affine.multiplier)
    largest = max(1.0, float(np.max(np.abs(y), initial=0)))  # float32 has seven digits of the largest
    return Proof(len(y), examples.origin, _largest(deviations / largest), 0, 0, True)


def _largest(differences: Array) -> float:
    """Infinite where something is no number."""
    largest = float(np.max(np.abs(differences), initial=0))
    return largest if np.isfinite(largest) else float("inf")


def examples_of(loaded: LoadedRun, workplace: Workplace, display: Display) -> Examples:
    """Up to MOST of the run's test examples, else of those for validation; where its data is not, random ones.

    A warning says so then: somebody else's run may be exported without its data.
    """
    try:
        _, splits = load_data(loaded, workplace, display)
    except (DataError, OSError) as error:
        message = error.message if isinstance(error, DataError) else str(error)
        display.warn(f"the run's data cannot be read ({message}): the export is compared on random inputs")
        return random_examples(loaded)
    for name, split in (("test", splits.test), ("validation", splits.validation), ("training", splits.train)):
        if split is not None and len(split):
            return Examples(split.inputs[split.rows[:MOST]], f"{name} examples")
    return random_examples(loaded)


def random_examples(loaded: LoadedRun, number: int = 100) -> Examples:
    """Random bytes for pictures, and for rows numbers that are normal once they are scaled, and what goes with them."""
    rng = np.random.default_rng(0)
    shape = (number, *loaded.input_shape)
    if loaded.takes_images:
        return Examples(rng.integers(0, 256, shape, np.uint8), "random pictures")
    features = loaded.affine.undo(rng.normal(size=shape))
    if loaded.encoding is not None:
        features = _random_rows(loaded.encoding, features.reshape(number, -1), rng).reshape(shape)
    return Examples(features, "random rows")


def _random_rows(encoding: TableEncoding, features: Array, rng: np.random.Generator) -> Array:
    """Features (N, D) that rows can have: quantities as given, any level, day or answer, and gaps where there were."""
    values = np.empty((len(features), len(encoding.columns)))
    start = 0
    for index, column in enumerate(encoding.columns):
        match column:
            case Category():
                first = 0 if encoding.schema.unknown_levels == "error" else -1
                values[:, index] = rng.integers(first, len(column.levels), len(values))
            case Boolean():
                values[:, index] = rng.integers(0, 2, len(values))
            case Date():
                values[:, index] = _random_moments(column, rng, len(values))
            case _:
                values[:, index] = features[:, start] + getattr(column, "centre", 0.0)
        if column.flag:
            values[rng.random(len(values)) < 0.2, index] = np.nan
        start += len(column.features)
    return encoding.encode(values)


def _random_moments(column: Date, rng: np.random.Generator, number: int) -> Array:
    """Moments (number,) that a column can have: days with a time, months or times of the day."""
    seconds = column.origin + DAY * rng.integers(0, 2000, number)
    if "%d" in column.format:
        return seconds
    if "%Y" in column.format or "%y" in column.format:
        return seconds.astype("datetime64[s]").astype("datetime64[M]").astype("datetime64[s]").astype(np.float64)
    return np.asarray(60.0 * rng.integers(0, 1440, number))
