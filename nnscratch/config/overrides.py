"""`optimizer.learning_rate=3e-4`: single values of a config set from the command line or by a sweep.

Whole components and their names are set first, then fields; of two values for one field the last wins. A component that
takes the place of another keeps those fields of it that were written and that it has, too; a note says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from pydantic import BaseModel, ValidationError, create_model
from pydantic.fields import FieldInfo

from nnscratch.component import Component, catalogue
from nnscratch.config.node import Node, Place, node_from_value
from nnscratch.config.override import Override, parse_override, plain_path
from nnscratch.config.override_value import SOURCE
from nnscratch.config.problems import field_paths, unknown_field
from nnscratch.config.shorthand import write_out
from nnscratch.config.specification import (
    STRICT,
    Specification,
    component_base,
    default_of,
    fields_model,
    fields_of,
    item_annotation,
    model_at,
    names_of,
    plain,
    section_type,
    value_annotation,
)
from nnscratch.errors import ConfigError, Problem
from nnscratch.report.formats import setting


@dataclass
class Applied:
    """What came of overrides, besides the values that they set."""

    notes: list[str] = field(default_factory=list)
    """What a user should hear."""
    left_out: list[str] = field(default_factory=list)
    """The overrides of fields that the component at their place lacks."""


def apply_overrides(root: Node, model: type[BaseModel], overrides: Sequence[str], leave_out: bool = False) -> Applied:
    """Sets the values in a canonical config. Raises ConfigError with every problem.

    With `leave_out`, a field that the chosen component lacks, though another of its kind has it, is no problem.
    """
    problems: list[Problem] = []
    parsed: list[Override] = []
    for text in overrides:
        try:
            parsed.append(parse_override(text))
        except ConfigError as error:
            problems.extend(error.problems)
    paths = {each: plain_path(each.path, model) for each in parsed}
    setter = _Setter(root, model, set(paths.values()), leave_out)
    # Naming a component comes before setting its fields, however the user ordered them.
    for each in sorted(parsed, key=lambda item: len(paths[item]) - (item.path[-1] == "name")):
        try:
            setter.set(each)
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    setter.prefer_epochs()
    return setter.applied


@dataclass
class _Setter:
    """Sets one override after the other."""

    root: Node
    model: type[BaseModel]
    all_paths: set[tuple[str | int, ...]]
    leave_out: bool
    applied: Applied = field(default_factory=Applied)

    def set(self, override: Override) -> None:
        node: Node = self.root
        annotation: Any = self.model
        for depth, key in enumerate(override.path):
            base = component_base(annotation) if isinstance(node.content, dict) else None
            last = depth == len(override.path) - 1
            if base is not None and key == "name" and last:
                return self._rename(node, base, override, override.value(str))
            if base is not None and model_at(annotation, node) is None:
                return None  # its name is wrong, which validation says
            if base is not None and _names_component(base, node, annotation, key):
                return self._set_named(override, depth, node, annotation, catalogue(base)[str(key)])
            if self.leave_out and base is not None and _is_of_another(base, annotation, node, key):
                name = node.content["name"].plain() if isinstance(node.content, dict) else None
                self.applied.left_out.append(override.text)
                self.applied.notes.append(f"{override.dotted} is left out: {name} has no {key}")
                return None
            inner = self._annotation_of(node, annotation, override, depth)
            if last:
                return self._put(node, key, inner, override)
            node, annotation = _step_into(node, annotation, inner, override, depth), inner
        return None

    def prefer_epochs(self) -> None:
        """Epochs that are asked for count more than the minutes that a file says."""
        training = self.root.child("training")
        if training is None or not isinstance(training.content, dict) or ("training", "epochs") not in self.all_paths:
            return
        minutes = training.child("minutes")
        if minutes is not None and minutes.place.source != SOURCE:  # else they count, and say how many epochs that is
            del training.content["minutes"]
            if minutes.content is not None:
                note = f"training.minutes {setting(minutes.plain())} does not count: training.epochs is set beside it"
                self.applied.notes.append(note)

    def _set_named(
        self, override: Override, depth: int, node: Node, annotation: Any, component: type[Component]
    ) -> None:
        """Sets `optimizer.sgd.momentum`, a path that names the component as a file does, or `model.layers.0.dense`."""
        assert isinstance(node.content, dict)
        path, rest = override.path[:depth], override.path[depth + 1 :]
        parent, name = ".".join(map(str, path)), node.content["name"].plain()
        is_chosen = bool(self.all_paths & {path, (*path, "name")})
        if name != component.name and not (self.leave_out and is_chosen):
            advice = f"to change it, write {parent}={component.name} too"
            raise override.error(f"`{parent}` is {name}, not {component.name}; {advice}")
        if name != component.name:
            self.applied.left_out.append(override.text)
            self.applied.notes.append(f"{override.dotted} is left out: {parent} is {name}")
        elif rest:
            self.set(replace(override, path=(*path, *rest)))
        elif isinstance((written := override.value(None)).content, dict) or component.short is None:
            problems: list[Problem] = []
            named = Node({component.name: replace(written, key=written.place)}, written.place, written.place)
            value = write_out(named, annotation, problems, path)
            if problems:
                raise ConfigError(problems)
            assert isinstance(value.content, dict)
            if isinstance(written.content, dict):
                self._tell_lost(override, path, node.content, value.content)
                node.content.clear()
            node.content.update(value.content)
        else:
            self.set(replace(override, path=(*path, component.short)))

    def _put(self, node: Node, key: str | int, inner: Any, override: Override) -> None:
        """Puts the override's value under `key` in `node`."""
        problems: list[Problem] = []
        written = override.value(inner)
        value = write_out(replace(written, key=written.place), inner, problems, override.path)
        if problems:
            raise ConfigError(problems)
        existing = node.child(key)
        inner_base, section = component_base(inner), section_type(inner)
        if existing is not None and isinstance(existing.content, dict) and isinstance(value.content, dict):
            if inner_base is not None and isinstance(written.content, str):
                return self._rename(existing, inner_base, override, value.content["name"])
            if section is not None and not isinstance(written.content, dict) and written.content is not None:
                existing.content.update(value.content)
                return None
            if written.content:
                self._tell_lost(override, override.path, existing.content, value.content)
        if isinstance(node.content, list):
            assert isinstance(key, int)
            node.content[key] = value
        elif isinstance(node.content, dict):
            node.content[str(key)] = value
        return None

    def _tell_lost(
        self, override: Override, path: tuple[str | int, ...], before: dict[str, Node], after: dict[str, Node]
    ) -> None:
        """A note on the fields of `before`, at that path, that a mapping in its place does not have."""
        lost = [each for each in before if each not in after and (*path, each) not in self.all_paths]
        if lost:
            self.applied.notes.append(f"{override.text} drops {_listed(before, lost)}")

    def _annotation_of(self, node: Node, annotation: Any, override: Override, depth: int) -> Any:
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
                raise override.error(unknown_field(str(key), fields, field_paths(self.model, self.root), annotation))
            return fields[str(key)].annotation
        values = value_annotation(annotation)
        if isinstance(node.content, dict) and values is not None:
            return values
        raise override.error(f"`{parent}` has no field `{key}`")

    def _rename(self, node: Node, base: type[Component], override: Override, name: Node) -> None:
        """Another component in place of `node`, with those of its fields that the other has too; a note on them."""
        assert isinstance(node.content, dict)
        before, after = node.content.get("name"), name.content
        node.content["name"] = name
        component = catalogue(base).get(after) if isinstance(after, str) else None
        if component is None or (before is not None and before.content == after):
            return  # validation says what is wrong with the name
        fields = fields_of(fields_model(component))
        path = override.path[:-1] if override.path[-1] == "name" else override.path
        written = [key for key in node.content if key != "name"]
        dropped = [key for key in written if key not in fields]
        impossible = [
            key
            for key in written
            if key in fields and (*path, key) not in self.all_paths and not _takes(fields[key], node.content[key])
        ]
        misfit = _listed(node.content, impossible)
        for key in (*dropped, *impossible):
            del node.content[key]
        kept = [
            f"{key} {setting(item.plain())}"
            for key, item in node.content.items()
            if key != "name" and item.plain() != plain(default_of(fields[key])) and (*path, key) not in self.all_paths
        ]
        parts = [f"keeps {', '.join(kept)}"] if kept else []
        parts += [f"drops {', '.join(dropped)}, which {after} does not have"] if dropped else []
        parts += [f"drops {misfit}, which {after} cannot have"] if impossible else []
        if parts:
            self.applied.notes.append(f"{override.text} {' and '.join(parts)}")


def _listed(fields: dict[str, Node], names: Sequence[str]) -> str:
    """`batch_size 50, clip_norm 1`."""
    return ", ".join(f"{name} {setting(fields[name].plain())}" for name in names)


def _takes(field: FieldInfo, value: Node) -> bool:
    """Whether a component's field may have a value that another component's field of that name had."""
    try:
        create_model("Value", __config__=STRICT, value=(cast(Any, field.annotation), field)).model_validate(
            {field.alias or "value": value.plain()}
        )
    except ValidationError:
        return False
    return True


def _names_component(base: type[Component], node: Node, annotation: Any, key: str | int) -> bool:
    """Whether a path's key is the name of a component where `node` is one, rather than a field of it."""
    model = model_at(annotation, node)
    return key in catalogue(base) and (model is None or key not in fields_of(model))


def _is_of_another(base: type[Component], annotation: Any, node: Node, key: str | int) -> bool:
    """Whether the component at `node` lacks a field that another of its kind has."""
    model = model_at(annotation, node)
    return (
        model is not None
        and key not in fields_of(model)
        and any(key in fields_of(fields_model(other)) for other in catalogue(base).values())
    )


def _step_into(node: Node, annotation: Any, inner: Any, override: Override, depth: int) -> Node:
    """The item under the path's key at `depth`, made from its default when the config leaves it out."""
    key, parent = override.path[depth], ".".join(map(str, override.path[: depth + 1]))
    child = node.child(key)
    if child is not None and child.content is not None:
        return child
    model = model_at(annotation, node)
    default = default_of(fields_of(model)[str(key)]) if model is not None and not isinstance(key, int) else None
    base, following = component_base(inner), override.path[depth + 1]
    place = Place(SOURCE, None, 1, override.text[:160])
    chosen = base is not None and following in catalogue(base)
    if isinstance(default, Specification) and child is None and (not chosen or following in default.fields):
        made = node_from_value(default.essentials(), SOURCE)
    elif chosen:
        made = Node({"name": Node(str(following), place, place)}, place, place)
    elif section_type(inner) is not None or (base is not None and following == "name"):
        made = Node({}, place, place)
    elif base is not None and item_annotation(inner, 0) is None:
        message = f"there is no {parent} to change; choose one first: {parent}=NAME (allowed: {names_of(base)})"
        raise override.error(message)
    elif value_annotation(inner) is not None:
        made = Node({}, place, place)
    elif item_annotation(inner, 0) is not None:
        raise override.error(f"`{parent}` is not set, so it has no items to change")
    else:
        raise override.error(f"`{parent}` has no field `{following}`")
    assert isinstance(node.content, dict)
    node.content[str(key)] = made
    return made
