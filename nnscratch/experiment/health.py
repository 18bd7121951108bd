"""What watching and diagnosing a training must know of it: the loss of guessing, the layers that learn, the inputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nnscratch.datasets.dataset import Dataset
from nnscratch.experiment.assembly import Splits
from nnscratch.experiment.config import Config
from nnscratch.nn.buffers import Array
from nnscratch.nn.losses import Loss
from nnscratch.nn.network import Network
from nnscratch.training.diagnosis import Setting, Watch
from nnscratch.training.examples import Examples
from nnscratch.training.scaling import Affine

Tell = Callable[[str], None]

BATCH = 250
"""Examples in a look at the inputs, and in a forward pass of a diagnosis."""


def watch(config: Config, dataset: Dataset, splits: Splits, network: Network, affine: Affine, tell: Tell) -> Watch:
    """What warns during a training; it has looked at the inputs already."""
    loss = config.loss.build()
    watching = Watch(setting_of(loss, network, dataset, splits), tell)
    watching.inputs(magnitude(scaled_inputs(splits.train, affine, splits.train.rows[:BATCH])))
    return watching


def setting_of(loss: Loss, network: Network, dataset: Dataset, splits: Splits) -> Setting:
    """What the rules must know; the loss of guessing is that of one constant output for all training examples."""
    rows = splits.train.rows
    t = dataset.train_targets[rows]
    loss.prepare(t, dataset.outputs)
    if loss.includes_softmax:
        guess = np.zeros(dataset.outputs)
    elif dataset.task == "classification":
        guess = np.bincount(t, minlength=dataset.outputs) / len(t)
    else:
        guess = t.mean(axis=0, dtype=np.float64)
    sample = t[:: max(1, len(t) // 5000)]
    value, _ = loss(np.tile(guess, (len(sample), 1)), sample)
    classes = dataset.outputs if dataset.task == "classification" else None
    return Setting(float(value), loss.includes_softmax, classes, trainable_layers(network))


def trainable_layers(network: Network) -> tuple[str, ...]:
    """The layers whose numbers an optimizer changes, in the network's order; `4.residual.0.conv` for nested ones."""
    paths = {name.rpartition(".")[0] for name in network.parameters.trainable_names}
    return tuple(sorted(paths, key=lambda path: [int(part) for part in path.split(".") if part.isdecimal()]))


def scaled_inputs(examples: Examples, affine: Affine, rows: Array) -> Array:
    stored = examples.inputs[rows]
    return affine.apply(stored, np.empty(stored.shape, np.float32))


def magnitude(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))
