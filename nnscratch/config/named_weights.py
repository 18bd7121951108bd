"""Weights that a config names: those that are frozen, and those that start as another run's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nnscratch.config.config import Config
from nnscratch.errors import ConfigError, did_you_mean
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.network import Network


@dataclass(frozen=True, eq=False)
class StartingWeights:
    """Arrays by name, of a network that was trained before; those that it lacks start as they always do."""

    parameters: Mapping[str, Array]
    state: Mapping[str, Array]

    def put_into(self, network: Network) -> None:
        """Copies them over the network's own."""
        for arrays, own in (
            (self.parameters, network.parameters.named()),
            (self.state, network.parameters.named_state()),
        ):
            for name, array in arrays.items():
                own[name][...] = array


def require_frozen(config: Config, network: Network) -> None:
    """Raises ConfigError when `model.freeze` names what is not there, or everything."""
    frozen, known = config.model.freeze, array_names(network)
    problems = [
        config.problem(f"model.freeze.{index}", f"there is no layer or weight `{name}`{did_you_mean(name, known)}")
        for index, name in enumerate(frozen)
        if name not in known
    ]
    if frozen and not problems and not network.parameters.trainable_size:
        problems.append(config.problem("model.freeze", "leaves nothing to train"))
    if problems:
        raise ConfigError(problems, "`nnscratch train CONFIG --dry-run` shows the layers and their names")


def array_names(network: Network) -> list[str]:
    """By what a config may name weights: every array, and every layer that has some, `2.dense` and `2.dense.weight`."""
    parameters = network.parameters
    names = [name for each in (parameters.shapes, parameters.state_shapes) for name in each]
    parts = [name.split(".") for name in names]
    layers = (".".join(each[:stop]) for each in parts for stop in range(2, len(each)))
    return list(dict.fromkeys([*layers, *parameters.shapes]))
