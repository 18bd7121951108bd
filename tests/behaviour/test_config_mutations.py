"""Valid configs, changed at random: each is a Config or a ConfigError, and a Config survives its own YAML."""

from __future__ import annotations

import copy
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnscratch.config.config import config_from_mapping, flatten, parse_config
from nnscratch.config.yaml_core import dump_yaml
from nnscratch.errors import ConfigError

VALID: list[dict[str, Any]] = [
    {
        "name": "plain",
        "data": {"dataset": "cifar10", "validation": 0.1, "scaling": "standardize", "augment": []},
        "model": {"hidden_layers": [8, 4], "activation": "relu", "weight_init": "he", "output": "softmax"},
        "loss": {"name": "cross_entropy", "label_smoothing": 0.1, "class_weights": [1.0, 2]},
        "l2": 0.001,
        "optimizer": {"name": "adam", "learning_rate": 0.001},
        "schedule": "cosine",
        "training": {"epochs": 3, "batch_size": 16, "early_stopping": 2, "averaging": {"ema": 0.9}},
        "wandb": "off",
    },
    {
        "seed": 3,
        "data": {"dataset": {"csv": {"target": "price", "task": "regression"}}, "path": "a.csv", "limit": 10},
        "model": {
            "layers": [
                "flatten",
                {"dense": 3},
                {"leaky_relu": {"slope": 0.1}},
                {"name": "dense", "weight_init": "zeros"},
            ]
        },
        "loss": "mean_squared_error",
        "l2": {"strength": 0.1, "divide_by_batch": True},
        "optimizer": {"sgd": {"momentum": 0.9, "nesterov": True}},
        "schedule": {"name": "step", "every": 2},
        "training": {"checkpoint_every": {"steps": 5}, "monitor": "val_loss", "clip_norm": 1},
        "wandb": {"mode": "offline", "tags": ["a", "b"]},
    },
]
WORDS = ["name", "adam", "sgd", "relu", "dense", "layers", "none", "units", "he", "", "0", "model", "a.b", "\n"]
KEYS = st.sampled_from(WORDS) | st.text(max_size=5)
SCALARS = (
    st.sampled_from(WORDS)
    | st.text(max_size=5)
    | st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.floats()
    | st.sampled_from([10**400, -(10**30), 2**63, 1e308, -0.0])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a value with each of its keys or indices."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    config: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 3))):
        found = places(config)
        if not found:
            break
        container, key = found[draw(st.integers(0, len(found) - 1))]
        match draw(st.sampled_from(["replace", "delete", "insert", "exchange"])):
            case "replace":
                container[key] = draw(VALUES)
            case "delete":
                del container[key]
            case "insert" if isinstance(container, dict):
                container[draw(KEYS)] = draw(VALUES)
            case "insert":
                container.insert(key, draw(VALUES))
            case "exchange":
                other, other_key = found[draw(st.integers(0, len(found) - 1))]
                container[key] = copy.deepcopy(other[other_key])
    return config


@given(mutated())
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_mutated_config_is_a_config_or_a_config_error(mapping: dict[str, Any]) -> None:
    try:
        config = config_from_mapping(mapping)
    except ConfigError as error:
        assert str(error)  # noqa: PT017  # any other exception fails the test
        return
    assert parse_config(config.to_yaml(), "again") == config
    config.build_layers()
    config.optimizer.build()
    assert flatten(config)


@given(mutated())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_holds_for_its_yaml(mapping: dict[str, Any]) -> None:
    text = yaml.safe_dump(mapping, sort_keys=False)
    try:
        config = parse_config(text, "my.yaml")
    except ConfigError as error:
        assert all(problem.source for problem in error.problems if problem.path)  # noqa: PT017
        return
    assert parse_config(dump_yaml(config.to_dict()), "again") == config


@given(st.sampled_from(VALID), st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_override_gives_a_config_or_a_config_error(mapping: dict[str, Any], data: st.DataObject) -> None:
    paths = [*flatten(config_from_mapping(mapping)), "optimizer", "model", "schedule", "data.dataset", "model.layers.1"]
    path = data.draw(st.sampled_from(paths) | st.text(max_size=8), label="path")
    suffix = data.draw(st.sampled_from(["", ".name", ".0", ".x"]), label="suffix")
    value = data.draw(VALUES, label="value")
    try:
        text = dump_yaml(value) if not isinstance(value, str) else value
        config = config_from_mapping(mapping, overrides=[f"{path}{suffix}={text}"])
    except (ConfigError, UnicodeError):
        return
    assert parse_config(config.to_yaml(), "again") == config
