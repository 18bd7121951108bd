"""What a first training of somebody's own data should be: one rule by its size, found as docs/benchmarks.md says."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

from nnscratch.datasets.dataset import Dataset

UPDATES = 3000
"""In a whole training, of small data; of large data an epoch alone may be more."""
FEWEST_EPOCHS = 20
LARGEST_BATCH = 128
FEWEST_FOR_VALIDATION = 1000
"""Fewer training examples are all learned from: a tenth of them chooses an epoch no better than chance does."""
STRONGEST_L2 = 0.05


@dataclass(frozen=True)
class Recipe:
    """The values of a config that depend on the data."""

    loss: str
    hidden_layers: list[int] | None
    """None for pictures, whose `layers` are convolutions."""
    layers: list[Any] | None
    l2: float
    learning_rate: float
    epochs: int
    batch_size: int
    validation: float


def recipe_for(dataset: Dataset) -> Recipe:
    """The recipe for a dataset of N training examples of D features.

    A penalty of 10 / N weighs as much as ten examples would: the weights stay near those of a linear model unless the
    data speak for more. Of fewer than eight features, by which less can be overfitted, it is D / 8 of that. The cosine
    schedule ends with steps of 0, so that the last weights are as good as the best.
    """
    examples = len(dataset.train_targets)
    is_table = len(dataset.input_shape) == 1
    fewest = 1 if is_table else min(16, examples)  # batch normalization needs some
    batch_size = max(fewest, min(LARGEST_BATCH, examples // 16))
    epochs = max(FEWEST_EPOCHS, ceil(UPDATES * batch_size / examples))
    return Recipe(
        loss="cross_entropy" if dataset.task == "classification" else "mean_squared_error",
        hidden_layers=_widths(examples) if is_table else None,
        layers=None if is_table else _convolutions(dataset.input_shape),
        l2=_penalty(examples, dataset.input_shape[0]) if is_table else 5e-4,
        learning_rate=2e-3 if is_table else 1e-3,
        epochs=epochs,
        batch_size=batch_size,
        validation=0.1 if examples >= FEWEST_FOR_VALIDATION or dataset.validation_inputs is not None else 0,
    )


def _widths(examples: int) -> list[int]:
    return [64] if examples < 5_000 else [128, 64] if examples < 50_000 else [256, 128]


def _convolutions(shape: tuple[int, ...]) -> list[Any]:
    """A convolution and a halving until eight pixels or fewer are left on the shorter side, but four times at most."""
    layers: list[Any] = []
    side, channels = min(shape[:2]), 16
    while side > 8 and channels < 256:
        channels, side = 2 * channels, side // 2
        layers += [{"conv": {"channels": channels, "kernel": 3, "padding": "same"}}, "batch_norm", "relu"]
        layers.append({"max_pool": 2})
    return [*layers, "flatten", {"dense": 64}, "relu", {"dropout": 0.3}, "dense"]


def _penalty(examples: int, features: int) -> float:
    strength = min(STRONGEST_L2, 10 / examples) * min(1, features / 8)
    return float(f"{strength:.2g}")
