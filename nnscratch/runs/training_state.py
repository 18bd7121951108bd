"""What a checkpoint of a training holds, and how it is put back: the one place that knows the arrays' names.

parameters/<name>            the weights that count: averaged ones when averaging
state/<name>                 running statistics that go with them
trained/<name>               the weights that training goes on from, when they are others
trained_state/<name>         and their running statistics
optimizer/<vector>/<name>    the optimizer's memory
best/<name>, best_state      the best epoch's weights so far
scaling/...                  how inputs are scaled
target_scaling/...           how a regression's targets are; ..._rest is what float32 has no digits for
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nnscratch.errors import UserError
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.network import Network
from nnscratch.nn.parameters import Parameters
from nnscratch.runs.checkpoint import Checkpoint, damaged
from nnscratch.runs.header import Header, header_of
from nnscratch.training.progress import Progress
from nnscratch.training.scaling import UNCHANGED, Affine, in_two_parts
from nnscratch.training.trainer import Trainer


@dataclass
class Best:
    """The weights that count, as they were at the best epoch so far; epoch 0 before there is one."""

    epoch: int = 0
    theta: Array | None = None
    state: Array | None = None

    @staticmethod
    def nbytes(parameters: Parameters) -> int:
        """How many bytes it will keep of such a network."""
        return np.dtype(np.float32).itemsize * parameters.values_size

    def keep(self, trainer: Trainer, epoch: int) -> None:
        """Remembers the trainer's present weights as those of that epoch."""
        parameters = trainer.network.parameters
        with trainer.weights_that_count():
            self.theta = _copied(parameters.theta, self.theta)
            self.state = _copied(parameters.state, self.state)
        self.epoch = epoch

    def put_back(self, trainer: Trainer) -> None:
        """Makes them the network's weights, when training is over; averaging, which is in them, is over, too."""
        assert self.theta is not None
        assert self.state is not None
        trainer.settle(self.theta, self.state)


def last_checkpoint(trainer: Trainer, best: Best, header: Header) -> Checkpoint:
    """Everything that a resume needs; raises DivergenceError when some of it is not finite."""
    trainer.require_finite()
    parameters = trainer.network.parameters
    arrays = _section("parameters", parameters.named()) | _section("state", parameters.named_state())
    if trainer.average is not None:
        theta, state = _parts(trainer.average, parameters)
        arrays |= _section("trained", parameters.named()) | _section("trained_state", parameters.named_state())
        arrays |= _section("parameters", parameters.named(theta)) | _section("state", parameters.named_state(state))
    for name, vector in trainer.recipe.optimizer.state.items():
        whole = np.zeros_like(parameters.theta)
        whole[: vector.size] = vector
        arrays |= _section(f"optimizer/{name}", parameters.named(whole))
    if best.theta is not None and best.state is not None:
        arrays |= _section("best", parameters.named(best.theta)) | {"best_state": best.state}
    own = replace(
        header,
        kind="last",
        best_epoch=best.epoch,
        progress=trainer.progress.to_dict(),
        optimizer_steps=trainer.recipe.optimizer.t,
    )
    return Checkpoint(own.to_dict(), arrays | _scaling(trainer))


def best_checkpoint(trainer: Trainer, best: Best, header: Header) -> Checkpoint | None:
    """Everything that evaluating the best epoch needs; None before there is one."""
    if best.theta is None or best.state is None:
        return None
    parameters = trainer.network.parameters
    arrays = _section("parameters", parameters.named(best.theta))
    arrays |= _section("state", parameters.named_state(best.state))
    own = replace(header, kind="best", best_epoch=best.epoch)
    return Checkpoint(own.to_dict(), arrays | _scaling(trainer))


def restore(checkpoint: Checkpoint, path: Path, trainer: Trainer) -> Best:
    """Puts back what `last_checkpoint` took; raises UserError when the file is of another network or kind."""
    header = header_of(checkpoint, path)
    if header.kind != "last":
        raise UserError(f"{path} holds weights alone; a training continues from last.npz or a step-*.npz")
    parameters, optimizer = trainer.network.parameters, trainer.recipe.optimizer
    try:
        progress = Progress.from_dict(header.progress or {})
        epoch, t = header.best_epoch, header.optimizer_steps
        if t is None or t < 0 or not 0 <= epoch <= progress.epoch:
            raise ValueError("its counters contradict each other")
    except ValueError as error:
        raise damaged(path, str(error)) from None
    weights, state = checkpoint.section("parameters"), checkpoint.section("state")
    if trainer.average is None:
        parameters.load(weights)
        parameters.load_state(state)
    else:
        average, average_state = _parts(trainer.average, parameters)
        parameters.load(checkpoint.section("trained"))
        parameters.load(weights, average)
        # Checkpoints from before statistics were averaged hold those of the trained weights alone.
        parameters.load_state(checkpoint.section("trained_state") or state)
        parameters.load_state(state, average_state)
    for name, vector in optimizer.state.items():
        whole = np.zeros_like(parameters.theta)
        parameters.load(checkpoint.section(f"optimizer/{name}"), whole)
        vector[:] = whole[: vector.size]
    optimizer.t = t
    trainer.progress = progress
    best = Best()
    if checkpoint.section("best"):
        best_state = checkpoint.arrays.get("best_state", np.zeros(0, np.float32))
        if best_state.shape != parameters.state.shape:
            raise damaged(path, f"best_state has shape {best_state.shape}, the network has {parameters.state.shape}")
        best = Best(epoch, np.empty_like(parameters.theta), best_state)
        parameters.load(checkpoint.section("best"), best.theta)
    elif epoch:
        raise damaged(path, f"it lacks the weights of its best epoch, {epoch}")
    return best


def require_weights(network: Network, checkpoint: Checkpoint, path: Path) -> None:
    """Raises UserError when the file's weights are not the network's: before there is memory for what it may claim."""
    try:
        network.parameters.require(checkpoint.section("parameters"), checkpoint.section("state"))
    except UserError as error:
        raise UserError(f"{path}: {error.message}", "was it written by another version or changed by hand?") from None


def scaling_of(checkpoint: Checkpoint, path: Path, input_shape: tuple[int, ...]) -> Affine:
    """How the run scales its inputs; raises UserError when that does not fit them."""
    return _affine(checkpoint, path, "scaling", input_shape, "an input")


def target_scaling_of(checkpoint: Checkpoint, path: Path, outputs: int) -> Affine:
    """How the run scales its targets; a classifier, and what was trained before there was such a thing, does not."""
    if not checkpoint.section("target_scaling"):
        return UNCHANGED
    affine = _affine(checkpoint, path, "target_scaling", (outputs,), "a target")
    if not affine.multiplier.all():
        raise damaged(path, "target_scaling/multiplier has a 0")
    return affine


def _affine(checkpoint: Checkpoint, path: Path, section: str, expected: tuple[int, ...], what: str) -> Affine:
    scaling = checkpoint.section(section)
    shapes = {name.removesuffix("_rest"): array.shape for name, array in scaling.items() if name.endswith("_rest")}
    for name in ("multiplier", "offset"):
        if name not in scaling:
            raise damaged(path, f"it lacks {section}/{name}")
        shape = scaling[name].shape
        try:
            fits = np.broadcast_shapes(shape, expected) == expected
        except ValueError:
            fits = False
        if not fits or shapes.get(name, shape) != shape:
            raise damaged(path, f"{section}/{name} has shape {shape}, {what} {expected}")
    whole = {name: scaling[name] for name in ("multiplier", "offset")}
    for name in shapes.keys() & whole.keys():
        whole[name] = whole[name].astype(np.float64) + scaling[f"{name}_rest"]
    return Affine(**whole)


def _section(name: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{name}/{key}": array for key, array in arrays.items()}


def _scaling(trainer: Trainer) -> dict[str, Array]:
    affines = {"scaling": trainer.affine}
    if trainer.target_affine is not UNCHANGED:
        affines["target_scaling"] = trainer.target_affine
    arrays = {}
    for section, affine in affines.items():
        for name, values in (("multiplier", affine.multiplier), ("offset", affine.offset)):
            if values.dtype == np.float64:  # which a checkpoint does not hold
                values, arrays[f"{section}/{name}_rest"] = in_two_parts(values)
            arrays[f"{section}/{name}"] = values
    return arrays


def _parts(values: Array, parameters: Parameters) -> tuple[Array, Array]:
    """theta and state of a vector laid out like `parameters.values`."""
    return values[: parameters.size], values[parameters.size :]


def _copied(source: Array, target: Array | None) -> Array:
    if target is None:
        return source.copy()
    np.copyto(target, source)
    return target
