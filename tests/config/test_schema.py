from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnscratch.config.config import parse_config
from nnscratch.config.document import parse_yaml, read_yaml
from nnscratch.config.schema import DIALECT, json_schema
from nnscratch.errors import ConfigError
from nnscratch.setup.starter import starter_config

CONFIGS = Path(__file__).parents[2] / "configs"
BASE = "data: {dataset: shapes}\nmodel: {hidden_layers: [4]}\n"
LAYERS = "data: {dataset: shapes}\nmodel:\n  layers:\n    - "


@pytest.fixture(scope="module")
def accepts() -> Callable[[object], bool]:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema, which checks the schema, is not installed")
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    return lambda value: bool(validator.is_valid(value))


@pytest.mark.parametrize(
    "path", [each for each in sorted(CONFIGS.rglob("*.yaml")) if "sweep" not in each.stem], ids=lambda path: path.stem
)
def test_every_shipped_config_fits_the_schema(path: Path, accepts: Callable[[object], bool]) -> None:
    assert accepts(read_yaml(path).value)


def test_the_starter_and_its_canonical_form_fit_the_schema(accepts: Callable[[object], bool]) -> None:
    assert accepts(parse_yaml(starter_config(), "starter").value)
    assert accepts(parse_config(starter_config(), "starter").to_dict())


@pytest.mark.parametrize(
    "text",
    [
        BASE + "l2: 0.1",
        BASE + "l2: {strength: 0.1}",
        BASE + "optimizer: adam",
        BASE + "optimizer: {name: sgd, momentum: 0.9}",
        BASE + "optimizer: {sgd: {momentum: 0.9}}",
        BASE + "training:",
        BASE + "training: {early_stopping: 5, averaging: ema, clip_norm: null}",
        BASE + "wandb: off",
        LAYERS + "dense: 10",
        LAYERS + "dense:",
        LAYERS + "dense: {units: 3, weight_init: xavier}",
        LAYERS + "{name: dense, weight_init: {name: he, distribution: uniform}}",
        LAYERS + "relu",
        LAYERS + "leaky_relu: 0.1",
    ],
)
def test_the_schema_and_the_program_accept_every_form(text: str, accepts: Callable[[object], bool]) -> None:
    parse_config(text, "my.yaml")
    assert accepts(parse_yaml(text, "my.yaml").value)


@pytest.mark.parametrize(
    "text",
    [
        "seed: 1",
        BASE + "sed: 1",
        BASE + "seed: -1",
        BASE + "l2: -1",
        BASE + "name: ../up",
        BASE + "optimizer: adm",
        BASE + "optimizer: {name: adam, momentum: 0.9}",
        BASE + "optimizer: {learning_rate: 0.1}",
        BASE + "training: {epochs: many}",
        BASE + "wandb: of",
        LAYERS + "dense: 0",
        LAYERS + "relu: 3",
        LAYERS + "conf: 3",
        LAYERS + "relu\n  hidden_layers: [3]",
        "data: {dataset: shapes}\nmodel: {hidden_layers: [4], output: sofmax}",
    ],
)
def test_the_schema_and_the_program_refuse_the_same(text: str, accepts: Callable[[object], bool]) -> None:
    with pytest.raises(ConfigError):
        parse_config(text, "my.yaml")
    assert not accepts(parse_yaml(text, "my.yaml").value)


def test_the_schema_is_json_and_names_its_dialect() -> None:
    schema = json_schema()

    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"] == DIALECT


def test_every_field_that_can_be_set_has_a_description() -> None:
    bare: list[str] = []

    def visit(path: str, schema: Any) -> None:
        if isinstance(schema, dict):
            for name, field in schema.get("properties", {}).items() if schema.get("type") == "object" else ():
                # a component's name, and the key of `dense: 10`, need none
                if "const" not in field and "description" not in field and schema.get("required") != [name]:
                    bare.append(f"{path}.{name}")
            for key, item in schema.items():
                visit(f"{path}.{key}", item)
        elif isinstance(schema, list):
            for item in schema:
                visit(path, item)

    visit("", json_schema())
    assert bare == []


def test_every_reference_has_its_definition() -> None:
    schema = json_schema()
    text = json.dumps(schema)
    references = {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}

    assert references == set(schema["$defs"])


def test_defaults_are_shown_in_short_form() -> None:
    fields = json_schema()["properties"]

    assert fields["optimizer"]["default"] == "adam"
    assert fields["seed"]["default"] == 42
