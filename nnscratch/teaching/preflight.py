"""`nnscratch preflight CONFIG`: what is cheap to find out before a long training, and costly after it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nnscratch.config.advice import REMEDIES, advice, of_config
from nnscratch.config.assembly import Assembly
from nnscratch.config.config import Config
from nnscratch.datasets.report import DataReport
from nnscratch.datasets.suspicions import shared_suspicions
from nnscratch.errors import DivergenceError, UserError
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.regularization import L2
from nnscratch.report.formats import count, percent
from nnscratch.report.style import own_looks
from nnscratch.results.data_text import WIDTH, whole_report_text
from nnscratch.results.drawing import pictures_may_fail
from nnscratch.runs.starting import prepare_start
from nnscratch.training.diagnosis.causes import BY_HEART, EDGE, L2_HOLDS, causes
from nnscratch.training.diagnosis.findings import (
    HEAVY_PENALTY,
    Finding,
    Remedy,
    Setting,
    input_findings,
    last_layer_findings,
    start_findings,
)
from nnscratch.training.diagnosis.setting import magnitude, setting_of
from nnscratch.training.diagnosis.start import gradient_findings
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
    findings: tuple[Finding, ...] = ()
    """What the answer is a sign of."""

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "state": self.state, "answer": self.answer}

    def lines(self, width: int) -> list[str]:
        """For people, the answers of checks with names up to that width below each other."""
        head = f"{self.state:<6}  {self.name:<{width}}  "
        return textwrap.wrap(self.answer, WIDTH, initial_indent=head, subsequent_indent=" " * len(head))


@dataclass(frozen=True)
class Preflight:
    """All checks of a config, that which shows the cause of the others first, and the plot of its range test."""

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
            "checks": [check.to_dict() for check in self.checks],
            "suggested_rate": self.suggested_rate,
            "plot": str(self.plot) if self.plot is not None else None,
        }

    def to_text(self) -> str:
        width = max(len(check.name) for check in self.checks)
        lines = [line for check in self.checks for line in check.lines(width)]
        return "\n".join(
            [whole_report_text(self.data), "", *lines, *([f"plot in {self.plot}"] if self.plot is not None else [])]
        )


def preflight(config: Config, workplace: Workplace, display: Display) -> Preflight:
    """Runs every check. Raises what `train` would raise for a config or data that does not fit."""
    bench = _Bench(prepare_start(config, workplace, display)[0], machine.choose_threads(workplace.threads))
    data = bench.assembly.data_report
    checks = [
        *_start(bench),
        _one_batch(bench),
        _leakage(data),
        *_balance(data, bench.setting.in_force),
    ]
    rates, losses = bench.learning_rate_range()
    suggestion = suggested_rate(rates, losses)
    checks.append(_rate(config, rates, losses, suggestion))
    plot = None
    if workplace.plots:
        with pictures_may_fail(display, "the checks stand without them"), own_looks():
            from nnscratch.report.curves import learning_rate_range

            picture = workplace.runs_dir / "preflight" / f"{config.name}-learning-rate.png"
            title = f"{config.name}: learning-rate range test"
            learning_rate_range(rates, losses, picture, suggestion=suggestion, title=title)
            plot = picture
    return Preflight(config.name, data, tuple(explained(checks, bench.setting.in_force)), suggestion, plot)


def explained(checks: Sequence[Check], in_force: frozenset[Remedy] = frozenset()) -> list[Check]:
    """The checks with what to try, or with the cause that they follow from; the check that shows the cause is first."""
    kept = causes((finding for check in checks for finding in check.findings), (), in_force)
    told = []
    for check in checks:
        names = {finding.named() for finding in check.findings}
        own = [each for each in kept if each.named() in names]
        if own:
            answer = "".join([check.answer, *(f"; try {advice(finding)}" for finding in own)])
            told.append(replace(check, answer=answer, findings=tuple(own)))
        elif check.findings:
            cause = next(each for each in kept if names & set(each.consequences))
            told.append(replace(check, answer=f"{check.answer}; follows from {cause.named()}, so begin there"))
        else:
            told.append(check)
    return sorted(told, key=lambda check: not kept or kept[0] not in check.findings)


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
        setting = setting_of(assembly.recipe().loss, assembly.network, train, self.splits.validation)
        self.setting: Setting = of_config(setting, assembly.config)

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
    """The inputs' size, and the loss and the gradient before the first update."""
    trainer = bench.trainer(batch_size=512, augmentations=())
    x, t = trainer.batches(bench.splits.train).batch(0, 0)
    yield _looked_at("scale of inputs", f"root mean square {magnitude(x):.3g}", input_findings(magnitude(x)))
    network, loss = trainer.network, trainer.recipe.loss
    with np.errstate(all="ignore"):
        value, _ = loss(network.forward(x, training=True), t)
    said = f"{value:.4g}, guessing gives {bench.setting.guessing:.4g}"
    findings = (*last_layer_findings(bench.setting), *start_findings(value, len(t), bench.setting))
    yield _looked_at("loss at start", said, findings)
    yield from _penalty(bench, trainer)
    found = tuple(gradient_findings(network, loss, x, t))
    said = "; ".join(finding.evidence for finding in found) or "the loss falls as it says"
    yield _looked_at("first gradient", said, found)


def _penalty(bench: _Bench, trainer: Trainer) -> Iterator[Check]:
    """What l2 asks for small weights, beside what there is to learn."""
    guess = bench.setting.guessing
    penalty = trainer.recipe.l2.penalty(trainer.network.parameters, trainer.recipe.batch_size)
    if penalty:
        said = f"{penalty:.3g} before the first update, guessing gives a loss of {guess:.3g}"
        found = [Finding(L2_HOLDS, None, said, ("less l2",))] if penalty > HEAVY_PENALTY * guess else []
        yield _looked_at("penalty of l2", said, found)


def _looked_at(name: str, said: str, findings: Iterable[Finding]) -> Check:
    found = tuple(findings)
    return Check(name, "look" if found else "ok", said, found)


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
    remedies: tuple[Remedy, ...] = ("another learning rate", "gradient check")
    found = () if state == "ok" else (Finding(BY_HEART, None, said, remedies),)
    return Check("learns one batch", state, said, found)


def _leakage(report: DataReport) -> Check:
    name, splits = "no example in two splits", ", ".join(report.examples)
    if report.shared:
        return Check(name, "look", "; ".join(shared_suspicions(report.shared)))
    if report.repeated is None and report.input_shape == (1,):
        return Check(name, "ok", "inputs of one number are alike without being copies")
    if report.repeated is None:
        return Check(name, "look", f"{splits} are too large to be compared")
    return Check(name, "ok", f"all inputs of {splits} differ" if len(report.examples) > 1 else "there is one split")


def _balance(report: DataReport, in_force: frozenset[Remedy]) -> Iterator[Check]:
    if not report.classes:
        return
    counts = report.classes["training"]
    least, most = min(counts, key=lambda name: counts[name]), max(counts, key=lambda name: counts[name])
    said = f"from {count(counts[least])} ({least}) to {count(counts[most])} of a class"
    if counts[least] == 0:
        yield Check("balance of classes", "failed", f"{least} has no training example")
    elif counts[most] > IMBALANCE * counts[least]:
        remedy = "" if "balanced classes" in in_force else f"; try {REMEDIES['balanced classes']}"
        yield Check("balance of classes", "look", f"{said} ({most}){remedy}")
    else:
        even = f"{count(counts[least])} training examples of every class"
        yield Check("balance of classes", "ok", even if counts[least] == counts[most] else said)


def _rate(config: Config, rates: list[float], losses: list[float], suggestion: float | None) -> Check:
    own = config.optimizer.build().learning_rate
    name = "learning rate"
    if suggestion is None:
        said = f"no rate up to {rates[-1] if rates else own:.2g} lowers the loss in {RATES} steps"
        if len(losses) == RATES and losses[-1] < 1.3 * losses[0]:  # nor does any raise it
            return _looked_at(name, said, [Finding("updates too small", None, said, ("larger learning rate",))])
        return _looked_at(name, said, [Finding("underfitting", None, said, ("targets that fit inputs",))])
    best = rates[int(np.argmin(losses))]
    said = f"{own:g}; the loss is lowest at {best:.2g}, a tenth of which, {suggestion:.2g}, is a good start"
    if own > 3 * best:
        return _looked_at(name, said, [Finding(EDGE, None, said, ("smaller learning rate",))])
    if own < best / 300:
        return _looked_at(name, said, [Finding("updates too small", None, said, ("larger learning rate",))])
    return Check(name, "ok", said)
