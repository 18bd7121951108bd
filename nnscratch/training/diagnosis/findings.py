"""What goes wrong in training and how it shows: rules that read recorded numbers and name problem, layer and remedy.

The thresholds are wide on purpose: a healthy run must hear nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from nnscratch.component import catalogue
from nnscratch.nn.layers.activations import Activation, bounds_of

Row = Mapping[str, float]

Remedy: TypeAlias = Literal[
    "standardized inputs", "standardized targets and inputs", "smaller starting weights", "he initialization",
    "xavier initialization", "smaller learning rate", "smaller learning rate at the start",
    "learning rate 3 to 10 times smaller", "far smaller learning rate", "larger learning rate", "another learning rate",
    "warm-up", "warm-up and cosine", "clipping", "relu", "relu instead of sigmoid", "relu instead of tanh",
    "leaky relu", "batch norm", "residual layers", "fewer layers", "smaller network", "larger network", "more epochs",
    "early stopping", "more data", "augmentation", "dropout", "l2", "less l2", "less dropout", "less clipping",
    "trained layers", "balanced classes", "linear outputs", "targets that fit inputs", "labels that fit inputs",
    "gradient check", "weights written in place",
]  # fmt: skip
"""What may help, in words of its own: who tells a user says them in the words of a config."""

FAR_FROM_GUESSING = 8.0
"""How many nats above guessing the first loss may be: He and maximum pooling give 2 to 6.5, inputs to 255 hundreds."""
TIMES_GUESSING, OF_STANDARDIZED = 6.0, 25.0
"""How many times that of guessing it may be otherwise. He-initialised outputs give about 3, in one of 20 cases 6, and
in one of 400 20: where inputs and targets are standardized, that is only a bad draw, which training soon mends."""
HEAVY_DROPOUT, HEAVY_PENALTY = 0.8, 10.0
"""A rate, and a penalty in losses of guessing, from which they are more likely than the learning rate to be at fault.
Weights that are divided again after them, as by a batch norm, live with a penalty of one or two."""
FEW_EXAMPLES = 4
"""Of so many examples the first loss may lie twice as far above, of one five times."""
LARGEST_INPUT = 10.0
DEAD, SATURATED = 0.95, 0.6
"""The shares of a layer from which it is named. Networks learn well with 80 % of a ReLU layer's units always zero."""


@dataclass(frozen=True)
class Finding:
    """A problem by name, the layer it sits in (None: the whole network), the numbers that show it, what to try."""

    problem: str
    layer: str | None
    evidence: str
    remedies: tuple[Remedy, ...]
    """Any of them may help."""
    consequences: tuple[str, ...] = ()
    """Other problems that follow from this one."""

    def named(self) -> str:
        """`dead units in 2.relu`."""
        return f"{self.problem} in {self.layer}" if self.layer else self.problem


@dataclass(frozen=True)
class Setting:
    """What the rules must know of a training besides its numbers."""

    guessing: float
    """The loss of always predicting the training targets' mean or class frequencies."""
    is_cross_entropy: bool
    classes: int | None
    """None for regression."""
    layers: tuple[str, ...]
    """The paths of the layers with trainable parameters, in order."""
    kinds: frozenset[str] = frozenset()
    """Which layers there are, by name."""
    weight_init: str = ""
    learning_rate: float | None = None
    """The configured one, before any schedule."""
    measured: tuple[str, ...] | None = None
    """The layers for whose updates there is a usual size; None: all."""
    outputs: int = 0
    last: str = ""
    """The name of the network's last layer."""
    is_frozen: bool = False
    """None of its matrices and kernels is trained, and there are some."""
    dropout: float = 0.0
    """The largest rate of a dropout layer."""
    clip_norm: float | None = None
    chance: float | None = None
    """The accuracy of labels drawn as often as the training's are; None: of all equally often."""
    held_out: int = 0
    """Examples in the validation split."""
    held_out_guessing: float | None = None
    """The loss there of always predicting the training's class frequencies; None where it is not known."""
    starts_trained: bool = False
    """Its first weights are another run's, and may begin anywhere."""
    taken: frozenset[Remedy] = frozenset()
    """Remedies that the config has taken already."""

    @property
    def in_force(self) -> frozenset[Remedy]:
        """Those that the config or the network has already, which nobody is to be advised."""
        own: dict[Remedy, bool] = {
            "he initialization": self.weight_init == "he",
            "xavier initialization": self.weight_init == "xavier",
            "batch norm": bool(self.kinds & {"batch_norm", "layer_norm"}),
            "residual layers": "residual" in self.kinds,
            "dropout": self.dropout > 0,
        }
        return self.taken | {remedy for remedy, has in own.items() if has}


@dataclass(frozen=True)
class UnitStatistics:
    """What an activation layer did on a sample: the share of its units that are dead, or of its outputs saturated."""

    layer: str
    kind: str
    dead: float = 0.0
    saturated: float = 0.0


def input_findings(magnitude: float) -> Iterator[Finding]:
    """From the root mean square of the network's inputs after scaling."""
    if magnitude > LARGEST_INPUT:
        yield Finding(
            "unscaled inputs",
            None,
            f"the inputs' root mean square is {magnitude:.3g}, far above 1",
            ("standardized inputs",),
        )


def last_layer_findings(setting: Setting) -> Iterator[Finding]:
    """Outputs whose bounds keep the loss from what it could be: of logits, and of a softmax that has one number.

    And a network of which all weights are frozen.
    """
    if setting.is_frozen:
        yield Finding("no weights are trained", None, "the weights of every layer are frozen", ("trained layers",))
    low, high = bounds_of(catalogue(Activation).get(setting.last, Activation))
    if setting.last == "softmax" and setting.outputs == 1:
        evidence = "the softmax of one output is 1, whatever the inputs"
    elif setting.is_cross_entropy and setting.outputs > 1 and all(map(math.isfinite, (low, high))):
        least = math.log1p((setting.outputs - 1) * math.exp(low - high))
        between = f"the last layer, {setting.last}, gives numbers from {low:g} to {high:g}"
        evidence = f"{between}, of which softmax makes a loss of {least:.3g} at best"
    else:
        return
    yield Finding("bounded outputs", None, evidence, ("linear outputs",))


def start_findings(first_loss: float, examples: int, setting: Setting) -> Iterator[Finding]:
    """From the loss of examples before the first update, which should be about that of guessing: ln K for K classes."""
    guess, wider = setting.guessing, 1 + FEW_EXAMPLES / examples
    is_logarithm = setting.is_cross_entropy and math.isclose(guess, math.log(setting.classes or 1), rel_tol=1e-6)
    name = f"ln({setting.classes}) = {guess:.3g}" if is_logarithm else f"{guess:.3g}"
    times = OF_STANDARDIZED if "standardized targets and inputs" in setting.in_force else TIMES_GUESSING
    allowed = guess + FAR_FROM_GUESSING * wider if setting.is_cross_entropy else guess * times * wider
    if not first_loss <= allowed:
        dropped: tuple[Remedy, ...] = ("less dropout",) if setting.dropout > HEAVY_DROPOUT else ()
        scaled: Remedy = "standardized inputs" if setting.classes else "standardized targets and inputs"
        yield Finding(
            "loss at start far from guessing",
            None,
            f"{first_loss:.4g} before the first update, guessing gives {name}",
            (*dropped, scaled, "smaller starting weights"),
        )


def divergence_findings(message: str, learning_rate: float) -> Iterator[Finding]:
    """From what a training that ended in nan or infinity said."""
    yield Finding(
        "diverged",
        None,
        f"{message}, at learning rate {learning_rate:g}",
        ("far smaller learning rate", "clipping", "standardized inputs"),
    )


def unit_findings(statistics: Sequence[UnitStatistics]) -> Iterator[Finding]:
    """From what the activation layers did on a sample of examples."""
    for each in statistics:
        if each.dead >= DEAD:
            yield Finding(
                "dead units",
                each.layer,
                f"{100 * each.dead:.0f} % of the {each.kind} units are zero for every example, "
                "so no gradient reaches them",
                ("smaller learning rate", "he initialization", "leaky relu"),
            )
        if each.saturated >= SATURATED:
            yield Finding(
                "saturated units",
                each.layer,
                f"{100 * each.saturated:.0f} % of the {each.kind} outputs lie where the slope is below a hundredth "
                "of its peak",
                ("standardized inputs", "xavier initialization", "smaller learning rate", "relu"),
            )


def output_findings(output: UnitStatistics, history: Sequence[Row], setting: Setting) -> Iterator[Finding]:
    """From an activation that ends the network: saturated outputs are well where they are right, not where they err."""
    if output.saturated < SATURATED or not history:
        return
    loss = history[-1]["train_loss"]
    if loss > 0.8 * setting.guessing:
        yield Finding(
            "saturated outputs",
            output.layer,
            f"{100 * output.saturated:.0f} % of the network's {output.kind} outputs lie where the slope is below a "
            f"hundredth of its peak, with train_loss {loss:.4g}, and guessing gives {setting.guessing:.4g}",
            ("standardized inputs", "smaller starting weights", "smaller learning rate"),
        )


def prediction_findings(predicted: Sequence[int], actual: Sequence[int], classes: Sequence[str]) -> Iterator[Finding]:
    """From how often each class was predicted, and how often it was right to, in a sample."""
    total, largest = sum(actual), max(actual)
    never = [(name, m) for name, n, m in zip(classes, predicted, actual, strict=True) if n == 0 and m]
    rare = any(m < largest / 2 for _, m in never)
    balance: tuple[Remedy, ...] = ("balanced classes",) if rare else ()
    if never and sum(n > 0 for n in predicted) == 1 and total - actual[predicted.index(max(predicted))] > 1:
        always = predicted.index(max(predicted))
        yield Finding(
            "one class always predicted",
            None,
            f"{classes[always]} for each of {total} examples, which is right for {100 * actual[always] / total:.1f} %",
            (*balance, "another learning rate", "more epochs"),
        )
    often = [name for name, m in never if m >= 10]
    if often:
        yield Finding(
            "classes never predicted",
            None,
            f"{', '.join(often)}: not once in {total} examples, about {total // len(actual)} of each class",
            (*balance, "more epochs", "another learning rate"),
        )
