"""What watching and diagnosing a training must know of it: the loss of guessing, the layers that learn, the inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layers import Dropout
from nnscratch.nn.losses import Loss
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
    matrices = {name for name, shape in network.parameters.shapes.items() if len(shape) > 1}
    return Setting(
        guessing=float(value),
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
