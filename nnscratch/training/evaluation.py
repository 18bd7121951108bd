"""How good a network is on a split: mean loss, accuracy, and its outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.losses import Loss
from nnscratch.nn.network import Network
from nnscratch.training.batches import Batches
from nnscratch.training.test_time_augmentation import Kind, averaged_outputs


@dataclass(frozen=True)
class Score:
    """Means over a split; accuracy is None for regression. Weights of examples count in the loss alone."""

    loss: float
    accuracy: float | None
    examples: int


def evaluate(
    network: Network, loss: Loss, batches: Batches, outputs: Array | None = None, views: Kind = "none"
) -> Score:
    """The mean loss (without penalty) and the accuracy over all batches; the raw outputs go into `outputs` (N, K).

    The outputs are averaged over that kind of views of every image.
    """
    total, correct, seen = 0.0, 0, 0
    for index, (x, t) in enumerate(batches):
        y = averaged_outputs(network, x, views)
        if outputs is not None:
            outputs[seen : seen + len(t)] = y
        value, _ = loss.weighted(y, t, batches.weights(index))
        total += float(value) * len(t)
        correct += count_correct(y, t)
        seen += len(t)
    accuracy = correct / seen if batches.examples.targets.ndim == 1 else None
    return Score(total / seen, accuracy, seen)


def count_correct(y: Array, t: Array) -> int:
    """How many examples have their largest output at their label; 0 for regression."""
    return int(np.count_nonzero(np.argmax(y, axis=1) == t)) if t.ndim == 1 else 0
