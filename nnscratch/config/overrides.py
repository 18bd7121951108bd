"""`optimizer.learning_rate=3e-4`: single values of a config set from the command line or by a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from nnscratch.component import Component, catalogue
from nnscratch.config.document import parse_yaml
from nnscratch.config.node import Node, Place, node_from_value
from nnscratch.config.problems import field_paths, unknown_field
from nnscratch.config.shorthand import write_out
from nnscratch.config.specification import (
    Specification,
    component_base,
    default_of,
    fields_model,
    fields_of,
    item_annotation,
    model_at,
    names_of,
    section_type,
)
from nnscratch.errors import ConfigError, Problem

SOURCE = "override"


@dataclass(frozen=True)
class Override:
    """One value for one path; `text` is what the user wrote."""

    path: tuple[str | int, ...]
    value: Node
    text: str

    @property
    def dotted(self) -> str:
        return ".".join(map(str, self.path))

    @property
    def depth(self) -> int:
        """Naming a component comes before setting its fields, however the user ordered them."""
        return len(self.path) - (self.path[-1] == "name")

    def error(self, message: str) -> ConfigError:
        return ConfigError([Place(SOURCE, None, 1, self.text[:160]).problem(self.dotted, message)])


def parse_override(text: str) -> Override:
    """The override that `a.b=value` or `--a.b=value` asks for; the value is YAML. Raises ConfigError."""
    written = text.removeprefix("--")
    dotted, equals, value = written.partition("=")
    keys = dotted.strip().split(".")
    if not equals or not all(keys):
        problem = Place(SOURCE, None, 1, text[:160]).problem("", "an override has the form field=value or a.b=value")
        raise ConfigError([problem])
    path = tuple(int(key) if key.isascii() and key.isdecimal() and len(key) < 10 else key for key in keys)
    prefix = text[: len(text) - len(value)]
    return Override(path, parse_yaml(value, SOURCE, prefix).root, text)


def apply_overrides(root: Node, model: type[BaseModel], overrides: Sequence[str]) -> list[str]:
    """Notes on what was dropped; sets the values in a canonical config. Raises ConfigError with every problem.

    Whole components and their names are set first, then fields; otherwise the last one wins.
    """
    problems: list[Problem] = []
    notes: list[str] = []
    parsed: list[Override] = []
    for text in overrides:
        try:
            parsed.append(parse_override(text))
        except ConfigError as error:
            problems.extend(error.problems)
    for override in sorted(parsed, key=lambda item: item.depth):
        try:
            notes.extend(_apply(root, model, override))
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return notes


def _apply(root: Node, model: type[BaseModel], override: Override) -> list[str]:
    node: Node = root
    annotation: Any = model
    for depth, key in enumerate(override.path):
        base = component_base(annotation) if isinstance(node.content, dict) else None
        last = depth == len(override.path) - 1
        if base is not None and key == "name" and last:
            return _rename(node, base, override)
        if base is not None and model_at(annotation, node) is None:
            return []  # its name is wrong, which validation says
        inner = _annotation_of(node, annotation, override, depth, field_paths(model, root))
        if last:
            return _set(node, key, inner, override)
        node, annotation = _step_into(node, annotation, inner, override, depth), inner
    return []


def _set(node: Node, key: str | int, inner: Any, override: Override) -> list[str]:
    """Puts the override's value under `key` in `node`, with a note on what that drops."""
    problems: list[Problem] = []
    written = override.value
    value = write_out(replace(written, key=written.place), inner, problems, override.path)
    if problems:
        raise ConfigError(problems)
    existing = node.child(key)
    inner_base, section = component_base(inner), section_type(inner)
    if existing is not None and isinstance(existing.content, dict) and isinstance(value.content, dict):
        if inner_base is not None and isinstance(written.content, str):
            return _rename(existing, inner_base, replace(override, value=value.content["name"]))
        if section is not None and not isinstance(written.content, dict) and written.content is not None:
            existing.content.update(value.content)
            return []
    if isinstance(node.content, list):
        assert isinstance(key, int)
        node.content[key] = value
    elif isinstance(node.content, dict):
        node.content[str(key)] = value
    return []


def _annotation_of(node: Node, annotation: Any, override: Override, depth: int, every_field: Iterator[str]) -> Any:
    """The annotation of the item under the path's key at `depth`; an error when there can be none."""
    key, parent = override.path[depth], ".".join(map(str, override.path[:depth]))
    if isinstance(node.content, list):
        inner = item_annotation(annotation, key) if isinstance(key, int) else None
        if inner is None:
            raise override.error(f"`{parent}` is a list; its items are {parent}.0, {parent}.1, ...")
        if node.child(key) is None:
            count = len(node.content)
            raise override.error(f"`{parent}` has {count} item{'s' * (count != 1)}, counted from 0")
        return inner
    if (model := model_at(annotation, node)) is not None and isinstance(node.content, dict):
        fields = fields_of(model)
        if key not in fields:
            raise override.error(unknown_field(str(key), fields, every_field))
        return fields[str(key)].annotation
    raise override.error(f"`{parent}` has no field `{key}`")


def _step_into(node: Node, annotation: Any, inner: Any, override: Override, depth: int) -> Node:
    """The item under the path's key at `depth`, made from its default when the config leaves it out."""
    key, parent = override.path[depth], ".".join(map(str, override.path[: depth + 1]))
    child = node.child(key)
    if child is not None and child.content is not None:
        return child
    model = model_at(annotation, node)
    default = default_of(fields_of(model)[str(key)]) if model is not None and not isinstance(key, int) else None
    place = override.value.place
    base = component_base(inner)
    if isinstance(default, Specification) and child is None:
        made = node_from_value(default.essentials(), SOURCE)
    elif section_type(inner) is not None or (base is not None and override.path[depth + 1] == "name"):
        made = Node({}, place, place)
    elif base is not None and item_annotation(inner, 0) is None:
        message = f"there is no {parent} to change; choose one first: {parent}=NAME (allowed: {names_of(base)})"
        raise override.error(message)
    elif item_annotation(inner, 0) is not None:
        raise override.error(f"`{parent}` is not set, so it has no items to change")
    else:
        raise override.error(f"`{parent}` has no field `{override.path[depth + 1]}`")
    assert isinstance(node.content, dict)
    node.content[str(key)] = made
    return made


def _rename(node: Node, base: type[Component], override: Override) -> list[str]:
    """Another component in place of `node`, with those of its fields that the other has too; a note on the rest."""
    assert isinstance(node.content, dict)
    node.content["name"] = override.value
    name = override.value.content
    component = catalogue(base).get(name) if isinstance(name, str) else None
    if component is None:
        return []  # validation says so
    fields = fields_of(fields_model(component))
    dropped = [key for key in node.content if key != "name" and key not in fields]
    for key in dropped:
        del node.content[key]
    return [f"{override.text} drops {', '.join(dropped)}, which {name} does not have"] if dropped else []
