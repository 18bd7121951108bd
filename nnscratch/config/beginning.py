"""What is looked at where a training begins, and never again: a run of before is read as it was trained."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from nnscratch.component import settings_of
from nnscratch.config.assembly import Assembly
from nnscratch.config.config import Config, Tell
from nnscratch.config.specification import Specification
from nnscratch.errors import ConfigError
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layers.activations import Activation, bounds_of

OUT_OF_REACH = 0.1
"""The share of targets beyond a last layer's outputs from which it is told."""

TINY = float(np.finfo(np.float32).tiny)


def require_read(config: Config) -> None:
    """Raises ConfigError for a path where the data is made on the spot: somebody's own would not be looked at."""
    source = config.data.dataset.component
    if config.data.path is not None and not source.reads_path:
        message = f"dataset {source.name} is made on the spot and reads no file"
        raise ConfigError([config.problem("data.path", message)], "`dataset: csv`, `npz` or `image_folder` reads one")


def require_more_than_zero(config: Config) -> None:
    """Raises ConfigError for a setting of optimizer or layers that must be above 0 and is 0 in single precision."""
    layers = {f"model.layers.{index}": layer for index, layer in enumerate(config.model.layers or ())}
    parts: dict[str, Specification[Any]] = {"optimizer": config.optimizer, **layers}
    problems = [
        config.problem(
            path, f"{value:g} is 0 in single precision, in which training computes: write {TINY:.2g} or more"
        )
        for place, part in parts.items()
        for path, value in _lost(place, part)
    ]
    if problems:
        raise ConfigError(problems)


def _lost(place: str, part: Specification[Any]) -> Iterator[tuple[str, float]]:
    """Those settings by their paths, also of the components that one holds."""
    for setting in settings_of(part.component):
        path, value = f"{place}.{setting.name}", part.fields[setting.name]
        is_above_zero = setting.metadata.get("bounds", {}).get("gt") == 0
        if is_above_zero and isinstance(value, float) and value < TINY and not np.float32(value):
            yield path, value
        elif isinstance(value, Specification):
            yield from _lost(path, value)
        elif isinstance(value, tuple | list):
            inside = {f"{path}.{index}": each for index, each in enumerate(value)}
            for where, each in inside.items():
                yield from _lost(where, each) if isinstance(each, Specification) else ()


def tell_what_cannot_be(assembly: Assembly, tell: Tell) -> None:
    """Tells when settings of the optimizer do nothing for this network, or its outputs do not reach the targets."""
    for line in assembly.config.optimizer.build().without_effect(assembly.network.parameters):
        tell(line)
    _tell_what_is_out_of_reach(assembly, tell)


def _tell_what_is_out_of_reach(assembly: Assembly, tell: Tell) -> None:
    """Tells when many targets of a regression lie where the last layer has no outputs."""
    layers, train = assembly.network.layers, assembly.splits.train
    if assembly.dataset.task != "regression" or not layers or not isinstance(layers[-1], Activation):
        return
    targets, (low, high) = train.targets[train.rows].astype(np.float64), bounds_of(type(layers[-1]))

    def share(t: Array) -> float:
        return float(np.mean((t < low) | (t > high)))

    scaling = assembly.config.data.target_scaling
    scaled = assembly.target_affine.apply(targets, np.empty_like(targets))
    if share(scaled) > OUT_OF_REACH:
        span = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
        what = "targets, made to have mean 0 and deviation 1," if scaling == "standardize" else "training targets"
        fits = scaling == "standardize" and share(targets) <= OUT_OF_REACH
        instead = " or write `data: {target_scaling: none}`" if fits else ""
        tell(
            f"the last layer {layers[-1].name} gives numbers {span}, but {share(scaled):.0%} of the {what} are not: "
            f"leave it out{instead}"
        )
