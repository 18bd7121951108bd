from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from pydantic import ValidationError

from nnscratch.config.config import Config, config_from_mapping, differences, flatten, load_config, parse_config
from nnscratch.errors import ConfigError
from nnscratch.nn.layers import Dense, Flatten, ReLU, Softmax, Tanh
from nnscratch.training.optimizers import Adam

CONFIGS = Path(__file__).parents[2] / "configs"

SMALL = """\
data: {dataset: shapes}
model: {hidden_layers: [4]}
"""


def problems(text: str) -> list[str]:
    """The first lines of the messages, without the place."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "my.yaml")
    return [f"{problem.path}: {problem.message}" for problem in caught.value.problems]


def small(text: str) -> list[str]:
    return problems(SMALL + text)


@pytest.mark.parametrize(
    "path", [each for each in sorted(CONFIGS.rglob("*.yaml")) if "sweep" not in each.stem], ids=lambda path: path.stem
)
def test_every_shipped_config_loads_and_its_canonical_form_loads_to_an_equal_config(path: Path) -> None:
    config = load_config(path)

    assert parse_config(config.to_yaml(), "canonical") == config


def test_what_is_left_out_has_the_documented_defaults() -> None:
    config = parse_config(SMALL, "configs/my.yaml")

    assert config.name == "my"
    assert config.seed == 42
    assert config.data.validation == 0.1
    assert config.data.scaling.name == "unit"
    assert config.model.activation is not None
    assert config.model.activation.name == "relu"
    assert config.model.weight_init.name == "he"
    assert config.loss.name == "cross_entropy"
    assert config.optimizer.to_dict()["learning_rate"] == 0.001
    assert config.schedule.name == "constant"
    assert (config.training.epochs, config.training.batch_size) == (20, 128)
    assert (config.training.checkpoint_every.minutes, config.training.keep_last) == (1, 1)
    assert config.wandb.mode == "off"


def test_a_file_name_that_is_no_folder_name_gives_a_safe_run_name(tmp_path: Path) -> None:
    file = tmp_path / ".my config (2).yaml"
    file.write_text(SMALL)

    assert load_config(file).name == "my-config-2"


def test_short_and_long_forms_give_equal_configs() -> None:
    short = parse_config(
        """
        data: {dataset: cifar10}
        model: {layers: [flatten, dense: 8, {leaky_relu: {slope: 0.1}}, dense]}
        l2: 0.001
        optimizer: adam
        schedule: cosine
        training: {early_stopping: 5, checkpoint_every: 2, averaging: ema}
        wandb: offline
        """,
        "run",
    )
    long = parse_config(
        """
        name: run
        data: {dataset: {name: cifar10}}
        model:
          layers:
            - {name: flatten}
            - {name: dense, units: 8, bias: true, weight_init: null}
            - {name: leaky_relu, slope: 0.1}
            - {name: dense, units: null}
        l2: {strength: 1e-3}
        optimizer: {name: adam, learning_rate: 1e-3}
        schedule: {name: cosine}
        training: {early_stopping: {patience: 5}, checkpoint_every: {epochs: 2}, averaging: {name: ema}}
        wandb: {mode: offline}
        """,
        "run",
    )

    assert short == long


def test_a_config_is_frozen_and_survives_pickling() -> None:
    config = parse_config(SMALL, "my.yaml")

    with pytest.raises(ValidationError):
        config.seed = 1
    assert pickle.loads(pickle.dumps(config)) == config


def test_every_build_gives_new_layers_and_a_new_optimizer() -> None:
    config = parse_config("data: {dataset: shapes}\nmodel: {layers: [flatten, dense]}", "my.yaml")

    assert config.build_layers()[1] is not config.build_layers()[1]
    assert config.optimizer.build() is not config.optimizer.build()
    assert isinstance(config.optimizer.build(), Adam)


def test_hidden_layers_stand_for_flatten_dense_and_activation_in_turn() -> None:
    layers = config_from_mapping(
        {"data": {"dataset": "shapes"}, "model": {"hidden_layers": [5, 3], "activation": "tanh"}}
    ).build_layers()

    assert [type(layer) for layer in layers] == [Flatten, Dense, Tanh, Dense, Tanh, Dense]
    assert [layer.units for layer in layers if isinstance(layer, Dense)] == [5, 3, None]


def test_no_hidden_layers_are_a_linear_model() -> None:
    layers = config_from_mapping({"data": {"dataset": "shapes"}, "model": {"hidden_layers": []}}).build_layers()

    assert [type(layer) for layer in layers] == [Flatten, Dense]


@pytest.mark.parametrize(
    ("loss", "output", "last"),
    [
        ("cross_entropy", "softmax", Dense),
        ("cross_entropy", "linear", Dense),
        ("cross_entropy", None, Dense),
        ("mean_squared_error", None, Dense),
        ("mean_squared_error", "linear", Dense),
        ("mean_squared_error", "softmax", Softmax),
        ("mean_squared_error", "relu", ReLU),
    ],
)
def test_the_output_is_a_layer_unless_the_loss_includes_it(loss: str, output: str | None, last: type) -> None:
    model = {"hidden_layers": [3], "output": output}
    config = config_from_mapping({"data": {"dataset": "shapes"}, "model": model, "loss": loss})

    assert type(config.build_layers()[-1]) is last


def test_a_message_has_file_line_column_path_suggestion_allowed_names_and_a_caret() -> None:
    text = SMALL + "optimizer:\n  name: adam\n  leraning_rate: 0.001\n"

    with pytest.raises(ConfigError) as caught:
        parse_config(text, "configs/my.yaml")

    assert str(caught.value) == (
        "configs/my.yaml:5:3  optimizer.leraning_rate: unknown field; did you mean learning_rate?"
        " (allowed: beta1, beta2, epsilon, learning_rate)\n"
        "      leraning_rate: 0.001\n"
        "      ^"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: -1", "seed: must be at least 0, got -1"),
        ("seed: abc", "seed: expected a whole number, got text 'abc'"),
        ("seed: 1.5", "seed: expected a whole number, got 1.5"),
        ("seed: true", "seed: expected a whole number, got true"),
        ("seed:", "seed: expected a whole number, got nothing (null)"),
        ("seed: [1]", "seed: expected a whole number, got a list"),
        ("l2: -0.1", "l2.strength: must be at least 0, got -0.1"),
        ("l2: .nan", "l2.strength: must be a finite number, got nan"),
        ("optimizer: {name: adam, learning_rate: 0}", "optimizer.learning_rate: must be greater than 0, got 0"),
        ("optimizer: {name: adam, learning_rate: -1}", "optimizer.learning_rate: must be greater than 0, got -1"),
        ("optimizer: {adam: {learning_rate: .inf}}", "optimizer.learning_rate: must be a finite number, got inf"),
        ("optimizer: {adam: {learning_rate: .nan}}", "optimizer.learning_rate: must be a finite number, got nan"),
        ("optimizer: {name: adam, learning_rate: no}", "optimizer.learning_rate: expected a number, got text 'no'"),
        ("training: {epochs: 2.0}", "training.epochs: expected a whole number, got 2.0"),
        ("training: {batch_size: 0}", "training.batch_size: must be at least 1, got 0"),
        ("training: 5", "training: expected a mapping of fields, got 5"),
        ("training: {early_stopping: {}}", "training.early_stopping.patience: is required"),
        (
            "training: {monitor: val_acuracy}",
            "training.monitor: unknown value `val_acuracy`; did you mean val_accuracy? (allowed: val_loss, ",
        ),
        (
            "training: {checkpoint_every: {}}",
            "training.checkpoint_every: set at least one of epochs, steps, minutes",
        ),
        ("plugins: mine.py", "plugins: expected a list, got text 'mine.py'"),
        ("plugins: ['']", "plugins.0: must not be empty"),
        ("wandb: of", "wandb.mode: expected off, offline or online, got text 'of'; did you mean off?"),
        ("loss: {cross_entropy: {label_smoothing: 1}}", "loss.label_smoothing: must be less than 1, got 1"),
        (
            "loss: {cross_entropy: {class_weights: equal}}",
            "loss.class_weights: expected balanced or a list, got text 'equal'",
        ),
        (
            "loss: {cross_entropy: {class_weights: [1, x]}}",
            "loss.class_weights.1: expected a number, got text 'x'",
        ),
        (
            "schedule: cosin",
            "schedule.name: unknown schedule `cosin`; did you mean cosine? (allowed: constant, ",
        ),
        (
            "optimizer: {learning_rate: 0.1}",
            "optimizer: which optimizer? write its name: {name: ..., ...} (allowed: adam, ",
        ),
        (
            "evaluation: {test_time_augmentation: yes}",
            "evaluation.test_time_augmentation: expected none, flip or flip_translate, got text 'yes'",
        ),
    ],
)
def test_a_wrong_value_is_explained_in_plain_words(text: str, message: str) -> None:
    (found,) = small(text)

    assert found.startswith(message) if "(allowed" in message else found == message


def test_a_union_is_explained_once() -> None:
    assert len(small("loss: {cross_entropy: {class_weights: {a: 1}}}")) == 1


@pytest.mark.parametrize("name", ["../up", "a\n", "x" * 101, "a."])
def test_a_name_that_leaves_its_folder_is_refused(name: str) -> None:
    assert small(f"name: {json.dumps(name)}")[0].startswith("name: must be usable as a folder name")


def test_the_model_needs_one_form_and_only_one() -> None:
    data = "data: {dataset: shapes}\n"

    assert problems(data + "model: {}") == [
        "model: needs hidden_layers (a list of widths, [] for a linear model) or layers (a list of layers)"
    ]
    assert problems(data + "model:\n  hidden_layers: [1]\n  layers: [dense]") == [
        "model.hidden_layers: cannot be combined with model.layers (line 4); keep one of hidden_layers and layers"
    ]


def test_an_activation_that_was_left_empty_is_none_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("data: {dataset: shapes}\nmodel: {hidden_layers: [4], activation: }")
    told: list[str] = []
    config = load_config(tmp_path / "my.yaml", tell=told.append)
    assert [layer.name for layer in config.build_layers()] == ["flatten", "dense", "dense"]
    assert told == ["model.activation is empty: no activation; leave it out for relu, or say identity to mean it"]


def test_what_explicit_layers_make_pointless_is_refused() -> None:
    text = "data: {dataset: shapes}\nmodel: {layers: [dense], activation: relu, output: softmax}"

    assert [message.split(":")[0] for message in problems(text)] == ["model.activation", "model.output"]


def test_softmax_before_a_loss_that_includes_it_is_refused() -> None:
    layers = "data: {dataset: shapes}\nmodel: {layers: [flatten, dense, softmax]}\n"

    assert problems(layers) == ["model.layers.2: the loss cross_entropy includes softmax; leave this last layer out"]
    assert parse_config(layers + "loss: mean_squared_error", "my.yaml").build_layers()


@pytest.mark.parametrize("field", ["early_stopping: 3", "monitor: val_loss"])
def test_watching_validation_needs_validation(field: str) -> None:
    text = f"data: {{dataset: shapes, validation: 0}}\nmodel: {{hidden_layers: []}}\ntraining: {{{field}}}"

    assert problems(text) == [f"training.{field.split(':')[0]}: needs a validation split, but data.validation is 0"]


def test_regression_needs_a_loss_and_a_monitor_for_numbers() -> None:
    text = """
data: {dataset: {csv: {task: regression}}, path: prices.csv}
model: {hidden_layers: []}
training: {monitor: val_accuracy}
"""

    assert problems(text) == [
        "loss: cross_entropy is for classes, but data.dataset.task is regression; use mean_squared_error",
        "training.monitor: must be val_loss or a figure of regression, which has no accuracy",
    ]


def test_a_figure_of_numbers_cannot_be_monitored_with_a_loss_for_classes() -> None:
    text = "data: {dataset: shapes}\nmodel: {hidden_layers: []}\ntraining: {monitor: val_r2}"
    assert problems(text) == ["training.monitor: must be val_loss or a figure of classification, which has no R2"]


def test_all_problems_are_reported_at_once_in_the_order_of_the_file() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config("sed: 1\ndata: {dataset: shape, limit: 0}\nmodel: {layers: [dense: 0]}\nl2: x\n", "my.yaml")

    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (1, "sed"),
        (2, "data.dataset.name"),
        (2, "data.limit"),
        (3, "model.layers.0.units"),
        (4, "l2.strength"),
    ]


def test_thousands_of_problems_are_cut_to_thirty_and_a_count() -> None:
    found = problems("data: {dataset: shapes}\nmodel: {hidden_layers: [" + "0, " * 5000 + "1]}")

    assert len(found) == 31
    assert found[-1] == ": ... and 4970 more"


@pytest.mark.parametrize(
    ("text", "words"), [("", "is empty"), ("# nothing", "is empty"), ("[1]", "not a config"), ("x", "not a config")]
)
def test_a_file_without_fields_points_to_init(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse_config(text, "my.yaml")

    assert caught.value.hint is not None
    assert "nnscratch init" in caught.value.hint


def test_sections_left_empty_have_their_defaults() -> None:
    assert parse_config(SMALL + "training:\nwandb:\nl2:\n", "my.yaml") == parse_config(SMALL, "my.yaml")


def test_missing_sections_are_named() -> None:
    assert problems("seed: 1") == ["data: is required", "model: is required"]


@pytest.mark.parametrize(
    ("text", "field", "meant"),
    [
        (SMALL.replace("hidden_layers", "hiden_layers"), "model.hiden_layers", "hidden_layers"),
        (SMALL.replace("data:", "dta:"), "dta", "data"),
        (SMALL + "training: {early_stopping: {patence: 3}}", "training.early_stopping.patence", "patience"),
    ],
)
def test_a_misspelt_field_is_one_problem_though_it_is_required(text: str, field: str, meant: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"{field}: unknown field; did you mean {meant}?")


def test_the_canonical_form_says_everything() -> None:
    text = parse_config(SMALL, "my.yaml").to_yaml()

    for line in (
        "name: my",
        "  activation: {name: relu}",
        "l2: {strength: 0.0, divide_by_batch: false}",
        "optimizer: {name: adam, learning_rate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1.0e-08}",
        "  early_stopping: null",
        "plugins: []",
    ):
        assert line in text.splitlines()


def test_flatten_gives_dotted_paths_and_keeps_lists_of_numbers_whole() -> None:
    explicit = parse_config("data: {dataset: shapes}\nmodel: {layers: [flatten, dense: 3]}", "my.yaml")

    assert flatten(parse_config(SMALL, "my.yaml"))["model.hidden_layers"] == [4]
    assert flatten(explicit)["model.layers.1.units"] == 3
    assert flatten(explicit)["optimizer.learning_rate"] == 0.001
    assert flatten(explicit)["data.augment"] == []


def test_differences_name_paths_and_both_values() -> None:
    left = parse_config(SMALL, "my.yaml")
    right = parse_config(SMALL, "my.yaml", ["seed=1", "optimizer=sgd"])

    assert differences(left, left) == {}
    found = differences(left, right)
    assert found["seed"] == (42, 1)
    assert found["optimizer.name"] == ("adam", "sgd")
    assert found["optimizer.beta1"] == (0.9, None)
    assert found["optimizer.momentum"] == (None, 0.0)


def test_fields_are_typed_for_the_program() -> None:
    config: Config = parse_config(SMALL + "l2: 0.5", "my.yaml")

    assert config.l2.build().strength == 0.5
    assert config.model.hidden_layers == (4,)


def test_a_field_in_the_wrong_place_is_sent_to_where_it_belongs() -> None:
    found = small("batch_size: 32\nlearning_rate: 0.1\noptimizer: {name: sgd, lr: 0.1}\nwd: 0.1\n")
    assert [problem.partition(" (allowed")[0] for problem in found] == [
        "batch_size: unknown field; did you mean training.batch_size?",
        "learning_rate: unknown field; did you mean optimizer.learning_rate?",
        "optimizer.lr: unknown field; did you mean learning_rate?",
        "wd: unknown field; did you mean optimizer.weight_decay?",
    ]


def test_nesterov_and_dampening_without_momentum_are_problems_at_their_fields() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(SMALL + "optimizer:\n  name: sgd\n  nesterov: true\n  dampening: 0.5\n", "my.yaml")
    words = "has no effect without momentum: set momentum too (0.9 is usual), or leave this out"
    assert [(each.path, each.line, each.message) for each in caught.value.problems] == [
        ("optimizer.nesterov", 5, words),
        ("optimizer.dampening", 6, words),
    ]
    config = parse_config(SMALL + "optimizer: {sgd: {nesterov: true, momentum: 0.5}}\n", "my.yaml")
    assert config.optimizer.fields["nesterov"] is True
