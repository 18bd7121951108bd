"""What watching and diagnosing a training must know of it: the loss of guessing, the layers that learn, the inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.losses import Loss
from nnscratch.nn.network import Network
from nnscratch.training.diagnosis.findings import Finding, Setting
from nnscratch.training.diagnosis.watch import Watch
from nnscratch.training.examples import Examples
from nnscratch.training.optimizers import Optimizer
from nnscratch.training.recipe import prepare_loss
from nnscratch.training.scaling import Affine, scale_targets
from nnscratch.training.trainer import Trainer

BATCH = 250
"""Examples in a look at the inputs, and in a forward pass of a diagnosis."""


def watch(loss: Loss, trainer: Trainer, examples: Examples, tell: Callable[[Finding], None]) -> Watch:
    """What warns during a training on those examples; it has looked at their inputs already."""
    train = scale_targets(examples, trainer.target_affine)
    setting = setting_of(loss, trainer.network, train)
    optimizer = trainer.recipe.optimizer
    measured = measured_layers(trainer.network, optimizer)
    watching = Watch(replace(setting, learning_rate=optimizer.learning_rate, measured=measured), tell)
    watching.last_layer()
    watching.inputs(magnitude(scaled_inputs(train, trainer.affine, train.rows[:BATCH])))
    return watching


def setting_of(loss: Loss, network: Network, train: Examples) -> Setting:
    """What the rules must know; the loss of guessing is that of one constant output for all training examples.

    A regression's targets are to be those that the network learns.
    """
    t, w = train.targets[train.rows], train.own_weights()
    outputs, is_classification = network.output_shape[0], t.ndim == 1
    prepare_loss(loss, train, outputs)
    if loss.includes_softmax:
        guess = np.zeros(outputs)
    elif is_classification:
        guess = np.bincount(t, w, outputs) / len(t)
    else:
        guess = t.mean(axis=0, dtype=np.float64) if w is None else np.average(t, axis=0, weights=w)
    some = slice(None, None, max(1, len(t) // 5000))
    sample, counted = t[some], None if w is None else w[some] / np.mean(w[some])
    value, _ = loss.weighted(np.tile(guess, (len(sample), 1)), sample, counted)
    return Setting(
        guessing=float(value),
        is_cross_entropy=loss.includes_softmax,
        classes=outputs if is_classification else None,
        layers=trainable_layers(network),
        kinds=frozenset(layer.name for layer in network.walk()),
        weight_init=network.parameters.weight_init.name,
        outputs=outputs,
        last=network.layers[-1].name,
    )


def trainable_layers(network: Network) -> tuple[str, ...]:
    """The layers whose numbers an optimizer changes, in the network's order; `4.residual.0.conv` for nested ones."""
    paths = {name.rpartition(".")[0] for name in network.parameters.trainable_names}
    return tuple(sorted(paths, key=lambda path: [int(part) for part in path.split(".") if part.isdecimal()]))


def measured_layers(network: Network, optimizer: Optimizer) -> tuple[str, ...]:
    """Those with a matrix or kernels, unless the optimizer steps relatively: vectors start at 0, and may double."""
    if optimizer.steps_relatively:
        return ()
    named = network.parameters.named()
    with_matrix = {name.rpartition(".")[0] for name, array in named.items() if array.ndim > 1}
    return tuple(layer for layer in trainable_layers(network) if layer in with_matrix)


def scaled_inputs(examples: Examples, affine: Affine, rows: Array) -> Array:
    stored = examples.inputs[rows]
    return affine.apply(stored, np.empty(stored.shape, np.float32))


def magnitude(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))
