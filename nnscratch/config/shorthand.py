"""The short YAML forms written out, so that validation and overrides meet one form only.

`relu` is {name: relu}, `dense: 10` is {name: dense, units: 10}, `l2: 0.001` is {strength: 0.001}. What fits no form is
left as it is: validation says what is wrong with it.
"""

from __future__ import annotations

from types import NoneType
from typing import Any

from nnscratch.component import Component, catalogue
from nnscratch.config.node import KeyPath, Node
from nnscratch.config.specification import (
    Section,
    alternatives,
    article,
    component_base,
    fields_model,
    fields_of,
    item_annotation,
    model_at,
    noun,
    section_type,
)
from nnscratch.errors import Problem


def write_out(node: Node, annotation: Any, problems: list[Problem], path: KeyPath = ()) -> Node:
    """The canonical form of a value of this annotation; short forms that say two things are added to `problems`."""
    if node.content is None and item_annotation(annotation, 0) is not None and NoneType not in alternatives(annotation):
        return Node([], node.place, node.key)  # `augment:` with nothing below it
    if isinstance(node.content, list):
        for index, item in enumerate(node.content):
            node.content[index] = write_out(item, item_annotation(annotation, index), problems, (*path, index))
        return node
    if (base := component_base(annotation)) is not None:
        node = _component(node, base, problems, path)
    elif (section := section_type(annotation)) is not None:
        node = _section(node, section, optional=NoneType in alternatives(annotation))
    model = model_at(annotation, node)
    if isinstance(node.content, dict) and model is not None:
        for key, info in fields_of(model).items():
            if key in node.content:
                node.content[key] = write_out(node.content[key], info.annotation, problems, (*path, key))
    return node


def _section(node: Node, section: type[Section], optional: bool) -> Node:
    if isinstance(node.content, dict):
        return node
    if node.content is None:  # `training:` with nothing below it
        return node if optional else Node({}, node.place, node.key)
    return Node({section.short: node}, node.place, node.key) if section.short else node


def _component(node: Node, base: type[Component], problems: list[Problem], path: KeyPath) -> Node:
    if isinstance(node.content, str):
        return Node({"name": Node(node.content, node.place)}, node.place, node.key)
    if not isinstance(node.content, dict) or "name" in node.content or len(node.content) != 1:
        return node
    ((name, value),) = node.content.items()
    place = value.key or value.place
    items = {"name": Node(name, place, place)}
    component = catalogue(base).get(name)
    fields = fields_of(fields_model(component)) if component is not None else {}
    short = component.short if component is not None else None
    if component is None:
        if any(name in fields_of(fields_model(other)) for other in catalogue(base).values()):
            return node  # {learning_rate: 0.1}: a field whose component was not named
    elif isinstance(value.content, dict) and not _is_short_value(value.content, fields, short):
        if "name" in value.content:
            message = f"{article(noun(base))} with two names, `{name}` and the one inside; write one of them"
            problems.append(place.problem(path, message))
        items = {**value.content, **items}
    elif value.content is not None and short is None:
        message = f"`{name}` takes no value here; write `{name}` alone, or {{name: {name}, field: value}}"
        problems.append(place.problem(path, message))
    elif value.content is not None and short is not None:
        items[short] = value
    return Node(items, node.place, node.key)


def _is_short_value(content: dict[str, Node], fields: dict[str, Any], short: str | None) -> bool:
    """Whether a mapping is the value of the short field (itself a component), rather than the fields."""
    return (
        short is not None
        and component_base(fields[short].annotation) is not None
        and not content.keys() & fields.keys()
    )
