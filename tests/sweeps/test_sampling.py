"""Which trials a sweep tries, and when Hyperband stops one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnscratch.sweeps.definition import load_sweep
from nnscratch.sweeps.hyperband import Hyperband
from nnscratch.sweeps.sampling import suggest, trial_seed

WriteSweep = Callable[..., Path]


def finished(raw: dict[str, Any], distributions: dict[str, Any], value: float) -> Any:
    from optuna.trial import create_trial

    return create_trial(value=value, params=raw, distributions=distributions)


def test_a_grid_goes_through_every_combination_once_the_last_parameter_fastest(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    axes = {"model.hidden_layers": {"values": [[8], []]}, "training.batch_size": {"min": 4, "max": 5}}
    definition = load_sweep(write_sweep(tmp_path, method="grid", run_cap=None, parameters=axes))
    points = [tuple(suggest(definition, 0, number, []).values.values()) for number in range(definition.grid_size())]
    assert points == [([8], 4), ([8], 5), ([], 4), ([], 5)]


def test_a_trial_depends_on_seed_and_number_alone_when_the_search_is_random(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    definition = load_sweep(write_sweep(tmp_path))
    first, again = suggest(definition, 5, 2, []), suggest(definition, 5, 2, [])
    assert first.values == again.values
    assert first.values != suggest(definition, 5, 3, []).values
    assert first.values != suggest(definition, 6, 2, []).values


def test_probabilities_are_followed(write_sweep: WriteSweep, tmp_path: Path) -> None:
    parameters = {"model.activation": {"values": ["relu", "tanh"], "probabilities": [0.9, 0.1]}}
    definition = load_sweep(write_sweep(tmp_path, parameters=parameters))
    drawn = [suggest(definition, 0, number, []).values["model.activation"] for number in range(100)]
    assert 80 <= drawn.count("relu") <= 97


def test_the_bayesian_search_learns_where_the_good_values_are(write_sweep: WriteSweep, tmp_path: Path) -> None:
    parameters = {"l2": {"min": 0.0, "max": 1.0}}
    definition = load_sweep(write_sweep(tmp_path, method="bayes", parameters=parameters))
    history: list[Any] = []
    for number in range(40):
        tried = suggest(definition, 0, number, history)
        distance = abs(float(str(tried.values["l2"])) - 0.7)
        history.append(finished(tried.raw, tried.distributions, -distance))
    late = [trial.params["l2"] for trial in history[25:]]
    assert sum(abs(value - 0.7) < 0.15 for value in late) >= 8  # of 15; by chance 4 or 5


def test_seeds_of_trials_and_purposes_differ() -> None:
    seeds = {trial_seed(42, number, purpose) for number in range(50) for purpose in ("sampler", "training")}
    assert len(seeds) == 100
    assert trial_seed(42, 0, "training") == trial_seed(42, 0, "training")


def test_bands_are_min_iter_times_powers_of_eta_or_max_iter_divided_by_them() -> None:
    assert Hyperband(min_iter=2, eta=3).bands(20) == [2, 6, 18]
    assert Hyperband(max_iter=27, s=2, eta=3).bands(20) == [3, 9]


@pytest.mark.parametrize(
    ("band", "bands"),
    [
        (Hyperband(max_iter=27, s=1000, eta=3), [1, 3, 9]),
        (Hyperband(max_iter=27, s=10**18, eta=1e308), []),
        (Hyperband(min_iter=5, eta=1e308), [5]),
        (Hyperband(min_iter=10**18, eta=2), [10**18]),
        (Hyperband(min_iter=1, eta=1 + 1e-15), [1]),
    ],
)
def test_bands_of_extreme_settings_are_few_and_found_at_once(band: Hyperband, bands: list[int]) -> None:
    assert band.bands(1000) == bands


@pytest.mark.parametrize(("accuracy", "stops"), [(0.9, None), (0.5, None), (0.4, 2)])
def test_at_a_band_only_the_best_share_goes_on(accuracy: float, stops: int | None) -> None:
    others = [{1: 0.1, 2: 0.5}, {1: 0.1, 2: 0.2}, {1: 0.1, 2: 0.1}, {1: 0.9}]
    assert Hyperband(min_iter=2, eta=3).is_due({1: 0.1, 2: accuracy}, others, "maximize") == stops


def test_between_bands_nothing_is_stopped() -> None:
    assert Hyperband(min_iter=2, eta=3).is_due({1: 9.0, 2: 9.0, 3: 9.0}, [{3: 0.1}], "minimize") is None


def test_the_first_trial_at_a_band_goes_on() -> None:
    assert Hyperband(min_iter=1).is_due({1: 9.0}, [], "minimize") is None


def test_strict_judges_the_value_at_the_band_otherwise_the_best_so_far_counts() -> None:
    own, others = {1: 0.2, 2: 0.9}, [{1: 0.5, 2: 0.5}, {1: 0.5, 2: 0.6}]
    assert Hyperband(min_iter=2, eta=3, strict=True).is_due(own, others, "minimize") == 2
    assert Hyperband(min_iter=2, eta=3).is_due(own, others, "minimize") is None
