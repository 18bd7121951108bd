"""Which trials a sweep tries, and when Hyperband stops one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnscratch.sweeps.comparable import unlike_seeds
from nnscratch.sweeps.definition import SweepDefinition
from nnscratch.sweeps.hyperband import Hyperband
from nnscratch.sweeps.sampling import Suggestion, startup_trials, suggest, trial_seed
from nnscratch.sweeps.sweep_file import load_sweep

WriteSweep = Callable[..., Path]


def finished(tried: Suggestion, value: float) -> Any:
    from optuna.trial import create_trial

    kept = {"parameters": tried.values, "status": "completed"}
    return create_trial(value=value, params=tried.raw, distributions=tried.distributions, user_attrs=kept)


def tries(definition: SweepDefinition, count: int, worth: Callable[[dict[str, Any]], float]) -> list[Suggestion]:
    """The first trials of a sweep by one worker, where `worth` tells the value of each."""
    history: list[Any] = []
    tried = []
    for number in range(count):
        tried.append(suggest(definition, 0, number, history))
        history.append(finished(tried[-1], worth(tried[-1].values)))
    return tried


def test_a_grid_goes_through_every_combination_once_the_last_parameter_fastest(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    axes = {"model.hidden_layers": {"values": [[8], []]}, "training.batch_size": {"min": 4, "max": 5}}
    definition = load_sweep(write_sweep(tmp_path, method="grid", run_cap=None, parameters=axes))
    points = [tuple(each.values.values()) for each in tries(definition, definition.grid_size(), lambda _: 0.0)]
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
    late = [each.values["l2"] for each in tries(definition, 40, lambda values: -abs(values["l2"] - 0.7))[25:]]
    assert sum(abs(float(str(value)) - 0.7) < 0.15 for value in late) >= 8  # of 15; by chance 4 or 5


def test_of_ten_bayesian_trials_the_model_chooses_seven_which_differ_from_those_of_a_random_search(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    chosen = {}
    for method in ("random", "bayes"):
        definition = load_sweep(write_sweep(tmp_path, method=method, run_cap=10))
        tried = tries(definition, 10, lambda values: -values["optimizer.learning_rate"])
        chosen[method] = [each.values["optimizer.learning_rate"] for each in tried]
    assert chosen["bayes"][:3] == chosen["random"][:3]
    assert not set(chosen["bayes"][3:]) & set(chosen["random"])


@pytest.mark.parametrize(("budget", "at_random"), [(1, 1), (2, 1), (5, 1), (10, 3), (30, 10), (1000, 10)])
def test_a_third_of_a_bayesian_search_is_drawn_at_random_and_no_more_than_ten(budget: int, at_random: int) -> None:
    assert startup_trials(budget) == at_random


CONDITIONAL = {
    "optimizer.name": {"values": ["sgd", "adam"]},
    "optimizer.momentum": {"values": [0.0, 0.5]},
    "optimizer.beta1": {"values": [0.8, 0.9]},
}


@pytest.mark.parametrize(
    ("metric", "values", "is_told"),
    [("val_loss", [0.0, 0.1], True), ("val_loss", [0.1], False), ("val_accuracy", [0.0, 0.1], False)],
)
def test_trials_that_are_compared_by_losses_which_are_not_one_are_told(
    metric: str, values: list[float], is_told: bool, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    goal = "minimize" if metric == "val_loss" else "maximize"
    parameters = {"loss.label_smoothing": {"values": values}, "optimizer.learning_rate": {"values": [0.1, 0.2]}}
    file = write_sweep(tmp_path, metric={"name": metric, "goal": goal}, parameters=parameters)
    said = f"{metric} is another loss for every loss.label_smoothing"
    assert any(each.startswith(said) for each in load_sweep(file).warnings) == is_told


@pytest.mark.parametrize(("seed", "is_told"), [({}, True), ({"seed": {"value": 42}}, False)])
def test_that_trials_have_seeds_of_their_own_is_told_where_they_have(
    seed: dict[str, Any], is_told: bool, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    definition = load_sweep(write_sweep(tmp_path, parameters={**CONDITIONAL, **seed}))
    assert len(list(unlike_seeds(definition))) == is_told


def test_a_grid_goes_once_through_what_each_component_has(write_sweep: WriteSweep, tmp_path: Path) -> None:
    definition = load_sweep(write_sweep(tmp_path, method="grid", run_cap=None, parameters=CONDITIONAL))
    assert definition.grid_size() == 4
    assert [list(each.values.values()) for each in tries(definition, 4, lambda _: 0.0)] == [
        ["sgd", 0.0],
        ["sgd", 0.5],
        ["adam", 0.8],
        ["adam", 0.9],
    ]
    assert definition.notes == (
        "optimizer.beta1 is left out: sgd has no beta1",
        "optimizer.momentum is left out: adam has no momentum",
    )


def test_a_parameter_may_name_the_component_that_has_it(write_sweep: WriteSweep, tmp_path: Path) -> None:
    named = {
        "optimizer.name": {"values": ["sgd", "adam"]},
        "optimizer.sgd.learning_rate": {"values": [0.1, 1.0]},
        "optimizer.adam.learning_rate": {"values": [0.001]},
    }
    definition = load_sweep(write_sweep(tmp_path, method="grid", run_cap=None, parameters=named))
    assert [list(each.values.values()) for each in tries(definition, 3, lambda _: 0.0)] == [
        ["sgd", 0.1],
        ["sgd", 1.0],
        ["adam", 0.001],
    ]


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_what_the_chosen_component_lacks_is_left_out_of_a_trial(
    method: str, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    definition = load_sweep(write_sweep(tmp_path, method=method, run_cap=20, parameters=CONDITIONAL))
    fields = {"sgd": ["optimizer.momentum"], "adam": ["optimizer.beta1"]}
    names = set()
    for each in tries(definition, 20, lambda values: values.get("optimizer.momentum", 0.2)):
        name = str(each.values["optimizer.name"])
        names.add(name)
        assert list(each.values) == list(each.raw) == ["optimizer.name", *fields[name]]
    assert names == {"sgd", "adam"}


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


@pytest.mark.parametrize(("accuracy", "stops"), [(0.9, False), (0.5, False), (0.4, True)])
def test_at_a_band_only_the_best_share_goes_on(accuracy: float, stops: int | None) -> None:
    others = [{1: 0.1, 2: 0.5}, {1: 0.1, 2: 0.2}, {1: 0.1, 2: 0.1}, {1: 0.9}]
    assert Hyperband(min_iter=2, eta=3).is_due({1: 0.1, 2: accuracy}, others, "maximize") is stops


def test_between_bands_nothing_is_stopped() -> None:
    assert Hyperband(min_iter=2, eta=3).is_due({1: 9.0, 2: 9.0, 3: 9.0}, [{3: 0.1}], "minimize") is False


def test_the_first_trial_at_a_band_goes_on() -> None:
    assert Hyperband(min_iter=1).is_due({1: 9.0}, [], "minimize") is False


def test_strict_judges_the_value_at_the_band_otherwise_the_best_so_far_counts() -> None:
    own, others = {1: 0.2, 2: 0.9}, [{1: 0.5, 2: 0.5}, {1: 0.5, 2: 0.6}]
    assert Hyperband(min_iter=2, eta=3, strict=True).is_due(own, others, "minimize")
    assert Hyperband(min_iter=2, eta=3).is_due(own, others, "minimize") is False
