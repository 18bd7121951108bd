"""What an epoch's rows show of a training, at any time during it or after: gradients, updates, overfitting.

The thresholds are wide on purpose: a healthy run must hear nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import takewhile

from nnscratch.training.diagnosis.causes import L2_HOLDS, UNMOVED
from nnscratch.training.diagnosis.findings import HEAVY_DROPOUT, HEAVY_PENALTY, Finding, Remedy, Row, Setting

SMALLEST_GRADIENT_SHARE, OF_SIGMOIDS = 1e-4, 1e-2
"""A layer with less of the largest norm hardly learns; the second of sigmoid or tanh, in a network that guesses."""
LARGEST_GRADIENT = 1e3
"""For losses around 1; where guessing gives more (a regression in its own units), in proportion."""
UPDATE_RATIOS = (1e-6, 0.1)
"""Healthy ones lie around 1e-3; outside of these a layer stands still or jumps."""
GAP, LOSS_RISE = 0.1, 1.3
"""Overfitting: training accuracy above validation accuracy by the one, validation loss above its best by the other."""
LEARNED, SMALLER_GAP = 0.99, 0.08
"""Overfitting as well: hardly a training example left to learn from, and validation accuracy so far below."""
LEARNT_HALF, NEAR_GUESSING, SURE_EPOCHS = 0.5, 0.1, 3
"""Learning by heart: training accuracy this far from guessing to all right, validation accuracy over so many epochs no
farther than that from guessing, nor than half of guessing, nor than chance explains."""
FEWEST_HELD_OUT, HARDLY_BETTER = 30, 0.98
"""No fewer validation examples say so, and none whose loss was at any time below this share of guessing's there: what a
network has learnt of them, overfitting may have cost it by now."""
LOWERED = 0.1
"""Of the highest learning rate; below, weights that a training has found may well stay as they are."""
SLOW = 3e-4
"""Updates that could be larger, as shares of the weights, where a training was too short."""
CLIPPED = 10.0
"""Nearly all gradients are clipped where their norm is on average so many times what it is clipped to."""
STILL_FALLING = 0.01
"""A training that was too short: its loss fell over the last two epochs by more than this share of guessing's."""


def history_findings(history: Sequence[Row], setting: Setting) -> Iterator[Finding]:
    """From the epochs' rows, at any time during or after training."""
    if not history:
        return
    yield from _gradients(history, setting)
    yield from _update_ratios(history, setting)
    yield from _instability(history, setting)
    yield from _overfitting(history, setting)


def final_findings(history: Sequence[Row], setting: Setting) -> Iterator[Finding]:
    """From all rows, once training has ended."""
    if len(history) < 3:
        return
    final = history[-1]["train_loss"]
    if final > 0.8 * setting.guessing and not any(_instability(history, setting)):
        evidence = f"train_loss {final:.4g} after {len(history)} epochs, guessing gives {setting.guessing:.4g}"
        before, small = history[-3]["train_loss"], tuple(_small_steps(history, setting))
        if before - final > STILL_FALLING * setting.guessing:
            falls = f"{evidence}; it still falls, from {before:.4g} two epochs before"
            yield Finding("training too short", None, falls, (*small, "more epochs"))
        elif held := _held_down(history):
            yield Finding(L2_HOLDS, None, f"{evidence}; {held}", ("less l2",))
        else:
            more: tuple[Remedy, ...] = ("larger network", "targets that fit inputs")
            rate: tuple[Remedy, ...] = () if "larger learning rate" in small else ("another learning rate",)
            yield Finding("underfitting", None, evidence, (*small, *rate, *more))


def _small_steps(history: Sequence[Row], setting: Setting) -> Iterator[Remedy]:
    """What lets a training take larger steps, or what keeps it from learning at any."""
    yield from _less_l2(history, setting)
    yield from _less_dropout(setting)
    if setting.clip_norm and history[-1].get("gradient_norm", 0.0) > CLIPPED * setting.clip_norm:
        yield "less clipping"
    layers = setting.layers if setting.measured is None else setting.measured
    ratios = [row[name] for row in history[1:] for name in (f"update_ratio/{layer}" for layer in layers) if name in row]
    if ratios and max(ratios) < SLOW:
        yield "larger learning rate"


def _less_l2(history: Sequence[Row], setting: Setting) -> tuple[Remedy, ...]:
    return ("less l2",) if history[0].get("penalty", 0.0) > HEAVY_PENALTY * setting.guessing else ()


def _less_dropout(setting: Setting) -> tuple[Remedy, ...]:
    return ("less dropout",) if setting.dropout > HEAVY_DROPOUT else ()


def _held_down(history: Sequence[Row]) -> str:
    """Says that the loss rose because of l2: its penalty fell by more, so that their sum, which is minimised, fell."""
    best, last = min(history, key=lambda row: row["train_loss"]), history[-1]
    before, after = best.get("penalty", 0.0), last.get("penalty", 0.0)
    rose = last["train_loss"] - best["train_loss"]
    if not 0 < rose < before - after:
        return ""
    return f"it rose from {best['train_loss']:.4g} while the penalty of l2 fell from {before:.4g} to {after:.4g}"


def _gradients(history: Sequence[Row], setting: Setting) -> Iterator[Finding]:
    row = history[-1]
    norms = _gradient_norms(row, setting)
    if not norms:
        return
    largest_allowed = LARGEST_GRADIENT * (1.0 if setting.is_cross_entropy else max(1.0, setting.guessing))
    largest = max(norms, key=lambda layer: norms[layer])
    still_guesses = row["train_loss"] > 0.9 * setting.guessing and setting.kinds & {"sigmoid", "tanh"}
    least = (OF_SIGMOIDS if still_guesses else SMALLEST_GRADIENT_SHARE) * norms[largest]
    weak = list(takewhile(lambda layer: norms[layer] < least, norms))  # on the way back it vanishes for good
    if weak:
        others = f"; so it is in {len(weak)} of {len(norms)} layers" if len(weak) > 1 else ""
        yield Finding(
            "vanishing gradients",
            weak[0],
            f"gradient norm {norms[weak[0]]:.2g} beside {norms[largest]:.2g} in {largest}{others}",
            _against_vanishing(history, largest_allowed, setting),
        )
    if norms[largest] > largest_allowed:
        yield Finding(
            "exploding gradients",
            largest,
            f"gradient norm {norms[largest]:.3g} in epoch {int(row['epoch'])}",
            ("clipping", "smaller learning rate", "standardized inputs"),
        )


def _gradient_norms(row: Row, setting: Setting) -> dict[str, float]:
    return {layer: row[f"gradient_norm/{layer}"] for layer in setting.layers if f"gradient_norm/{layer}" in row}


def _against_vanishing(history: Sequence[Row], largest_allowed: float, setting: Setting) -> tuple[Remedy, ...]:
    """What helps networks of these kinds."""
    exploded = any(max(_gradient_norms(row, setting).values(), default=0.0) > largest_allowed for row in history)
    if exploded or any(_instability(history, setting)):
        return ("smaller learning rate at the start",)
    remedies: list[Remedy] = []
    remedies += ["relu instead of sigmoid"] if "sigmoid" in setting.kinds else []
    remedies += ["relu instead of tanh"] if "tanh" in setting.kinds else []
    return (*remedies, "he initialization", "batch norm", "residual layers", "fewer layers")


def _highest_rate(history: Sequence[Row], index: int) -> float:
    """The highest learning rate of an epoch; NaN where it is not known.

    A row has the rate of its epoch's last step only; the step before an epoch's first is the last of the epoch before.
    """
    ends = [row["learning_rate"] for row in history[max(index - 1, 0) : index + 1] if "learning_rate" in row]
    return max(ends, default=math.nan)


def _rate(history: Sequence[Row], index: int, setting: Setting) -> str:
    """The configured learning rate, and the highest of that epoch where a schedule has lowered it much."""
    highest = _highest_rate(history, index)
    if setting.learning_rate is None:
        return f"learning_rate {highest:.3g}"
    lowered = f", {highest:.3g} in this epoch" if index and highest < 0.5 * setting.learning_rate else ""
    return f"learning_rate {setting.learning_rate:.3g}{lowered}"


def _update_ratios(history: Sequence[Row], setting: Setting) -> Iterator[Finding]:
    """Of the last epoch, but not the first, in which weights that start at zero must jump."""
    if len(history) < 2:
        return
    row = history[-1]
    # A schedule that ends near zero makes small steps on purpose.
    rates = [_highest_rate(history, index) for index in range(len(history))]
    share = rates[-1] / max(rates) if "learning_rate" in row else 1.0
    layers = setting.layers if setting.measured is None else setting.measured
    ratios = {layer: row[f"update_ratio/{layer}"] for layer in layers if f"update_ratio/{layer}" in row}
    low, high = UPDATE_RATIOS
    pushed = _gradient_norms(row, setting)
    moves = share > LOWERED  # else what it adds may be beyond the last digit
    unmoved = [layer for layer, ratio in ratios.items() if moves and ratio == 0 < pushed.get(layer, 0.0)]
    if unmoved:
        evidence = f"each update changes them by 0, though their gradient has a norm of {pushed[unmoved[0]]:.2g}"
        yield Finding(UNMOVED, unmoved[0], evidence, ("weights written in place", "larger learning rate"))
    too_large = [layer for layer, ratio in ratios.items() if ratio > high]
    too_small = [layer for layer, ratio in ratios.items() if 0 < ratio < low * share]
    against_large: tuple[Remedy, ...] = (*_less_l2(history, setting), "smaller learning rate", "warm-up and cosine")
    against_small: tuple[Remedy, ...] = tuple(dict.fromkeys((*_small_steps(history, setting), "larger learning rate")))
    for problem, chosen, remedies in (
        ("updates too large", too_large, against_large),
        ("updates too small", too_small, against_small),
    ):
        if chosen:
            worst = max(chosen, key=lambda layer: abs(math.log(ratios[layer])))
            others = f", and {len(chosen) - 1} more layers like it" if len(chosen) > 1 else ""
            evidence = f"each update changes the weights by {ratios[worst]:.2g} of their size, usual is 1e-3{others}"
            yield Finding(problem, worst, evidence, remedies)


def _instability(history: Sequence[Row], setting: Setting) -> Iterator[Finding]:
    """The training loss, a mean over an epoch, far above guessing, or far above where it has been."""
    best = math.inf
    for index, row in enumerate(history):
        loss = row["train_loss"]
        # Outputs that start far from a regression's targets, or that another run learned for other classes, are no
        # sign of it, as long as they come closer.
        falling = loss < best and (setting.classes is None or setting.starts_trained)
        above_guessing = loss > 3 * setting.guessing and not falling
        risen = loss > 1.3 * best and loss - best > 0.1 * setting.guessing
        if risen and (held := _held_down(history[: index + 1])):
            yield Finding(L2_HOLDS, None, f"train_loss {loss:.4g} in epoch {int(row['epoch'])}; {held}", ("less l2",))
            return
        if not math.isfinite(loss) or above_guessing or risen:
            before = f"after {best:.4g}" if risen else f"guessing gives {setting.guessing:.4g}"
            yield Finding(
                "learning rate at the edge of divergence",
                None,
                f"train_loss {loss:.4g} in epoch {int(row['epoch'])}, {before}, at {_rate(history, index, setting)}",
                (*_less_dropout(setting), "learning rate 3 to 10 times smaller", "clipping", "warm-up"),
            )
            return
        best = min(best, loss)


def _overfitting(history: Sequence[Row], setting: Setting) -> Iterator[Finding]:
    row = history[-1]
    if "val_loss" not in row or len(history) < 3:
        return
    best = min(each["val_loss"] for each in history)
    gap = row.get("train_accuracy", 1.0) - row.get("val_accuracy", 0.0)
    rose = row["val_loss"] > LOSS_RISE * best and row["train_loss"] < best and gap > GAP
    learned = setting.classes is not None and row["train_accuracy"] >= LEARNED and gap > SMALLER_GAP
    if rose or learned:
        figures = [100 * row[f"{split}_accuracy"] for split in ("train", "val") if setting.classes]
        accuracies = "accuracy {:.1f} % against {:.1f} %".format(*figures) if figures else ""
        rise = f"val_loss rose from {best:.4g} to {row['val_loss']:.4g} while train_loss is {row['train_loss']:.4g}"
        rest = "training examples are learned, so that no gradient is left to learn more from"
        yield Finding(
            "overfitting",
            None,
            "; ".join(part for part in (rise if rose else rest, accuracies) if part),
            ("more data", "augmentation", "l2", "dropout", "smaller network", "early stopping"),
        )
    if setting.classes and len(history) >= 5:
        chance = setting.chance or 1 / setting.classes
        learnt = (row["train_accuracy"] - chance) / max(1 - chance, 1e-9)
        latest = sum(each["val_accuracy"] for each in history[-SURE_EPOCHS:]) / SURE_EPOCHS
        spread = 2 * math.sqrt(chance * (1 - chance) / max(setting.held_out, 1))
        is_guessing = latest - chance < min(NEAR_GUESSING * (1 - chance), chance / 2, spread)
        never_better = setting.held_out_guessing is None or best > HARDLY_BETTER * setting.held_out_guessing
        if learnt > LEARNT_HALF and is_guessing and never_better and setting.held_out >= FEWEST_HELD_OUT:
            yield Finding(
                "learning by heart",
                None,
                f"train_accuracy {100 * row['train_accuracy']:.1f} %, but val_accuracy {100 * latest:.1f} % (the mean "
                f"of {SURE_EPOCHS} epochs) is guessing ({100 * chance:.0f} %)",
                ("labels that fit inputs", "more data", "l2", "smaller network", "early stopping"),
            )
