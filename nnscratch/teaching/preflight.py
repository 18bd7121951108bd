"""`nnscratch preflight CONFIG`: what is cheap to find out before a long training, and costly after it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nnscratch.config.assembly import Splits, build_recipe, start_network
from nnscratch.config.config import Config
from nnscratch.config.preparation import Prepared, prepare
from nnscratch.datasets.dataset import Dataset
from nnscratch.errors import UserError
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.report.formats import count, percent
from nnscratch.training.diagnosis.findings import Setting, input_findings, start_findings
from nnscratch.training.diagnosis.setting import magnitude, scaled_inputs, setting_of
from nnscratch.training.evaluation import count_correct
from nnscratch.training.examples import Examples
from nnscratch.training.scaling import Affine, fit_targets, scale_targets
from nnscratch.training.trainer import Recipe

State = Literal["ok", "look", "failed"]

ONE_BATCH, MOST_STEPS = 32, 300
RATES, REACH = 100, 1e3
"""The learning rates tried: so many, from the config's divided by `REACH` to the config's times it."""
IMBALANCE = 3.0


@dataclass(frozen=True)
class Check:
    """One question, its answer, and whether it is well, worth a look, or a reason not to train."""

    name: str
    state: State
    answer: str


@dataclass(frozen=True)
class Preflight:
    """All checks of a config, and the plot of its learning-rate range test."""

    name: str
    checks: tuple[Check, ...]
    suggested_rate: float | None
    plot: Path | None

    @property
    def failure(self) -> UserError | None:
        """Names the checks that failed."""
        failed = [check.name for check in self.checks if check.state == "failed"]
        return UserError(f"not ready for training: {', '.join(failed)}") if failed else None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "passed": self.failure is None,
            "checks": [asdict(check) for check in self.checks],
            "suggested_rate": self.suggested_rate,
            "plot": str(self.plot) if self.plot is not None else None,
        }

    def to_text(self) -> str:
        width = max(len(check.name) for check in self.checks)
        lines = [f"{check.state:<6}  {check.name:<{width}}  {check.answer}" for check in self.checks]
        return "\n".join([*lines, *([f"plot in {self.plot}"] if self.plot is not None else [])])


def preflight(config: Config, workplace: Workplace, display: Display) -> Preflight:
    """Runs every check. Raises what `train` would raise for a config or data that does not fit."""
    threads = machine.choose_threads(workplace.threads)
    machine.set_blas_threads(threads)
    prepared = prepare(config, workplace, display)
    bench = _Bench(prepared, threads)
    checks = [
        *_start(bench),
        _one_batch(bench),
        _leakage(prepared.splits),
        *_balance(prepared.dataset, prepared.splits),
    ]
    rates, losses = bench.learning_rate_range()
    suggestion = suggested_rate(rates, losses)
    checks.append(_rate(config, rates, losses, suggestion))
    plot = None
    if workplace.plots:
        from nnscratch.report.curves import learning_rate_range

        plot = workplace.runs_dir / "preflight" / f"{config.name}-learning-rate.png"
        learning_rate_range(
            rates, losses, plot, suggestion=suggestion, title=f"{config.name}: learning-rate range test"
        )
    return Preflight(config.name, tuple(checks), suggestion, plot)


class _Bench:
    """The config's network, fresh before every trial, with its loss and optimizer."""

    def __init__(self, prepared: Prepared, threads: int) -> None:
        self.prepared, self.config = prepared, prepared.config
        train = prepared.splits.train
        self.examples: Examples = scale_targets(train, fit_targets(train, self.config.data.target_scaling))
        self.affine: Affine = self.config.data.scaling.build().fit(train)
        self.threads = threads
        self.recipe = self._recipe()
        self.setting: Setting = setting_of(self.recipe.loss, prepared.network, self.examples)
        order = self.examples.rows.copy()
        RandomStreams(self.config.seed).stream("shuffle", 0).shuffle(order)
        self.order = order

    def _recipe(self) -> Recipe:
        return build_recipe(self.config, self.prepared.dataset, self.prepared.splits)

    def begin(self) -> None:
        """New weights, as training would start with, and an optimizer that has seen nothing."""
        start_network(self.config, self.prepared.network, self.examples, self.affine)
        self.workers = machine.share_threads(self.prepared.network, self.threads)
        self.recipe = self._recipe()
        self.recipe.optimizer.bind(self.prepared.network.parameters, self.workers)

    def batch(self, index: int, size: int) -> tuple[Array, Array]:
        rows = np.take(self.order, np.arange(index * size, (index + 1) * size), mode="wrap")
        return scaled_inputs(self.examples, self.affine, rows), self.examples.targets[rows]

    def step(self, x: Array, t: Array, factor: float, number: int, l2: bool = True) -> tuple[float, float]:
        """The batch's loss and accuracy before the update. An update with a loss that is not finite is left out."""
        network, recipe = self.prepared.network, self.recipe
        network.moment.step = number
        y = network.forward(x, training=True)
        loss, dy = recipe.loss(y, t)
        accuracy = count_correct(y, t) / len(t)
        if math.isfinite(loss):
            network.backward(dy)
            recipe.clip(network.parameters.gradient[: network.parameters.trainable_size])
            recipe.optimizer.step(factor, recipe.l2.coefficient(len(t)) if l2 else 0.0)
        return loss, accuracy

    def learning_rate_range(self) -> tuple[list[float], list[float]]:
        """Rates that grow step by step from far below the config's to far above, and the smoothed loss at each.

        It ends when the loss is four times its best (Smith 2017, section 3.3).
        """
        self.begin()
        own = self.recipe.optimizer.learning_rate
        rates: list[float] = []
        losses: list[float] = []
        running, best = 0.0, math.inf
        size = min(self.config.training.batch_size, len(self.examples))
        with np.errstate(all="ignore"):
            for number, rate in enumerate(np.geomspace(own / REACH, own * REACH, RATES)):
                loss, _ = self.step(*self.batch(number, size), float(rate) / own, number)
                running = 0.8 * running + 0.2 * loss
                smooth = running / (1 - 0.8 ** (number + 1))
                if not math.isfinite(smooth) or smooth > 4 * best:
                    break
                best = min(best, smooth)
                rates.append(float(rate))
                losses.append(smooth)
        return rates, losses


def suggested_rate(rates: list[float], losses: list[float]) -> float | None:
    """A tenth of the rate with the lowest loss; None when the loss never fell by a twentieth."""
    if not losses or min(losses) > 0.95 * losses[0]:
        return None
    return rates[int(np.argmin(losses))] / 10


def _start(bench: _Bench) -> Iterator[Check]:
    """The inputs' size and the loss before the first update."""
    bench.begin()
    x, t = bench.batch(0, min(512, len(bench.examples)))
    size = magnitude(x)
    found = list(input_findings(size))
    advice = "".join(f"; try {finding.advice}" for finding in found)
    yield Check("scale of inputs", "look" if found else "ok", f"root mean square {size:.3g}{advice}")
    with np.errstate(all="ignore"):
        y = bench.prepared.network.forward(x, training=True)
        loss, _ = bench.recipe.loss(y, t)
    found = list(start_findings(loss, bench.setting))
    advice = "".join(f"; try {finding.advice}" for finding in found)
    yield Check(
        "loss at start", "look" if found else "ok", f"{loss:.4g}, guessing gives {bench.setting.guessing:.4g}{advice}"
    )


def _one_batch(bench: _Bench) -> Check:
    """A network that cannot learn a few examples by heart will not learn many."""
    bench.begin()
    x, t = bench.batch(0, min(ONE_BATCH, len(bench.examples)))
    first = bench.setting.guessing
    loss, accuracy, step = math.inf, 0.0, 0
    with np.errstate(all="ignore"):
        for step in range(MOST_STEPS):
            loss, accuracy = bench.step(x, t, 1.0, step, l2=False)
            learned = accuracy == 1.0 if bench.setting.classes else loss < 0.05 * first
            if learned or not math.isfinite(loss):
                break
    if bench.setting.classes:
        said = f"{percent(accuracy, 0)} of {len(t)} examples right after {step} steps, loss {loss:.3g}"
        state: State = "ok" if accuracy == 1.0 else "look" if accuracy > 0.8 else "failed"
    else:
        said = f"loss {loss:.3g} on {len(t)} examples after {step} steps, guessing gives {first:.3g}"
        state = "ok" if loss < 0.05 * first else "look" if loss < 0.5 * first else "failed"
    advice = "" if state == "ok" else "; try another optimizer.learning_rate, and `nnscratch gradcheck`"
    return Check("learns one batch", state, said + advice)


def _leakage(splits: Splits) -> Check:
    """Identical inputs in two splits make a score look better than it is."""
    parts = {"training": splits.train, "validation": splits.validation, "test": splits.test}
    seen = {name: _digests(examples) for name, examples in parts.items() if examples is not None}
    names = list(seen)
    shared = []
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            common = seen[first].keys() & seen[second].keys()
            if common:
                digest = min(common, key=lambda each: seen[second][each])
                rows = f"{seen[first][digest]} and {seen[second][digest]}"
                shared.append(f"{count(len(common))} inputs are in {first} and in {second}, such as rows {rows}")
    if shared:
        return Check("no example in two splits", "look", "; ".join(shared))
    return Check("no example in two splits", "ok", f"all inputs of {', '.join(names)} differ")


def _digests(examples: Examples) -> dict[bytes, int]:
    """The row of the first example with each content."""
    found: dict[bytes, int] = {}
    for row in examples.rows:
        found.setdefault(hashlib.blake2b(examples.inputs[row].tobytes(), digest_size=16).digest(), int(row))
    return found


def _balance(dataset: Dataset, splits: Splits) -> Iterator[Check]:
    if dataset.classes is None:
        return
    counts = np.bincount(splits.train.targets[splits.train.rows], minlength=len(dataset.classes))
    least, most = int(counts.argmin()), int(counts.argmax())
    said = f"from {count(int(counts[least]))} ({dataset.classes[least]}) to {count(int(counts[most]))} of a class"
    if counts[least] == 0:
        yield Check("balance of classes", "failed", f"{dataset.classes[least]} has no training example")
    elif counts[most] > IMBALANCE * counts[least]:
        advice = "; try loss: {name: cross_entropy, class_weights: balanced}"
        yield Check("balance of classes", "look", f"{said} ({dataset.classes[most]}){advice}")
    else:
        even = f"{count(int(counts[least]))} training examples of every class"
        yield Check("balance of classes", "ok", even if counts[least] == counts[most] else said)


def _rate(config: Config, rates: list[float], losses: list[float], suggestion: float | None) -> Check:
    own = config.optimizer.build().learning_rate
    name = "learning rate"
    if suggestion is None:
        return Check(name, "look", f"no rate up to {rates[-1] if rates else own:.2g} lowers the loss in {RATES} steps")
    best = rates[int(np.argmin(losses))]
    said = f"{own:g}; the loss is lowest at {best:.2g}, a tenth of which, {suggestion:.2g}, is a good start"
    too_large, too_small = own > 3 * best, own < best / 300
    return Check(name, "look" if too_large or too_small else "ok", said)
