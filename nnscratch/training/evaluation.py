"""How good a network is on a split: mean loss, accuracy, and its outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnscratch.errors import UserError
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.communicator import ALONE, Communicator
from nnscratch.nn.losses import Loss, value_and_gradient
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
    network: Network,
    loss: Loss,
    batches: Batches,
    outputs: Array | None = None,
    views: Kind = "none",
    communicator: Communicator = ALONE,
) -> Score:
    """The mean loss (without penalty) and the accuracy over all batches; the raw outputs go into `outputs` (N, K).

    The outputs are averaged over that kind of views of every image. Processes share out the batches, and all get what
    one alone would.
    """
    seen, size = len(batches.examples), batches.batch_size
    of_batches = np.zeros((len(batches), 2))
    for index in range(len(batches))[communicator.share(len(batches))]:
        x, t = batches.load(index)
        y = averaged_outputs(network, x, views)
        if outputs is not None:
            outputs[index * size : index * size + len(t)] = y
        correct = count_correct(y, t)
        value, _ = value_and_gradient(loss, y, t, batches.weights(index))
        of_batches[index] = float(value) * len(t), correct
    if outputs is not None:
        shares = [communicator.share_of(rank, len(batches)).start for rank in range(communicator.size)]
        rows = [*(min(start * size, seen) for start in shares), seen]
        communicator.all_gather(outputs.reshape(-1), [row * outputs[0].size for row in rows])
    total, correct = (sum(column) for column in communicator.sum(of_batches).T.tolist())
    accuracy = correct / seen if batches.examples.targets.ndim == 1 else None
    return Score(total / seen, accuracy, seen)


def require_finite(y: Array) -> None:
    """Raises UserError when some example's outputs, rows of y, are nan or inf: no figure of them means anything."""
    bad = np.flatnonzero(~np.isfinite(y).all(axis=1))
    if len(bad):
        such = f"for {len(bad)} of {len(y)} examples" if len(bad) > 1 else "for an example"
        raise UserError(f"the network's outputs are not finite {such}, the first of them number {bad[0]}")


def count_correct(y: Array, t: Array) -> int:
    """How many examples have their largest output at their label; 0 for regression."""
    return int(np.count_nonzero(np.argmax(y, axis=1) == t)) if t.ndim == 1 else 0
