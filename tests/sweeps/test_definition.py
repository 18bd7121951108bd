"""Sweep files: what they mean, and what is said about those that mean nothing."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnscratch.config.document import parse_yaml
from nnscratch.config.node import Value
from nnscratch.errors import ConfigError
from nnscratch.report.formats import setting
from nnscratch.sweeps import fitting
from nnscratch.sweeps.definition import SweepDefinition
from nnscratch.sweeps.distributions import Choice, Constant, Distribution, Integers, Interval, Mixture, Quantiles
from nnscratch.sweeps.fitting import overruled_by_the_command
from nnscratch.sweeps.search_space import Parameter
from nnscratch.sweeps.sweep_file import load_sweep

WriteSweep = Callable[..., Path]


def only_parameter(file: Path) -> Distribution:
    (parameter,) = load_sweep(file).parameters
    return parameter.distribution


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"value": 0.5}, Constant(0.5)),
        ({"values": [1, 2.5]}, Choice([1, 2.5])),
        ({"values": [1, 2], "probabilities": [0.25, 0.75]}, Mixture([Constant(1), Constant(2)], [0.25, 0.75])),
        ({"distribution": "int_uniform", "min": 1, "max": 5}, Integers(1, 5)),
        ({"min": 1, "max": 5}, Interval(1.0, 5.0)),
        ({"min": 1, "max": 1}, Integers(1, 1)),
        ({"min": 1.0, "max": 5}, Interval(1.0, 5.0)),
        ({"distribution": "uniform", "min": 1, "max": 5}, Interval(1.0, 5.0)),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25}, Interval(0.0, 1.0, q=0.25)),
        ({"distribution": "log_uniform_values", "min": 0.1, "max": 1}, Interval(0.1, 1.0, True)),
        ({"distribution": "log_uniform", "min": 0, "max": 1}, Interval(1.0, math.e, True)),
        ({"distribution": "inv_log_uniform", "min": 0, "max": 1}, Interval(math.exp(-1), 1.0, True)),
        ({"distribution": "inv_log_uniform_values", "min": 0.1, "max": 1}, Interval(0.1, 1.0, True)),
        ({"distribution": "q_log_uniform_values", "min": 1, "max": 64, "q": 8}, Interval(1.0, 64.0, True, 8)),
        ({"distribution": "normal", "mu": 2}, Quantiles("normal", {"mu": 2.0, "sigma": 1.0})),
        ({"distribution": "q_log_normal", "q": 2}, Quantiles("log_normal", {"mu": 0.0, "sigma": 1.0}, 2)),
        ({"distribution": "beta", "a": 2, "b": 5}, Quantiles("beta", {"a": 2.0, "b": 5.0})),
        (
            {"values": [0, {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1}]},
            Mixture([Constant(0), Interval(0.001, 0.1, True)]),
        ),
    ],
)
def test_every_form_of_a_parameter_is_the_distribution_it_names(
    written: dict[str, Any], meant: Distribution, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    # A standard deviation or a bound may be beyond what l2 takes: the middle of a distribution is what is checked.
    assert only_parameter(write_sweep(tmp_path, parameters={"l2": written})) == meant


@pytest.mark.parametrize(
    ("field", "written", "meant"),
    [
        ("model.hidden_layers", {"value": [8, 4]}, Constant([8, 4])),
        ("model.hidden_layers", {"values": [[8], []]}, Choice([[8], []])),
        ("training.batch_size", {"min": 4, "max": 8}, Integers(4, 8)),
        ("model.weight_init", {"values": ["he", {"name": "he", "distribution": "uniform"}]},
         Choice(["he", {"name": "he", "distribution": "uniform"}])),
    ],
)  # fmt: skip
def test_a_field_decides_whether_numbers_are_whole_and_mappings_are_values(
    field: str, written: dict[str, Any], meant: Distribution, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    assert only_parameter(write_sweep(tmp_path, parameters={field: written})) == meant


def test_whole_bounds_of_a_field_of_fractions_are_fractions_with_a_warning(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    bounds = {"min": 0, "max": 1}
    parameters = {"optimizer.name": {"values": ["sgd", "adam"]}, "optimizer.momentum": {"min": 0, "max": 0.9},
                  "l2": bounds, "training.batch_size": {"min": 1, "max": 4}}  # fmt: skip
    definition = load_sweep(write_sweep(tmp_path, parameters=parameters))
    assert [type(each.distribution) for each in definition.parameters] == [Choice, Interval, Interval, Integers]
    (warning,) = definition.warnings
    assert "parameters.l2: takes fractions" in warning
    assert "min: 0.0" in warning
    grid = load_sweep(write_sweep(tmp_path, method="grid", run_cap=None, parameters={"l2": bounds}))
    assert (grid.parameters[0].distribution, grid.warnings) == (Integers(0, 1), ())


def test_a_value_that_stands_twice_in_a_grid_is_tried_once_with_a_warning(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    rates = {"optimizer.learning_rate": {"values": [1, 0.5, 1e0]}}
    grid = load_sweep(write_sweep(tmp_path, method="grid", run_cap=None, parameters=rates))
    assert grid.parameters[0].distribution == Choice((1, 0.5))
    (warning,) = grid.warnings
    assert "learning_rate.values.2: is optimizer.learning_rate=1 to the config, too: it is tried once" in warning


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (
            {"min": 0.0001, "max": 0.01},
            "1.0001 to 1.01005; for 0.0001 to 0.01 themselves write log_uniform_values",
        ),
        ({"min": -9.2, "max": -4.6}, None),
        ({"min": 3, "max": 5}, None),
    ],
)
def test_log_uniform_with_values_where_exponents_belong_is_warned_about(
    bounds: dict[str, Any], said: str | None, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    parameters = {"l2": {"distribution": "log_uniform", **bounds}}
    warnings = load_sweep(write_sweep(tmp_path, parameters=parameters)).warnings
    assert [said in warning for warning in warnings if said] == ([True] if said else [])
    assert len(warnings) == (said is not None)


def test_exactly_zero_or_log_uniform_is_a_list_of_both(write_sweep: WriteSweep, tmp_path: Path) -> None:
    parameters = {"l2": {"values": [0, {"distribution": "log_uniform_values", "min": 1e-05, "max": 0.01}]}}
    distribution = only_parameter(write_sweep(tmp_path, parameters=parameters))
    drawn = [float(str(distribution.value((k + 0.5) / 100))) for k in range(100)]
    assert drawn[:50] == [0.0] * 50
    logarithms = [math.log10(value) for value in drawn[50:]]
    steps = [after - before for before, after in itertools.pairwise(logarithms)]
    assert steps == pytest.approx([3 / 50] * 49, rel=1e-6)
    assert -5.0 <= logarithms[0] < logarithms[-1] <= -2.0


@pytest.mark.parametrize(
    ("distribution", "raw", "value"),
    [
        (Interval(0.0, 1.0, q=0.1), 0.33, 0.3),
        (Interval(1.0, 11.0, q=4), 10.9, 8),  # 12 is out of bounds
        (Interval(3.0, 11.0, q=4), 3.0, 4),
        (Integers(1, 9), 4, 4),
        (Choice([[8], [16, 8]]), "[16, 8]", [16, 8]),
        (Choice([1, True]), "true", True),
        (Mixture([Constant("a"), Constant("b")], [0.25, 0.75]), 0.2, "a"),
        (Mixture([Constant("a"), Constant("b")], [0.25, 0.75]), 0.3, "b"),
        (Mixture([Constant("a"), Constant("b")], [0.25, 0.75]), 1.0, "b"),
        (Quantiles("normal", {"mu": 2.0, "sigma": 3.0}), 0.5, 2.0),
        (Quantiles("log_normal", {"mu": 0.0, "sigma": 1.0}), 0.5, 1.0),
        (Quantiles("normal", {"mu": 2.2, "sigma": 0.0}, 1), 0.9, 2),
    ],
)
def test_a_sampled_value_becomes_the_config_value_it_stands_for(
    distribution: Distribution, raw: str | float, value: object
) -> None:
    result = distribution.value(raw)
    assert result == value
    assert type(result) is type(value)


def test_the_quantiles_of_a_beta_distribution_are_those_of_its_tables() -> None:
    uniform = Quantiles("beta", {"a": 1.0, "b": 1.0})
    assert uniform.value(0.3) == pytest.approx(0.3, abs=0.01)
    assert Quantiles("beta", {"a": 2.0, "b": 2.0}).value(0.5) == pytest.approx(0.5, abs=0.01)


def test_nested_parameters_are_dotted_paths(write_sweep: WriteSweep, tmp_path: Path) -> None:
    nested = {"optimizer": {"parameters": {"learning_rate": {"value": 0.1}}}, "model.activation": {"value": "relu"}}
    definition = load_sweep(write_sweep(tmp_path, parameters=nested))
    assert [each.path for each in definition.parameters] == ["optimizer.learning_rate", "model.activation"]


def test_a_config_that_is_reached_from_another_folder_is_named_with_that_folder(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("configs", "here"):
        (tmp_path / name).mkdir()
    write_sweep(tmp_path / "configs", command=["nnscratch", "train", "configs/base.yaml", "${args}"])
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ConfigError) as caught:
        load_sweep(Path("../configs/sweep.yaml"))
    assert f"configs/base.yaml is not in {tmp_path / 'here'}, but in ..: start the sweep there" in str(caught.value)


def test_overrides_in_the_command_are_the_base_of_every_trial(write_sweep: WriteSweep, tmp_path: Path) -> None:
    base = str(write_sweep(tmp_path).parent / "base.yaml")
    for words in (["training.epochs=7"], ["--training.epochs=7"], ["--epochs", "7"], ["--epochs=7"]):
        command = ["nnscratch", "train", base, *words, "${args}"]
        assert load_sweep(write_sweep(tmp_path, command=command)).command.load().training.epochs == 7


@pytest.mark.parametrize(
    ("words", "name"),
    [(["--name", "2024"], "2024"), (["--name=1e3"], "1e3"), (["--name", "true"], "true"), (["--wandb", "off"], "base")],
)
def test_text_in_the_command_may_look_like_a_number(
    words: list[str], name: str, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    base = str(write_sweep(tmp_path).parent / "base.yaml")
    file = write_sweep(tmp_path, command=["nnscratch", "train", base, *words, "${args}"])
    config = load_sweep(file).command.load()
    assert (config.name, config.wandb.mode) == (name, "off")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "bayesian"}, "did you mean bayes"),
        ({"method": "custom"}, "expected grid or random or bayes"),
        ({"metric": {"name": "val_acc", "goal": "maximize"}}, "did you mean val_accuracy"),
        ({"metric": {"name": "val_loss", "goal": "maximize"}}, "maximize val_loss? it is to fall"),
        ({"metric": {"name": "val_loss", "impute": "worst"}}, "metric.impute: has no meaning here"),
        ({"metric": None}, "metric: is required"),
        ({"controller": {"type": "local"}}, "controller: has no meaning here"),
        ({"scheduler": {"engine": "ax"}}, "scheduler: has no meaning here"),
        ({"paramters": {}}, "did you mean parameters"),
        ({"run_cap": None}, "run_cap: is required"),
        ({"run_cap": 0}, "expected a whole number from 1 on"),
        ({"parameters": {}}, "at least one is required"),
        ({"parameters": {"l2": {"min": 2, "max": 1}}}, "min 2 is above max 1"),
        ({"parameters": {"l2": {"distribution": "log_uniform_values", "min": 0, "max": 1}}}, "must be greater than 0"),
        ({"parameters": {"l2": {"distribution": "log_uniform", "min": 1, "max": 5000}}}, "log_uniform_values"),
        ({"parameters": {"l2": {"distribution": "logarithmic", "min": 1, "max": 5}}}, "unknown distribution"),
        ({"parameters": {"l2": {"values": [1, 1]}}}, "is listed twice"),
        ({"parameters": {"l2": {"values": [1, 2, 1e0]}}}, "l2.values.2: is listed twice: it is l2=1 to the config"),
        ({"parameters": {"l2": {"values": [1, {"strength": 1}]}}}, "is listed twice"),
        ({"parameters": {"model.activation": {"values": ["relu", {"name": "relu"}]}}}, "is listed twice"),
        (
            {"parameters": {"l2": {"values": [0, {"distribution": "uniform", "min": 1}]}}},
            "values.1.max: is required",
        ),
        ({"parameters": {"l2": {"values": [0, {"distribution": "categorical", "values": [1]}]}}}, "list around it"),
        (
            {"method": "grid", "parameters": {"l2": {"values": [0, {"distribution": "uniform", "min": 0, "max": 1}]}}},
            "a grid needs `values`",
        ),
        ({"parameters": {"l2": {"values": [1, 2], "probabilities": [0.5]}}}, "2 probabilities, one per value"),
        ({"parameters": {"l2": {"value": 1, "sigma": 2}}}, "unknown field for constant"),
        ({"parameters": {"l2": 0.1}}, "expected a mapping"),
        ({"parameters": {"l2": {"value": 0}, "l2.strength": {"value": 0}}}, "is also set by l2"),
        ({"method": "grid", "parameters": {"l2": {"min": 0.0, "max": 1.0}}}, "a grid needs `values`"),
        (
            {"method": "bayes", "parameters": {"l2": {"values": [0, 1], "probabilities": [0.5, 0.5]}}},
            "probabilities belong to `method: random`",
        ),
        ({"early_terminate": {"type": "envelope"}}, "expected hyperband"),
        ({"early_terminate": {"type": "hyperband"}}, "needs min_iter, or max_iter and s"),
        (
            {"early_terminate": {"type": "hyperband", "min_iter": 2, "eta": 1}},
            "a finite number greater than 1, got 1",
        ),
        ({"parameters": {"l2": {"distribution": "log_normal", "mu": 1000}}}, "numbers that are too large"),
        ({"parameters": {"l2": {"distribution": "uniform", "min": -1.7e308, "max": 1.7e308}}}, "too large"),
        ({"parameters": {"l2": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 1e-300}}}, "too many multiples"),
        ({"parameters": {"l2": {"distribution": "int_uniform", "min": 0.5, "max": 3}}}, "expected a whole number"),
        ({"parameters": {"seed": {"min": 0, "max": 2**63 - 1}}}, "to 9,007,199,254,740,992"),
        ({"method": "grid", "parameters": {"seed": {"min": 0, "max": 10**9}}}, "1,000,000,001 combinations"),
        (
            {"parameters": {"data.validation": {"values": [0.1, 0]}}},
            "data.validation=0: such a trial has no val_accuracy; more than 0 has",
        ),
        ({"parameters": {"data.validation": {"value": 0}}}, "such a trial has no val_accuracy"),
        (
            {"parameters": {"training.epochs": {"values": [0, 2]}}},
            "training.epochs=0: such a trial has no val_accuracy",
        ),
        ({"parameters": {"training.epochs": {"min": 0, "max": 2}}}, "training.epochs=0: such a trial has no val_acc"),
        ({"command": None}, "command: is required"),
        ({"command": ["python", "train.py"]}, "does not run `nnscratch train CONFIG`"),
        ({"command": ["nnscratch", "train", "${args}"]}, "names no config after `train`"),
        ({"command": ["nnscratch", "train", "nowhere.yaml", "${args}"]}, "no such file"),
        ({"name": "../up"}, "usable as a folder name"),
        ({"parameters": {"name": {"values": ["a", "b"]}}}, "parameters.name: every trial has a name of its own"),
        ({"parameters": {"l2": {"vales": [1, 2]}}}, "l2.vales: unknown field; did you mean values?; write value,"),
        (
            {"parameters": {"training.batch_size": {"distribution": "log_uniform_values", "min": 4, "max": 16}}},
            "got 4.0; for whole numbers write distribution: q_log_uniform_values",
        ),
        (
            {"parameters": {"training.batch_size": {"min": 4.0, "max": 16.0}}},
            "got 16.0; for whole numbers write distribution: int_uniform",
        ),
        (
            {
                "metric": {"name": "val_macro_f1", "goal": "maximize"},
                "parameters": {"training.monitor": {"values": ["val_macro_f1", "val_loss"]}},
            },
            'training.monitor="val_loss": such a trial has no val_macro_f1',
        ),
    ],
)
def test_what_is_wrong_with_a_sweep_file_is_said(
    changes: dict[str, Any], said: str, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_sweep(write_sweep(tmp_path, **changes))
    assert said in str(caught.value)


def test_a_value_that_needs_another_of_the_sweep_is_taken_and_one_that_none_helps_is_not(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    momentum = {"optimizer.name": {"value": "sgd"}, "optimizer.nesterov": {"values": [False, True]}}
    with pytest.raises(ConfigError, match=r"optimizer\.nesterov=true: "):
        load_sweep(write_sweep(tmp_path, parameters=momentum))
    with pytest.raises(ConfigError, match=r"optimizer\.nesterov=true: "):
        load_sweep(write_sweep(tmp_path, parameters={**momentum, "optimizer.momentum": {"values": [0]}}))
    load_sweep(write_sweep(tmp_path, parameters={**momentum, "optimizer.momentum": {"values": [0, 0.9]}}))
    table = tmp_path / "table.csv"
    table.write_text("a,y\n1,a\n2,b\n")
    data = {"data.dataset.name": "csv", "data.dataset.target": "y", "data.path": str(table)}
    load_sweep(write_sweep(tmp_path, parameters={path: {"value": value} for path, value in data.items()}))


def test_a_fixed_value_after_the_parameters_in_the_command_overrules_one_on_wandb(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    def sweep_with(*last: str) -> Path:
        command = ["nnscratch", "train", str(tmp_path / "base.yaml"), "seed=2", "${args_no_hyphens}", *last]
        parameters = {"training.epochs": {"values": [1, 2]}, "seed": {"values": [1, 2]}}
        return write_sweep(tmp_path, command=command, parameters=parameters)

    load_sweep(sweep_with("l2=0.5"))
    for last, text in ((["--epochs", "5"], "training.epochs=5"), (["--training.epochs=5"], "training.epochs=5")):
        definition = load_sweep(sweep_with(*last))
        (problem,) = overruled_by_the_command(definition)
        assert definition.warnings == (f"{problem.path}: {problem.message}",)
        assert problem.path == "parameters.training.epochs"
        assert problem.message.startswith(f"{text} after ${{args...}} in `command`")


def test_a_mapping_is_yaml_to_people_and_what_it_was_to_the_studies_of_before() -> None:
    choice = Choice([{"name": "sgd", "momentum": 0.9}, [{"relu": None}], "adam"])
    assert choice.labels == ["{'name': 'sgd', 'momentum': 0.9}", "[{'relu': None}]", "adam"]
    assert list(map(setting, choice.values)) == ["{name: sgd, momentum: 0.9}", "[{relu: null}]", "adam"]


def test_early_termination_that_comes_too_late_for_every_trial_is_warned_of(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    def warnings(least: int, **changes: Any) -> tuple[str, ...]:
        return load_sweep(write_sweep(tmp_path, early_terminate={"type": "hyperband", "min_iter": least}, **changes)
                          ).warnings  # fmt: skip

    assert warnings(2) == ()
    assert warnings(3) == (
        "early_terminate: stops no trial: it looks at epoch 3 first, and trials have 3 epochs at most",
    )
    assert warnings(3, parameters={"training.epochs": {"values": [2, 4]}}) == ()


def test_a_metric_of_validation_data_that_no_trial_holds_out_is_refused_where_the_sweep_names_it(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    config = {"data": {"dataset": {"name": "shapes", "train": 200, "test": 50}, "validation": 0}}
    with pytest.raises(
        ConfigError, match=r"no trial has val_accuracy: data.validation is 0 in .*base.yaml:1;"
    ) as caught:
        load_sweep(write_sweep(tmp_path, config))
    (problem,) = caught.value.problems
    assert (problem.path, problem.source) == ("metric.name", str(tmp_path / "sweep.yaml"))
    held_out = {"data.validation": {"min": 0.0, "max": 0.3}}  # of which no trial draws the very beginning
    for changes, overrides in (
        ({"metric": {"name": "train_loss", "goal": "minimize"}}, []),
        ({"parameters": held_out}, []),
        ({}, ["data.validation=0.1"]),
    ):
        load_sweep(write_sweep(tmp_path, config, **changes), overrides=overrides)


def test_trials_of_no_epoch_are_refused_before_the_first(write_sweep: WriteSweep, tmp_path: Path) -> None:
    file = write_sweep(tmp_path, metric={"name": "train_loss", "goal": "minimize"})
    load_sweep(file)
    with pytest.raises(ConfigError, match=r"no trial has train_loss: training.epochs is 0; 10 there"):
        load_sweep(file, overrides=["training.epochs=0"])


NUMBERS = {
    "run_cap": "run_cap: X",
    "metric.target": "metric: {name: val_accuracy, goal: maximize, target: X}",
    "early_terminate.eta": "early_terminate: {type: hyperband, min_iter: 1, eta: X}",
    "early_terminate.min_iter": "early_terminate: {type: hyperband, min_iter: X}",
    "early_terminate.max_iter": "early_terminate: {type: hyperband, max_iter: X, s: 1}",
    "early_terminate.s": "early_terminate: {type: hyperband, max_iter: 27, s: X}",
    "parameters.l2.min": "parameters: {l2: {min: X, max: 1.0}}",
    "parameters.l2.max": "parameters: {l2: {min: 0.0, max: X}}",
    "parameters.l2.q": "parameters: {l2: {distribution: q_uniform, min: 0, max: 1, q: X}}",
    "parameters.l2.mu": "parameters: {l2: {distribution: normal, mu: X}}",
    "parameters.l2.sigma": "parameters: {l2: {distribution: normal, sigma: X}}",
    "parameters.l2.a": "parameters: {l2: {distribution: beta, a: X}}",
    "parameters.l2.b": "parameters: {l2: {distribution: beta, b: X}}",
    "parameters.l2.probabilities.0": "parameters: {l2: {values: [0, 1], probabilities: [X, 0.5]}}",
}


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf", "true", "many"])
@pytest.mark.parametrize("path", NUMBERS)
def test_a_number_of_a_sweep_file_that_is_none_is_refused_at_its_place(
    path: str, number: str, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    file = write_sweep(tmp_path)
    lines = {
        "method": "method: random",
        "metric": "metric: {name: val_accuracy, goal: maximize}",
        "run_cap": "run_cap: 2",
        "parameters": "parameters: {l2: {value: 0}}",
        "command": f"command: [nnscratch, train, {tmp_path / 'base.yaml'}, '${{args}}']",
    }
    lines[path.partition(".")[0]] = NUMBERS[path].replace("X", number)
    file.write_text("\n".join(lines.values()))
    with pytest.raises(ConfigError) as caught:
        load_sweep(file)
    problem = next(problem for problem in caught.value.problems if problem.path == path)
    assert problem.message.startswith(("expected a finite number", "expected a whole number"))
    assert problem.line is not None
    assert problem.column is not None
    assert file.read_text().splitlines()[problem.line - 1][problem.column - 1 :].startswith(number)


@pytest.mark.parametrize("written", ["value: .nan", "values: [0, .inf]", "values: [{strength: -.inf}, 0]"])
def test_a_value_that_is_no_finite_number_is_refused_at_its_place(
    written: str, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    file = write_sweep(tmp_path, parameters=None)
    file.write_text(file.read_text().replace("{", f'{{"parameters": {{l2: {{{written}}}}},\n', 1))
    with pytest.raises(ConfigError, match=r"parameters\.l2\.value.*: holds a number that is not finite") as caught:
        load_sweep(file)
    assert caught.value.problems[0].line == 1


def test_every_problem_of_a_sweep_file_is_said_at_once_with_its_place(write_sweep: WriteSweep, tmp_path: Path) -> None:
    file = write_sweep(tmp_path)
    base = tmp_path / "base.yaml"
    file.write_text(
        "method: gird\nmetric: {name: val_accuracy, goal: maximise}\nrun_cap: 2\n"
        "parameters:\n  l2: {min: 2}\n"
        f"command: [nnscratch, train, {base}, '${{args}}']\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_sweep(file)
    places = [(problem.path, problem.line) for problem in caught.value.problems]
    assert places == [("method", 1), ("metric.goal", 2), ("parameters.l2", 5)]


def test_values_that_the_config_refuses_are_refused_before_anything_is_trained(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    wrong = {"optimizer.learning_rte": {"value": 1}, "model.activation": {"values": ["relu", "rellu"]}}
    with pytest.raises(ConfigError) as caught:
        load_sweep(write_sweep(tmp_path, parameters=wrong))
    said = [str(problem) for problem in caught.value.problems]
    assert "did you mean learning_rate" in said[0]
    assert "did you mean relu" in said[1]


def test_a_field_that_only_some_choices_have_may_be_varied_with_the_choice(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    mixed = {"optimizer.name": {"values": ["adam", "sgd"]}, "optimizer.momentum": {"value": 0.9}}
    load_sweep(write_sweep(tmp_path, parameters=mixed))


def test_the_parameters_in_the_documentation_mean_what_it_says(
    root: Path, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    snippets = re.findall(r"```yaml\n(.*?)```", (root / "docs" / "sweeps.md").read_text(), re.DOTALL)
    conditional, mixture = (parse_yaml(snippet, "docs/sweeps.md").value for snippet in snippets)
    assert load_sweep(write_sweep(tmp_path, method="grid", run_cap=None, parameters=conditional)).grid_size() == 3
    assert only_parameter(write_sweep(tmp_path, parameters=mixture)) == Mixture(
        [Constant(0), Interval(0.00001, 0.01, True)]
    )


def test_the_sweeps_in_configs_can_be_used(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    sizes = {}
    for path in (root / "configs").rglob("sweep*.yaml"):
        definition = load_sweep(path)
        if definition.method == "grid":
            sizes[path.stem] = definition.grid_size()
    assert sizes == {
        "sweep_fashion": 6,
        "sweep_initialization": 9,
        "sweep_optimizers": 27,
        "sweep_l2": 18,
        "sweep_architecture": 18,
    }


def test_a_sweep_over_minutes_asks_for_no_epochs(write_sweep: WriteSweep, tmp_path: Path) -> None:
    config = {"training": {"epochs": 0}}
    load_sweep(write_sweep(tmp_path, config, parameters={"training.minutes": {"values": [0.1, 0.2]}}))


def test_a_mistyped_parameter_is_refused_without_trying_it_beside_all_others(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = {"values": [value / 100 for value in range(1, 21)]}
    file = write_sweep(tmp_path, parameters={"optimizer.momentun": many, "optimizer.beta1": many, "l2": many})
    tried: list[Value] = []
    plain = fitting._tried

    def counted(definition: SweepDefinition, parameter: Parameter, value: Value, beside: dict[str, Value]) -> object:
        tried.append(value)
        return plain(definition, parameter, value, beside)

    monkeypatch.setattr(fitting, "_tried", counted)
    with pytest.raises(ConfigError, match="unknown field"):
        load_sweep(file)
    assert len(tried) < 300
