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
from nnscratch.sweeps.search_space import Parameter

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


def startup_trials(budget: int) -> int:
    """How many trials of a Bayesian search are drawn at random: a third of them, and no more than ten.

    TPE's own ten would leave a search of ten trials to chance alone.
    """
    return min(max(budget // 3, 1), 10)


def optuna_space(definition: SweepDefinition) -> dict[str, BaseDistribution]:
    """What is sampled, by dotted path; constants are not."""
    sampled = {parameter.path: parameter.distribution.sampled() for parameter in definition.parameters}
    return {path: distribution for path, distribution in sampled.items() if distribution is not None}


def suggest(definition: SweepDefinition, seed: int, number: int, history: Sequence[FrozenTrial]) -> Suggestion:
    """The values of trial `number`, given all trials before it; of a grid, the first combination that none of them has.

    The sampler is made anew from (seed, number): the same history gives the same trial, before and after a kill.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = optuna_space(definition)
    if definition.method == "grid":
        tried = {definition.point(frozen.user_attrs["parameters"]) for frozen in history}
        point = next(each for each in definition.grid() if definition.point(each) not in tried)
        return _of_grid(definition, point, space)
    own_seed = trial_seed(seed, number, "sampler")
    by_model = definition.method == "bayes" and number >= startup_trials(definition.run_cap or 0)
    study = optuna.create_study(
        sampler=(
            optuna.samplers.TPESampler(seed=own_seed, constant_liar=True, n_startup_trials=2)
            if by_model
            else optuna.samplers.RandomSampler(seed=own_seed)
        ),
        direction=definition.metric.goal,
    )
    study.add_trials([as_the_sampler_sees_it(definition, frozen) for frozen in history] if by_model else ())
    raw = dict(study.ask(space).params)
    values = {each.path: each.distribution.value(raw.get(each.path, 0)) for each in definition.parameters}
    return _suggestion(definition.fitting(values), raw, space)


def _of_grid(definition: SweepDefinition, point: dict[str, Value], space: dict[str, BaseDistribution]) -> Suggestion:
    raw: dict[str, Raw] = {}
    for parameter in definition.parameters:
        choice = parameter.distribution
        if parameter.path in point:
            value = point[parameter.path]
            raw[parameter.path] = choice.label(value) if isinstance(choice, Choice) else cast("Raw", value)
    return _suggestion(point, raw, space)


def _suggestion(values: dict[str, Value], raw: dict[str, Raw], space: dict[str, BaseDistribution]) -> Suggestion:
    """What fits, and of that what was sampled."""
    paths = [path for path in values if path in space]
    return Suggestion(values, {path: raw[path] for path in paths}, {path: space[path] for path in paths})


def as_the_sampler_sees_it(definition: SweepDefinition, frozen: FrozenTrial) -> FrozenTrial:
    """A trial in the search space of now, with those of its values that stand in it for what they stood for then.

    A diverged trial is one pruned before its first epoch: the worst there is, so that its region is avoided.
    """
    from optuna.trial import TrialState, create_trial

    space, values = optuna_space(definition), frozen.user_attrs["parameters"]
    known = {
        parameter.path: frozen.params[parameter.path]
        for parameter in definition.parameters
        if parameter.path in space
        and parameter.path in frozen.params
        and _stands_for(parameter, space[parameter.path], frozen.params[parameter.path], values.get(parameter.path))
    }
    diverged = frozen.user_attrs.get("status") == "diverged" and frozen.state.is_finished()
    return create_trial(
        state=TrialState.PRUNED if diverged else frozen.state,
        value=frozen.value if frozen.state is TrialState.COMPLETE else None,
        params=known,
        distributions={path: space[path] for path in known},
        intermediate_values={} if diverged else frozen.intermediate_values,
    )


def _stands_for(parameter: Parameter, sampled: BaseDistribution, raw: Raw, value: Value) -> bool:
    try:
        return sampled._contains(sampled.to_internal_repr(raw)) and parameter.distribution.value(raw) == value
    except ValueError:
        return False
