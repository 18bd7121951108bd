"""`nnscratch gradcheck`: is every gradient of a network, its loss and penalty the true derivative?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnscratch.config.assembly import Assembly, assemble
from nnscratch.config.config import Config
from nnscratch.config.data import load_dataset
from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.sources.own_data import TrainedOn
from nnscratch.errors import DataError, UserError
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.gradient_batches import batch_sizes
from nnscratch.nn.gradient_check import SAMPLES, check_gradients, check_layers, check_loss
from nnscratch.nn.gradient_comparison import TOLERANCE
from nnscratch.nn.gradient_rows import ArrayCheck
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.report.formats import count
from nnscratch.report.tables import Column, Table, plain_table
from nnscratch.runs.loaded import load_run
from nnscratch.training.batches import TrainingBatches
from nnscratch.training.recipe import Recipe
from nnscratch.training.scaling import scale_targets

WORK = 2e10
"""Multiplications and additions spent, about: a few seconds. Costly networks get fewer entries per array."""
FEWEST_ENTRIES = 3
MOVES = 4
"""Forward passes for one entry."""
UNSEEN = "running statistics and evaluation mode, dropout's scale, the optimizer, the schedule, the data"
"""What may be wrong though every gradient is right."""


class GradientError(UserError):
    """A backward pass that is not the derivative of its forward pass, or that could not be checked."""


@dataclass(frozen=True)
class GradientReport:
    """What the check found: `network` end to end, by array; `layers` each layer alone; `loss` alone."""

    name: str
    data: str
    batches: tuple[int, ...]
    """How many examples the batches had, the main one first."""
    tolerance: float
    network: tuple[ArrayCheck, ...]
    layers: tuple[ArrayCheck, ...]
    loss: ArrayCheck
    paths: tuple[str, ...]
    """The layers' names, in order."""

    @property
    def worst(self) -> ArrayCheck:
        """The row with the largest error."""
        return max(self._rows, key=_badness)

    @property
    def passed(self) -> bool:
        return not self.failures

    @property
    def failures(self) -> list[str]:
        """What is wrong, nearest the cause: layers alone, then the loss, else how they work together."""
        failed = [f"layer {_layer_of(row)}: {_what(row)}" for row in self.layers if _fails(row)]
        failed += [f"the loss: {_what(self.loss)}"] if _fails(self.loss) else []
        if failed:
            return failed
        together = [f"{row.name}: {_what(row)}" for row in self.network if _fails(row)]
        if any(row.verdict == "wrong" for row in self.network):
            causes = [f"layer {_layer_of(row)}: {row.hint}" for row in self.layers if row.hint]
            causes = causes or ["one overwrites what another needs, or L2 errs"]
            together += [f"each layer and the loss are right alone: {cause}" for cause in causes]
        return together

    @property
    def failure(self) -> GradientError | None:
        """Names the layer whose error is above the tolerance, or which was not checked."""
        return None if self.passed else GradientError("the gradient check failed", "\n  ".join(self.failures))

    def to_dict(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "tolerance": self.tolerance,
            "worst": self.worst.worst,
            "worst_array": self.worst.name,
            "data": self.data,
            "batches": list(self.batches),
            "failures": self.failures,
            "network": [asdict(row) for row in self.network],
            "layers": [asdict(row) for row in self.layers],
            "loss": asdict(self.loss),
            "not_seen": UNSEEN,
        }

    def to_text(self) -> str:
        columns = (Column("layer"), Column("worst"), *(Column(title, True) for title in (
            "error", "backward", "quotient", "good to", "entries")), Column(""))  # fmt: skip
        cells = []
        for path in (*self.paths, "loss", "input"):
            own = [row for row in self._rows if _layer_of(row) == path]
            if not own:
                continue
            worst = max(own, key=_badness)
            numbers = (f"{worst.worst:.1e}", f"{worst.analytic:.4e}", f"{worst.numeric:.4e}", f"{worst.own_error:.0e}")
            checked = count(sum(row.checked for row in own))
            cells.append((path, _place(worst), *numbers, checked, self._verdict(own)))
        hidden, crossed = (sum(getattr(row, what) for row in self._rows) for what in ("unresolved", "crossed_kinks"))
        lines = [plain_table(Table(columns, tuple(cells)))]
        lines += [f"{name}: {hint}" for hint, name in self._notes.items()]
        lines += [f"of the entries, rounding hides {count(hidden)}: neither right nor wrong"] if hidden else []
        lines += [f"of the entries, {count(crossed)} lie at kinks: left out"] if crossed else []
        batches = f"{', '.join(map(str, self.batches[:-1]))} and {self.batches[-1]}"
        lines += [
            f"every layer end to end and alone, in float64, in batches of {batches}, one after another",
            f"a gradient check does not see {UNSEEN}",
            f"{'passed' if self.passed else 'failed'}: worst error {self.worst.worst:.1e} ({self.worst.name}), "
            f"tolerance {self.tolerance:g}; {self.data}",
        ]
        return "\n".join(lines)

    @property
    def _rows(self) -> tuple[ArrayCheck, ...]:
        return (*self.network, *self.layers, self.loss)

    @property
    def _notes(self) -> dict[str, str]:
        """What is to be said of arrays that are right, and of which array first."""
        notes: dict[str, str] = {}
        for row in self._rows:
            if row.hint and not _fails(row):
                notes.setdefault(row.hint, row.name)
        return notes

    def _verdict(self, rows: list[ArrayCheck]) -> str:
        """Wrong by itself, or only end to end, where a later layer's wrong dx spoils what comes before it."""
        if any(row.verdict == "wrong" for row in rows if row in self.layers or row is self.loss):
            return "<- wrong"
        if any(row.verdict == "wrong" for row in rows):
            return "spoiled"
        return "<- not checked" if any(map(_fails, rows)) else ""


def gradcheck(
    config: Config,
    workplace: Workplace,
    display: Display,
    *,
    batch_size: int = 4,
    samples: int | None = None,
    tolerance: float = TOLERANCE,
) -> GradientReport:
    """Checks the config's network on a batch of its data, or on random inputs when the data is not there.

    The batch is as training would make it, augmented and mixed. The weights are the starting ones moved a little at
    random, so that no bias is zero and hides an error. `samples` entries of each array are looked at one by one; left
    out: up to 50, fewer in a costly network.
    """
    dataset, data = _dataset(config, workplace, display)
    assembly = assemble(config, dataset)
    streams, theta = _start(assembly, workplace), assembly.network.parameters.theta
    theta += 0.01 * streams.stream("gradient check").standard_normal(theta.size)
    return _report(assembly, data, batch_size, samples, tolerance)


def gradcheck_run(
    path: Path,
    workplace: Workplace,
    display: Display,
    *,
    checkpoint: str = "best",
    batch_size: int = 4,
    samples: int | None = None,
    tolerance: float = TOLERANCE,
) -> GradientReport:
    """The same for the trained weights of the run in that folder, on a batch of its training data."""
    loaded = load_run(path, checkpoint)
    dataset, data = _dataset(loaded.config, workplace, display, loaded.trained_on)
    assembly = assemble(loaded.config, loaded.fitted(dataset)).with_scaling(loaded.affine, loaded.target_affine)
    _start(assembly, workplace)
    trained, parameters = loaded.network.parameters, assembly.network.parameters
    parameters.load(trained.named())
    parameters.load_state(trained.named_state())
    weights = f"{data}, weights of epoch {loaded.epoch} of {loaded.run.name}"
    return _report(assembly, weights, batch_size, samples, tolerance)


@np.errstate(all="ignore")
def _start(assembly: Assembly, workplace: Workplace) -> RandomStreams:
    """The streams of the run, having given the network its starting weights in float64."""
    machine.set_blas_threads(1)  # the batch is small; layers with threads of their own use them
    return assembly.start(np.float64, Workers(machine.choose_threads(workplace.threads)))


@np.errstate(all="ignore")  # what overflows is found in the gradients
def _report(assembly: Assembly, data: str, batch_size: int, samples: int | None, tolerance: float) -> GradientReport:
    network, recipe, seed = assembly.network, assembly.recipe(), assembly.config.seed
    (x, *forms), w = _batch(assembly, recipe, batch_size)
    entries = _affordable_entries(network, len(x)) if samples is None else samples
    checked = check_gradients(
        network, recipe.loss, x, forms[0], recipe.l2, w=w, samples=entries, seed=seed, tolerance=tolerance
    )
    alone = check_layers(network, x, samples=entries, seed=seed, tolerance=tolerance)
    y = network.forward(x, training=True)
    if not np.isfinite(y).all():  # a layer's fault, which is told, and not the loss's
        y = RandomStreams(seed).stream("stand-in outputs").standard_normal(y.shape)
    losses = [check_loss(recipe.loss, y, t, w=w, samples=entries, seed=seed, tolerance=tolerance) for t in forms]
    return GradientReport(
        assembly.config.name,
        f"{len(x)} {'examples' if w is None else 'weighted examples'} of {data}",
        (len(x), *batch_sizes(len(x))),
        tolerance,
        tuple(checked),
        tuple(alone),
        next((row for row in losses if row.verdict != "right"), losses[0]),
        tuple(layer.path for layer in network.layers),
    )


def _batch(assembly: Assembly, recipe: Recipe, size: int) -> tuple[list[Array], Array | None]:
    """The first batch of training: its inputs, then targets in every form that the loss is given; and its weights."""
    train = scale_targets(assembly.splits.train, assembly.target_affine)
    streams, classes = RandomStreams(assembly.config.seed), assembly.network.output_shape[0]
    batches = TrainingBatches(train, assembly.affine, size, streams, recipe.augmentations, classes, np.float64)
    x, t = batches.batch(0, 0)
    labels, w = train.targets[batches.rows(0)], batches.weights(0)
    if labels.ndim > 1:
        return [x, t.astype(np.float64)], w
    return [x, t, labels] if t.ndim > 1 else [x, labels], w


def _dataset(
    config: Config, workplace: Workplace, display: Display, trained_on: TrainedOn | None = None
) -> tuple[Dataset, str]:
    """The config's data, or random images of its shape when it is not on this machine; and what to call it."""
    source = config.data.dataset.component
    try:
        dataset = load_dataset(config, workplace.data_dir, display.detail, download=False, trained_on=trained_on)
        return dataset, source.name
    except DataError:
        shape, classes = source.example_shape, source.class_names
        if shape is None or classes is None or config.data.path is not None:
            raise
    rng = RandomStreams(config.seed).stream("stand-in data")
    size = max(2 * config.training.batch_size, 10 * len(classes))
    images = rng.integers(0, 256, (size, *shape), np.uint8)
    labels = np.arange(size, dtype=np.int64) % len(classes)
    stand_in = Dataset(source.name, images, labels, None, None, classes, "random numbers")
    return stand_in, f"random numbers in the shape of {source.name}, which is not here"


def _affordable_entries(network: Network, batch_size: int) -> int:
    """Entries per array, from the work of a forward pass: the same on every machine."""
    forward = sum(summary.flops for summary in network.summaries) + network.activation_size()
    arrays = len(network.parameters.named()) + 1
    work = arrays * MOVES * (batch_size * forward + 2 * network.parameters.size)
    return int(np.clip(WORK / max(work, 1), FEWEST_ENTRIES, SAMPLES))


def _badness(row: ArrayCheck) -> tuple[bool, bool, float]:
    return row.verdict == "wrong", row.verdict == "not checked", row.worst if np.isfinite(row.worst) else np.inf


def _layer_of(row: ArrayCheck) -> str:
    """`2.dense` for `2.dense.weight` and `2.dense dx`; a layer inside another counts as the outer one."""
    return ".".join(row.name.partition(" ")[0].split(".")[:2])


def _place(row: ArrayCheck) -> str:
    what = row.name.removeprefix(_layer_of(row)).lstrip(". ")
    return f"{what}[{','.join(map(str, row.index))}]"


def _fails(row: ArrayCheck) -> bool:
    return row.verdict != "right"


def _what(row: ArrayCheck) -> str:
    what = row.name.removeprefix(_layer_of(row)).lstrip(". ")
    symbol = what if what in ("dx", "dy") else f"the gradient of {what or row.name}"
    if row.verdict == "not checked":
        return f"{symbol} was not checked: {row.hint}"
    return (
        f"{symbol} is wrong{f' {row.situation}' if row.situation else ''}: backward says {row.analytic:.6g}, "
        f"the difference quotient {row.numeric:.6g} {_where(row)} (error {row.worst:.1e})"
        + (f"; {row.hint}" if row.hint else "")
    )


def _where(row: ArrayCheck) -> str:
    return f"at [{', '.join(map(str, row.index))}]" if row.index else "along a random direction"
