"""What is looked at where a training begins, and never again: a run of before is read as it was trained."""

from __future__ import annotations

import math

import numpy as np

from nnscratch.config.assembly import Assembly
from nnscratch.config.config import Config, Tell
from nnscratch.errors import ConfigError
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layers.activations import Activation, bounds_of
from nnscratch.training.scaling import fit_targets

OUT_OF_REACH = 0.1
"""The share of targets beyond a last layer's outputs from which it is told."""


def require_read(config: Config) -> None:
    """Raises ConfigError for a path where the data is made on the spot: somebody's own would not be looked at."""
    source = config.data.dataset.component
    if config.data.path is not None and not source.reads_path:
        message = f"dataset {source.name} is made on the spot and reads no file"
        raise ConfigError([config.problem("data.path", message)], "`dataset: csv`, `npz` or `image_folder` reads one")


def tell_what_is_out_of_reach(assembly: Assembly, tell: Tell) -> None:
    """Tells when many targets of a regression lie where the last layer has no outputs."""
    layers, train = assembly.network.layers, assembly.splits.train
    if assembly.dataset.task != "regression" or not layers or not isinstance(layers[-1], Activation):
        return
    targets, (low, high) = train.targets[train.rows].astype(np.float64), bounds_of(type(layers[-1]))

    def share(t: Array) -> float:
        return float(np.mean((t < low) | (t > high)))

    scaling = assembly.config.data.target_scaling
    scaled = fit_targets(train, scaling).apply(targets, np.empty_like(targets))
    if share(scaled) > OUT_OF_REACH:
        span = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
        what = "targets, made to have mean 0 and deviation 1," if scaling == "standardize" else "training targets"
        fits = scaling == "standardize" and share(targets) <= OUT_OF_REACH
        instead = " or write `data: {target_scaling: none}`" if fits else ""
        tell(
            f"the last layer {layers[-1].name} gives numbers {span}, but {share(scaled):.0%} of the {what} are not: "
            f"leave it out{instead}"
        )
