from __future__ import annotations

import re
from textwrap import indent

from nnscratch.config.config import flatten, parse_config
from nnscratch.setup.starter import starter_config


def test_the_starter_trains_a_small_network_on_the_built_in_data() -> None:
    config = parse_config(starter_config(), "my_first.yaml")
    values = flatten(config)

    assert config.name == "my_first"
    assert values["data.dataset.name"] == "shapes"
    assert values["model.hidden_layers"] == [256, 128]
    assert values["optimizer.learning_rate"] == 0.001
    assert values["l2.strength"] == 0.0001
    assert values["schedule.name"] == "cosine"


def test_the_settings_in_comments_load_too() -> None:
    text = re.sub(r"^( *)# (path|limit|early_stopping|clip_norm):", r"\1\2:", starter_config(), flags=re.MULTILINE)
    config = parse_config(text, "my_first.yaml")

    assert config.data.path == "data/mine"
    assert config.data.limit == 1000
    assert config.training.clip_norm == 1.0
    assert config.training.early_stopping is not None
    assert config.training.early_stopping.patience == 5


def test_the_layers_in_comments_load_in_place_of_the_plain_form() -> None:
    layers = "\n".join(re.findall(r"^  # (layers:|  - .*)$", starter_config(), flags=re.MULTILINE))
    config = parse_config("data: {dataset: shapes}\nmodel:\n" + indent(layers, "  "), "my_first.yaml")

    assert [layer.name for layer in config.model.layers or ()] == ["flatten", "dense", "relu", "dense"]


def test_every_setting_has_a_reason_beside_it() -> None:
    settings = [line for line in starter_config().splitlines() if ": " in line.split("#")[0]]

    assert settings
    assert [line for line in settings if "#" not in line] == []


def test_the_starter_fits_a_terminal() -> None:
    assert max(map(len, starter_config().splitlines())) <= 120
