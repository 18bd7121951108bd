"""`nnscratch gradcheck`: is every gradient of a config's network, loss and penalty the true derivative?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nnscratch.config.assembly import assemble, load_dataset
from nnscratch.config.config import Config
from nnscratch.datasets.dataset import Dataset
from nnscratch.errors import DataError, UserError
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.gradient_check import ArrayCheck, check_gradients, check_layers, check_loss
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.report.formats import count
from nnscratch.report.tables import Column, Table, plain_table
from nnscratch.training.diagnosis.setting import scaled_inputs
from nnscratch.training.scaling import scale_targets

TOLERANCE = 1e-6
WORK = 2e10
"""Multiplications and additions spent, about: a few seconds. Costly networks get fewer entries per array."""
MOST_ENTRIES, FEWEST_ENTRIES = 50, 3
MOVES = 4
"""Forward passes for one entry."""


class GradientError(UserError):
    """A backward pass that is not the derivative of its forward pass."""


@dataclass(frozen=True)
class GradientReport:
    """What the check found: `network` end to end, by array; `layers` each layer alone; `loss` alone."""

    name: str
    data: str
    tolerance: float
    network: tuple[ArrayCheck, ...]
    layers: tuple[ArrayCheck, ...]
    loss: ArrayCheck
    paths: tuple[str, ...]
    """The layers' names, in order."""

    @property
    def worst(self) -> ArrayCheck:
        """The row with the largest error."""
        return max((*self.network, *self.layers, self.loss), key=_badness)

    @property
    def passed(self) -> bool:
        return not self.failures

    @property
    def failures(self) -> list[str]:
        """What is wrong, nearest the cause: layers alone, then the loss, else how they work together."""
        failed = [f"layer {_layer_of(row)}: {_what(row)}" for row in self.layers if self._fails(row)]
        failed += [f"the loss: {_what(self.loss)}"] if self._fails(self.loss) else []
        if failed:
            return failed
        together = [f"{row.name}: {_what(row)}" for row in self.network if self._fails(row)]
        if together:
            together.append("each layer and the loss are right alone: one overwrites what another needs, or L2 errs")
        return together

    @property
    def failure(self) -> GradientError | None:
        """Names the layer whose error is above the tolerance."""
        return None if self.passed else GradientError("the gradient check failed", "\n  ".join(self.failures))

    def to_dict(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "tolerance": self.tolerance,
            "worst": self.worst.worst,
            "worst_array": self.worst.name,
            "data": self.data,
            "failures": self.failures,
            "network": [asdict(row) for row in self.network],
            "layers": [asdict(row) for row in self.layers],
            "loss": asdict(self.loss),
        }

    def to_text(self) -> str:
        rows = [*self.network, *self.layers, self.loss]
        columns = (Column("layer"), Column("worst"), *(Column(title, True) for title in (
            "error", "backward", "difference quotient", "entries", "at kinks")), Column(""))  # fmt: skip
        cells = []
        for path in (*self.paths, "loss", "input"):
            own = [row for row in rows if _layer_of(row) == path]
            if not own:
                continue
            worst = max(own, key=_badness)
            checked, crossed = sum(row.checked for row in own), sum(row.crossed_kinks for row in own)
            numbers = (f"{worst.worst:.1e}", f"{worst.analytic:.6e}", f"{worst.numeric:.6e}")
            cells.append((path, _place(worst), *numbers, count(checked), count(crossed), self._verdict(own)))
        verdict = "passed" if self.passed else "failed"
        return (
            plain_table(Table(columns, tuple(cells)))
            + f"\n{verdict}: worst error {self.worst.worst:.1e} ({self.worst.name}), tolerance {self.tolerance:g}; "
            + f"float64, {self.data}; every layer end to end and alone"
        )

    def _verdict(self, rows: list[ArrayCheck]) -> str:
        """Wrong by itself, or only end to end, where a later layer's wrong dx spoils what comes before it."""
        if any(self._fails(row) for row in rows if row in self.layers or row is self.loss):
            return "<- wrong"
        return "spoiled" if any(map(self._fails, rows)) else ""

    def _fails(self, row: ArrayCheck) -> bool:
        return not row.worst <= self.tolerance  # nan fails


def gradcheck(
    config: Config,
    workplace: Workplace,
    display: Display,
    *,
    batch_size: int = 4,
    samples: int = MOST_ENTRIES,
    tolerance: float = TOLERANCE,
) -> GradientReport:
    """Checks the config's network on a batch of its data, or on random inputs when the data is not there.

    The weights are the starting ones moved a little at random, so that no bias is zero and hides an error.
    """
    machine.set_blas_threads(1)  # the batch is small; layers with threads of their own use them
    dataset, data = _dataset(config, workplace, display)
    assembly = assemble(config, dataset)
    network, recipe, train = assembly.network, assembly.recipe(), assembly.splits.train
    streams = assembly.start(np.float64, Workers(machine.choose_threads(workplace.threads)))
    theta = network.parameters.theta
    theta += 0.01 * streams.stream("gradient check").standard_normal(theta.size)

    rows = train.rows[:batch_size]
    x = scaled_inputs(train, assembly.affine, rows)
    t = scale_targets(train, assembly.target_affine).targets[rows]
    if t.ndim > 1:
        t = t.astype(np.float64)
    entries = min(samples, _affordable_entries(network, len(rows)))
    checked = check_gradients(network, recipe.loss, x, t, recipe.l2, samples=entries, seed=config.seed)
    alone = check_layers(network, x, samples=entries, seed=config.seed)
    loss = check_loss(recipe.loss, network.forward(x.astype(np.float64), training=True), t, samples=entries)
    paths = tuple(layer.path for layer in network.layers)
    return GradientReport(
        config.name, f"{len(rows)} examples of {data}", tolerance, tuple(checked), tuple(alone), loss, paths
    )


def _dataset(config: Config, workplace: Workplace, display: Display) -> tuple[Dataset, str]:
    """The config's data, or random images of its shape when it is not on this machine; and what to call it."""
    source = config.data.dataset.component
    try:
        return load_dataset(config, workplace.data_dir, display.detail, download=False), source.name
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
    return int(np.clip(WORK / max(work, 1), FEWEST_ENTRIES, MOST_ENTRIES))


def _badness(row: ArrayCheck) -> float:
    return row.worst if np.isfinite(row.worst) else np.inf


def _layer_of(row: ArrayCheck) -> str:
    """`2.dense` for `2.dense.weight` and `2.dense dx`; a layer inside another counts as the outer one."""
    return ".".join(row.name.partition(" ")[0].split(".")[:2])


def _place(row: ArrayCheck) -> str:
    what = row.name.removeprefix(_layer_of(row)).lstrip(". ")
    return f"{what}[{', '.join(map(str, row.index))}]"


def _what(row: ArrayCheck) -> str:
    what = row.name.removeprefix(_layer_of(row)).lstrip(". ")
    symbol = what if what in ("dx", "dy") else f"the gradient of {what or row.name}"
    return (
        f"{symbol} is wrong: backward says {row.analytic:.6g}, the difference quotient {row.numeric:.6g} "
        f"at [{', '.join(map(str, row.index))}] (error {row.worst:.1e})"
    )
