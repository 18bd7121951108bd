"""Valid configs, changed at random: each is a ConfigError, or a Config that survives its YAML and can start."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnscratch.config.config import config_from_mapping, flatten, load_config, parse_config
from nnscratch.config.yaml_core import dump_yaml
from nnscratch.datasets.sources.shapes import Shapes
from nnscratch.errors import ConfigError, UserError
from nnscratch.experiment.recorder import Recorder
from nnscratch.experiment.session import Session
from nnscratch.experiment.train import train
from nnscratch.host import machine
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace

Start = Callable[[dict[str, Any]], None]

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
def mutated(
    draw: st.DrawFn,
    valid: list[dict[str, Any]] = VALID,
    keys: st.SearchStrategy[str] = KEYS,
    values: st.SearchStrategy[Any] = VALUES,
) -> dict[str, Any]:
    """One of the valid configs with one to three changes."""
    config: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(valid)))
    for _ in range(draw(st.integers(1, 3))):
        found = places(config)
        if not found:
            break
        container, key = found[draw(st.integers(0, len(found) - 1))]
        match draw(st.sampled_from(["replace", "delete", "insert", "exchange"])):
            case "replace":
                container[key] = draw(values)
            case "delete":
                del container[key]
            case "insert" if isinstance(container, dict):
                container[draw(keys)] = draw(values)
            case "insert":
                container.insert(key, draw(values))
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
        assert all(problem.source for problem in error.problems if problem.path)  # noqa: PT017  both ends are allowed, this is one of them
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


TINY: dict[str, Any] = {
    "name": "tiny",
    "data": {"dataset": {"name": "shapes", "train": 40, "test": 20}},
    "model": {"hidden_layers": [4]},
    "training": {"epochs": 1, "batch_size": 10},
}
STARTING: list[dict[str, Any]] = [
    {**TINY, "schedule": "cosine", "l2": 0.1, "optimizer": {"name": "sgd", "momentum": 0.9}, "seed": 1},
    {
        **TINY,
        "model": {"layers": ["flatten", {"dense": 3}, "relu", {"name": "dense", "weight_init": "zeros"}]},
        "loss": {"name": "cross_entropy", "label_smoothing": 0.1, "class_weights": "balanced"},
        "training": {"epochs": 1, "batch_size": 10, "early_stopping": 2, "averaging": "ema", "clip_norm": 1.0},
        "evaluation": {"test_time_augmentation": "none"},
    },
]
# Every kind, every edge, and nothing that would make an honest training large.
EDGES = (0, 1, 2, 3, 7, -1, 0.0, 0.5, 1.0, -0.5, 1e-300, 1e300, 2**31, 2**40, 2**62, 2**63, -(2**63))
TEXTS = (
    "",
    "relu",
    "adam",
    "dense",
    "shapes",
    "none",
    "a.b",
    "0",
    "1e-3",
    "no",
    "\x00",
    "\ud800",
    "../x",
    "ä",
    "x" * 300,
)
NAMES = ("csv", "npz", "image_folder", "flatten", "softmax", "mean_squared_error", "balanced")
SMALL_VALUES = st.recursive(
    st.sampled_from([None, True, False, float("inf"), float("nan"), *EDGES, *TEXTS, *NAMES]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "units", "short", "x"]), inner)
    ),
    max_leaves=4,
)
MUTATED_START = mutated(STARTING, st.sampled_from(["name", "epochs", "path", "limit", "x", ""]), SMALL_VALUES)
PATIENT = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts a training and checks what it leaves: a run, or one message and nothing.

    Everything up to the first step is real: reading, data, network, recipe, run directory. Then it is enough.
    """
    monkeypatch.setattr(Recorder, "begin", lambda recorder: None)
    monkeypatch.setattr(Session, "train", lambda session: None)
    monkeypatch.setattr(machine, "checked_out_commit", lambda: None)
    monkeypatch.setattr(Shapes, "_draw_split", draw_nothing)
    return starts_or_fails_cleanly


def draw_nothing(source: Shapes, split: int, count: int) -> tuple[Any, Any]:
    """Black pictures of all classes: drawing 4,000 times would take a minute."""
    return np.zeros((count, 32, 32, 3), np.uint8), np.arange(count, dtype=np.int64) % 10


def starts_or_fails_cleanly(config: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file, runs = Path(folder) / "my.yaml", Path(folder) / "runs"
        file.write_text(json.dumps(config).replace("NaN", ".nan").replace("Infinity", ".inf"))
        error: UserError | None = None
        # Anything but these two is a traceback, and fails the test.
        try:
            train(load_config(file), Workplace(Path(folder), runs, 1), Display(quiet=True))
        except UserError as caught:
            error = caught
        except MemoryError as caught:
            error = UserError(str(caught))
        made = [path.name for path in runs.iterdir()] if runs.exists() else []
        assert len(made) == (error is None)
        assert error is None or (error.message and error.exit_code in (1, 2, 4))
        assert sorted(path.name for path in Path(folder).iterdir()) == (["my.yaml", "runs"] if made else ["my.yaml"])


@given(config=MUTATED_START)
@settings(max_examples=200, derandomize=True, deadline=None, suppress_health_check=PATIENT)
def test_a_mutated_config_starts_or_fails_cleanly_and_a_config_error_leaves_no_run(
    start: Start, config: dict[str, Any]
) -> None:
    start(config)


@pytest.mark.exhaustive
@given(config=MUTATED_START)
@settings(max_examples=2000, deadline=None, suppress_health_check=PATIENT)
def test_2000_other_mutated_configs_start_or_fail_cleanly(start: Start, config: dict[str, Any]) -> None:
    start(config)
