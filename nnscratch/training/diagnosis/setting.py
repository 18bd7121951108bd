"""What watching and diagnosing a training must know of it: the loss of guessing, the layers that learn, the inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layers import Dropout
from nnscratch.nn.losses import Loss, value_and_gradient
from nnscratch.nn.network import Network
from nnscratch.training.diagnosis.findings import Finding, Setting
from nnscratch.training.diagnosis.watch import Watch
from nnscratch.training.examples import Examples
from nnscratch.training.optimizers import Optimizer
from nnscratch.training.recipe import prepare_loss
from nnscratch.training.scaling import Affine
from nnscratch.training.trainer import Trainer

BATCH = 250
"""Examples in a look at the inputs, and in a forward pass of a diagnosis."""


def watch(setting: Setting, trainer: Trainer, examples: Examples, tell: Callable[[Finding], None]) -> Watch:
    """What warns during a training on those examples; it has looked at their inputs already."""
    measured = measured_layers(trainer.network, trainer.recipe.optimizer)
    watching = Watch(replace(setting, measured=measured), tell)
    watching.last_layer()
    watching.inputs(magnitude(scaled_inputs(examples, trainer.affine, examples.rows[:BATCH])))
    return watching


def setting_of(loss: Loss, network: Network, train: Examples, validation: Examples | None = None) -> Setting:
    """What the rules must know; the loss of guessing is that of one constant output for all training examples.

    A regression's targets are to be those that the network learns.
    """
    t, w = train.targets[train.rows], train.own_weights()
    outputs, is_classification = network.output_shape[0], t.ndim == 1
    frequencies = np.bincount(t, w, outputs) / len(t) if is_classification else None
    prepare_loss(loss, train, outputs)
    if loss.includes_softmax:
        guess = np.zeros(outputs)
    elif frequencies is not None:
        guess = frequencies
    else:
        guess = t.mean(axis=0, dtype=np.float64) if w is None else np.average(t, axis=0, weights=w)
    matrices = {name for name, shape in network.parameters.shapes.items() if len(shape) > 1}
    return Setting(
        guessing=_loss_of_constant(loss, guess, train),
        is_cross_entropy=loss.includes_softmax,
        classes=outputs if is_classification else None,
        layers=trainable_layers(network),
        kinds=frozenset(layer.name for layer in network.walk()),
        weight_init=network.parameters.weight_init.name,
        outputs=outputs,
        last=network.layers[-1].name,
        is_frozen=bool(matrices) and not matrices & set(network.parameters.trainable_names),
        dropout=max((layer.rate for layer in network.walk() if isinstance(layer, Dropout)), default=0.0),
        chance=float(np.sum(np.square(np.bincount(t) / len(t)))) if is_classification else None,
        held_out=0 if validation is None else len(validation),
        held_out_guessing=_held_out_guessing(loss, frequencies, validation) if validation is not None else None,
    )


def _loss_of_constant(loss: Loss, outputs: Array, examples: Examples) -> float:
    """Of some 5,000 examples, each of which gets the same outputs."""
    rows = examples.rows[:: max(1, len(examples) // 5000)]
    w = None if examples.weights is None else examples.weights[rows] / np.mean(examples.weights[rows])
    return float(value_and_gradient(loss, np.tile(outputs, (len(rows), 1)), examples.targets[rows], w)[0])


def _held_out_guessing(loss: Loss, frequencies: Array | None, validation: Examples) -> float | None:
    """Of the classes' frequencies, or where their weights make it the smaller one, of all classes alike."""
    if frequencies is None or not len(validation):
        return None
    constants = [frequencies, np.full_like(frequencies, 1 / len(frequencies))]
    if loss.includes_softmax:
        constants = [np.log(np.maximum(p, 1e-6)) for p in constants]
    return min(_loss_of_constant(loss, each, validation) for each in constants)


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
