"""One rule for every name that becomes a folder, typed or taken from a file's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from nnscratch.config.config import config_from_mapping, load_config
from nnscratch.config.names import FOLDER_NAME, folder_name, is_folder_name
from nnscratch.errors import ConfigError

REFUSED = ["../up", "/absolute", "a/b", "a\\b", "", ".", "..", ".hidden", "-x", "a\n", "x" * 101, "a.", "über", "a b"]
TAKEN = ["a", "_", "7", "a-", "cifar_cnn.v2", "2024", "x" * 100]
SHAPES = {"data": {"dataset": "shapes"}, "model": {"hidden_layers": []}}


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_is_no_folders_is_refused(name: str) -> None:
    assert not is_folder_name(name)
    with pytest.raises(ConfigError, match="usable as a folder name: a to z, A to Z, 0 to 9"):
        config_from_mapping({"name": name, **SHAPES})


@pytest.mark.parametrize("name", TAKEN)
def test_a_name_that_every_file_system_takes_is_taken(name: str) -> None:
    assert config_from_mapping({"name": name, **SHAPES}).name == name
    assert re.search(FOLDER_NAME, name), "what the JSON Schema tells an editor is the same rule"


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("x" * 250, "x" * 100),
        ("x" * 99 + ".y", "x" * 99),
        ("größe 2", "gr-e-2"),
        ("...", "nothing"),
        (".-hidden.", "hidden"),
    ],
)
def test_what_a_file_is_called_becomes_a_name(stem: str, name: str) -> None:
    assert folder_name(stem, "nothing") == name
    assert is_folder_name(name)


def test_a_config_whose_file_has_a_long_name_is_named_by_its_beginning(tmp_path: Path) -> None:
    file = tmp_path / f"{'x' * 99}.{'y' * 100}.yaml"
    file.write_text(json.dumps(SHAPES))
    assert load_config(file).name == "x" * 99
