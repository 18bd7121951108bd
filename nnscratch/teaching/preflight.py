"""`nnscratch preflight CONFIG`: what is cheap to find out before a long training, and costly after it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nnscratch.config.advice import REMEDIES, advice
from nnscratch.config.assembly import Assembly, prepare
from nnscratch.config.config import Config
from nnscratch.datasets.report import DataReport
from nnscratch.datasets.suspicions import shared_suspicions
from nnscratch.errors import DivergenceError, UserError
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.regularization import L2
from nnscratch.report.formats import count, percent
from nnscratch.results.data_text import whole_report_text
from nnscratch.training.diagnosis.findings import Finding, Setting, input_findings, start_findings
from nnscratch.training.diagnosis.setting import magnitude, setting_of
from nnscratch.training.examples import Examples
from nnscratch.training.progress import EpochResult, StepResult
from nnscratch.training.scaling import scale_targets
from nnscratch.training.schedules import ConstantRate, Schedule
from nnscratch.training.trainer import Trainer

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
    data: DataReport
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
            "data": self.data.to_dict(),
            "passed": self.failure is None,
            "checks": [asdict(check) for check in self.checks],
            "suggested_rate": self.suggested_rate,
            "plot": str(self.plot) if self.plot is not None else None,
        }

    def to_text(self) -> str:
        width = max(len(check.name) for check in self.checks)
        lines = [f"{check.state:<6}  {check.name:<{width}}  {check.answer}" for check in self.checks]
        return "\n".join(
            [whole_report_text(self.data), "", *lines, *([f"plot in {self.plot}"] if self.plot is not None else [])]
        )


def preflight(config: Config, workplace: Workplace, display: Display) -> Preflight:
    """Runs every check. Raises what `train` would raise for a config or data that does not fit."""
    bench = _Bench(prepare(config, workplace, display), machine.choose_threads(workplace.threads))
    data = bench.assembly.data_report
    checks = [
        *_start(bench),
        _one_batch(bench),
        _leakage(data),
        *_balance(data),
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
    return Preflight(config.name, data, tuple(checks), suggestion, plot)


@dataclass(frozen=True)
class _RisingRate(Schedule):
    """factor = REACH^(2 step / (RATES - 1) - 1): RATES steps from 1 / REACH to REACH."""

    def __call__(self, step: int, total_steps: int, steps_per_epoch: int, history: Sequence[float] = ()) -> float:
        return float(REACH ** (2 * step / (RATES - 1) - 1))


class _Bench:
    """Trainings of the config's network, each from its very start, by the config's recipe with something changed."""

    def __init__(self, assembly: Assembly, threads: int) -> None:
        self.assembly, self.splits, self.threads = assembly, assembly.splits, threads
        train = scale_targets(self.splits.train, assembly.target_affine)
        self.setting: Setting = setting_of(assembly.recipe().loss, assembly.network, train)

    def trainer(self, **changes: Any) -> Trainer:
        """A training of its own; `changes` are of the recipe."""
        return self.assembly.trainer(self.threads, recipe=replace(self.assembly.recipe(), **changes))

    def learning_rate_range(self) -> tuple[list[float], list[float]]:
        """Rates that grow step by step from far below the config's to far above, and the smoothed loss at each.

        It ends when the loss is four times its best (Smith 2017, section 3.3), or not finite.
        """
        trainer = self.trainer(schedule=_RisingRate(), averaging=None, epochs=RATES)
        schedule, own = trainer.recipe.schedule, trainer.recipe.optimizer.learning_rate
        rates: list[float] = []
        losses: list[float] = []
        running, best = 0.0, math.inf
        try:
            for number, loss in enumerate(_losses(trainer, self.splits.train, RATES)):
                running = 0.8 * running + 0.2 * loss
                smooth = running / (1 - 0.8 ** (number + 1))
                if smooth > 4 * best:
                    break
                best = min(best, smooth)
                rates.append(own * schedule(number, 0, 1))
                losses.append(smooth)
        except DivergenceError:
            pass  # the rate is too large, which is what was asked
        return rates, losses


def _losses(trainer: Trainer, train: Examples, steps: int) -> Iterator[float]:
    """The loss of every step, so many of them."""
    results = (result.loss for result in trainer.run(train) if isinstance(result, StepResult))
    return islice(results, steps)


def suggested_rate(rates: list[float], losses: list[float]) -> float | None:
    """A tenth of the rate with the lowest loss; None when the loss never fell by a twentieth."""
    if not losses or min(losses) > 0.95 * losses[0]:
        return None
    return rates[int(np.argmin(losses))] / 10


def _start(bench: _Bench) -> Iterator[Check]:
    """The inputs' size and the loss before the first update."""
    trainer = bench.trainer(batch_size=512, augmentations=())
    x, t = trainer.batches(bench.splits.train).batch(0, 0)
    size = magnitude(x)
    found = list(input_findings(size))
    yield Check("scale of inputs", "look" if found else "ok", f"root mean square {size:.3g}{_tries(found)}")
    with np.errstate(all="ignore"):
        loss, _ = trainer.recipe.loss(trainer.network.forward(x, training=True), t)
    found = list(start_findings(loss, bench.setting))
    said = f"{loss:.4g}, guessing gives {bench.setting.guessing:.4g}{_tries(found)}"
    yield Check("loss at start", "look" if found else "ok", said)


def _tries(findings: list[Finding]) -> str:
    return "".join(f"; try {advice(finding)}" for finding in findings)


def _one_batch(bench: _Bench) -> Check:
    """A network that cannot learn a few examples by heart will not learn many."""
    trainer = bench.trainer(
        batch_size=ONE_BATCH, epochs=MOST_STEPS, l2=L2(), schedule=ConstantRate(), augmentations=(), averaging=None
    )
    train = bench.splits.train
    few = replace(train, rows=trainer.batches(train).order(0)[:ONE_BATCH])  # of which an epoch is one step
    first = bench.setting.guessing
    loss, accuracy, step = math.inf, 0.0, 0
    try:
        for result in trainer.run(few):
            if isinstance(result, EpochResult):
                step, loss = result.epoch - 1, result.values["train_loss"]
                accuracy = result.values.get("train_accuracy", 0.0)
                if accuracy == 1.0 if bench.setting.classes else loss < 0.05 * first:
                    break
    except DivergenceError:
        loss, accuracy = math.inf, 0.0
    if bench.setting.classes:
        said = f"{percent(accuracy, 0)} of {len(few)} examples right after {step} steps, loss {loss:.3g}"
        state: State = "ok" if accuracy == 1.0 else "look" if accuracy > 0.8 else "failed"
    else:
        said = f"loss {loss:.3g} on {len(few)} examples after {step} steps, guessing gives {first:.3g}"
        state = "ok" if loss < 0.05 * first else "look" if loss < 0.5 * first else "failed"
    try_this = "" if state == "ok" else "; try another optimizer.learning_rate, and `nnscratch gradcheck`"
    return Check("learns one batch", state, said + try_this)


def _leakage(report: DataReport) -> Check:
    name, splits = "no example in two splits", ", ".join(report.examples)
    if report.shared:
        return Check(name, "look", "; ".join(shared_suspicions(report.shared)))
    if report.repeated is None:
        return Check(name, "look", f"{splits} are too large to be compared")
    return Check(name, "ok", f"all inputs of {splits} differ" if len(report.examples) > 1 else "there is one split")


def _balance(report: DataReport) -> Iterator[Check]:
    if not report.classes:
        return
    counts = report.classes["training"]
    least, most = min(counts, key=lambda name: counts[name]), max(counts, key=lambda name: counts[name])
    said = f"from {count(counts[least])} ({least}) to {count(counts[most])} of a class"
    if counts[least] == 0:
        yield Check("balance of classes", "failed", f"{least} has no training example")
    elif counts[most] > IMBALANCE * counts[least]:
        yield Check("balance of classes", "look", f"{said} ({most}); try {REMEDIES['balanced classes']}")
    else:
        even = f"{count(counts[least])} training examples of every class"
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
