"""What an override says: the path of a value in a config, and the value as it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

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
    text = {"NaN": ".nan", "Infinity": ".inf", "-Infinity": "-.inf"}.get(text, text)  # which YAML takes for text
    # JSON leaves these as they are; YAML takes them for the end of a line, or not at all.
    return f"{path}=" + re.sub("[\x7f-\x9f\u2028\u2029\ufeff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def parse_override(text: str) -> Override:
    """The override that `a.b=value` or `--a.b=value` asks for. Raises ConfigError."""
    dotted, equals, value = text.removeprefix("--").partition("=")
    path = _keys(dotted)
    if not equals or "" in path:
        problem = Place(SOURCE, None, 1, text[:160]).problem("", "an override has the form field=value or a.b=value")
        raise ConfigError([problem])
    return Override(path, value, text)


def _keys(dotted: str) -> tuple[str | int, ...]:
    """`a[0].b` or `a.0.b` as keys."""
    keys = re.sub(r"\[(\d+)\]", r".\1", dotted.strip()).split(".")
    return tuple(int(key) if key.isascii() and key.isdecimal() and len(key) < 10 else key for key in keys)


def overrides_of(path: str, value: object, model: type[BaseModel]) -> list[str]:
    """The overrides that set a value in place of a section or of single fields: one for each field that it names.

    What describes a component in YAML takes the place of the whole, as it does there; fields without its name are
    those of the component that is there.
    """
    annotation: Any = model
    for key in _keys(path):
        named = _is_name(annotation, key)
        annotation = annotation if named else _below(annotation, key)
    return [override(*pair) for pair in _fields(path, value, annotation, named)]


def _fields(path: str, value: object, annotation: Any, named: bool = False) -> Iterator[tuple[str, object]]:
    if not isinstance(value, Mapping) or named or annotation is None or _is_component(annotation, value):
        yield path, value
        return
    for key, inner in value.items():
        yield from _fields(f"{path}.{key}", inner, _below(annotation, key))


def _is_component(annotation: Any, value: Mapping[Any, Any]) -> bool:
    """Whether the mapping says which component it is: {name: sgd, momentum: 0.9} or {sgd: {momentum: 0.9}}."""
    base = component_base(annotation)
    return base is not None and ("name" in value or (len(value) == 1 and not value.keys().isdisjoint(catalogue(base))))


def plain_path(path: Sequence[str | int], model: type[BaseModel]) -> tuple[str | int, ...]:
    """The path without the names of components: `optimizer.sgd.momentum` is `optimizer.momentum`."""
    annotation: Any = model
    plain_keys: list[str | int] = []
    for key in path:
        if not _is_name(annotation, key):
            plain_keys.append(key)
            annotation = _below(annotation, key)
    return tuple(plain_keys)


def _is_name(annotation: Any, key: str | int) -> bool:
    """Whether a path's key is a component's name there, rather than a field."""
    base = component_base(annotation)
    return base is not None and key in catalogue(base) and key not in _fields_at(annotation)


def _below(annotation: Any, key: str | int) -> Any:
    """The annotation of what a path's key, which is no component's name, leads to; None when that is nothing."""
    if isinstance(key, int):
        return item_annotation(annotation, key)
    fields = _fields_at(annotation)
    return fields[key].annotation if key in fields else None


def _fields_at(annotation: Any) -> dict[str, FieldInfo]:
    """The fields of a section, or of any component that may be there."""
    base, section = component_base(annotation), section_type(annotation)
    models: list[type[BaseModel]] = [] if section is None else [section]
    if base is not None:
        models = [fields_model(each) for each in catalogue(base).values()]
    return {name: info for each in models for name, info in fields_of(each).items()}
