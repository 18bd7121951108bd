"""Which values the next trial tries: a function of the sweep, its seed, the trial's number and what is known so far."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from nnscratch.config.node import Value
from nnscratch.sweeps.definition import SweepDefinition
from nnscratch.sweeps.distributions import Choice, Raw

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Suggestion:
    """What a trial tries: config values by dotted path, and what Optuna keeps of them."""

    values: dict[str, Value]
    raw: dict[str, Raw]
    distributions: dict[str, BaseDistribution]


def trial_seed(seed: int, number: int, purpose: str) -> int:
    """A seed of its own for every trial and purpose."""
    key = (zlib.crc32(purpose.encode()), number)
    return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1)[0]) % 2**31


def search_space(definition: SweepDefinition) -> dict[str, BaseDistribution]:
    """What is sampled, by dotted path; constants are not."""
    sampled = {parameter.path: parameter.distribution.sampled() for parameter in definition.parameters}
    return {path: distribution for path, distribution in sampled.items() if distribution is not None}


def suggest(definition: SweepDefinition, seed: int, number: int, history: Sequence[FrozenTrial]) -> Suggestion:
    """The values of trial `number`, given the trials before it.

    The sampler is made anew from (seed, number): the same history gives the same trial, before and after a kill.
    """
    import optuna

    space = search_space(definition)
    if definition.method == "grid":
        return _grid_point(definition, number, space)
    own_seed = trial_seed(seed, number, "sampler")
    sampler = (
        optuna.samplers.RandomSampler(seed=own_seed)
        if definition.method == "random"
        else optuna.samplers.TPESampler(seed=own_seed, constant_liar=True)
    )
    study = optuna.create_study(sampler=sampler, direction=definition.metric.goal)
    study.add_trials(history if definition.method == "bayes" else ())
    raw = dict(study.ask(space).params)
    values = {each.path: each.distribution.value(raw.get(each.path, 0)) for each in definition.parameters}
    return Suggestion(values, raw, space)


def _grid_point(definition: SweepDefinition, number: int, space: dict[str, BaseDistribution]) -> Suggestion:
    """The combinations in the file's order: the last parameter changes fastest."""
    axes = [parameter.distribution.grid() for parameter in definition.parameters]
    positions = np.unravel_index(number, [len(axis) for axis in axes])
    values: dict[str, Value] = {}
    raw: dict[str, Raw] = {}
    for parameter, axis, position in zip(definition.parameters, axes, positions, strict=True):
        value = values[parameter.path] = axis[int(position)]
        if parameter.path in space:
            choice = parameter.distribution
            raw[parameter.path] = choice.labels[int(position)] if isinstance(choice, Choice) else cast("Raw", value)
    return Suggestion(values, raw, space)
