"""What an override says: the path of a value in a config, and the value as it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from nnscratch.component import catalogue
from nnscratch.config.node import Node, Place, node_from_value
from nnscratch.config.override_value import SOURCE, read_value
from nnscratch.config.specification import component_base, fields_model, fields_of, item_annotation, section_type
from nnscratch.errors import ConfigError


@dataclass(frozen=True)
class Override:
    """One value, as it was written, for one path; `text` is all that the user wrote."""

    path: tuple[str | int, ...]
    written: str
    text: str

    @property
    def dotted(self) -> str:
        return ".".join(map(str, self.path))

    def value(self, annotation: Any) -> Node:
        """The value for a field of that annotation. Raises ConfigError."""
        return read_value(self.written, self.text, annotation)

    def error(self, message: str) -> ConfigError:
        return ConfigError([Place(SOURCE, None, 1, self.text[:160]).problem(self.dotted, message)])


def override(path: str, value: object) -> str:
    """The override that sets a value, whatever it is: `name="2024"`."""
    text = json.dumps(node_from_value(value, "argument").plain(), ensure_ascii=False)
    # JSON leaves these as they are; YAML takes them for the end of a line, or not at all.
    return f"{path}=" + re.sub("[\x7f-\x9f\u2028\u2029\ufeff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def parse_override(text: str) -> Override:
    """The override that `a.b=value` or `--a.b=value` asks for. Raises ConfigError."""
    dotted, equals, value = text.removeprefix("--").partition("=")
    keys = re.sub(r"\[(\d+)\]", r".\1", dotted.strip()).split(".")
    if not equals or not all(keys):
        problem = Place(SOURCE, None, 1, text[:160]).problem("", "an override has the form field=value or a.b=value")
        raise ConfigError([problem])
    path = tuple(int(key) if key.isascii() and key.isdecimal() and len(key) < 10 else key for key in keys)
    return Override(path, value, text)


def plain_path(path: Sequence[str | int], model: type[BaseModel]) -> tuple[str | int, ...]:
    """The path without the names of components: `optimizer.sgd.momentum` is `optimizer.momentum`."""
    annotation: Any = model
    plain_keys: list[str | int] = []
    for key in path:
        base, section = component_base(annotation), section_type(annotation)
        models: list[type[BaseModel]] = [] if section is None else [section]
        if base is not None:
            models = [fields_model(each) for each in catalogue(base).values()]
        fields = {name: info for each in models for name, info in fields_of(each).items()}
        if base is not None and key in catalogue(base) and key not in fields:
            continue
        plain_keys.append(key)
        if isinstance(key, int):
            annotation = item_annotation(annotation, key)
        else:
            annotation = fields[key].annotation if key in fields else None
    return tuple(plain_keys)
