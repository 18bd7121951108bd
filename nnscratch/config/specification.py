"""Component classes as a config sees them: validated descriptions that build fresh instances.

A component is a stdlib dataclass (see `nnscratch.component`). Here its fields become a pydantic model, and a config
holds `Specification[Optimizer]` where the program wants an `Optimizer`: layers, losses and optimizers keep state while
they run, so every run builds its own.
"""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Annotated, Any, ClassVar, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, Strict, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, PydanticUndefined, core_schema

from nnscratch.component import Component, catalogue, settings_of
from nnscratch.config.node import Node, Value
from nnscratch.errors import UserError, did_you_mean

ComponentType = TypeVar("ComponentType", bound=Component)

STRICT = ConfigDict(
    strict=True, extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True, protected_namespaces=()
)


class Specification(Generic[ComponentType]):
    """Which component, with which validated fields; `build()` gives a new instance every time.

    `fields` has a value for every field of the class, nested components as specifications. It must not be changed.
    """

    # Not a dataclass: pydantic would take its fields for those of the config.
    def __init__(self, component: type[ComponentType], fields: Mapping[str, object]) -> None:
        self.component = component
        self.fields = dict(fields)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Specification):
            return NotImplemented
        return self.component is other.component and self.fields == other.fields

    def __hash__(self) -> int:
        return hash(self.component)

    def __repr__(self) -> str:
        return f"Specification({self.to_dict()})"

    @property
    def name(self) -> str:
        """The component's YAML name."""
        return self.component.name

    def build(self) -> ComponentType:
        """A new instance, nested components included."""
        return self.component(**{name: _build(value) for name, value in self.fields.items()})

    def to_dict(self) -> dict[str, Value]:
        """The canonical form: the name and every field, as plain YAML values."""
        return {"name": self.name, **{name: plain(value) for name, value in self.fields.items()}}

    def essentials(self) -> dict[str, Value]:
        """The name, and only those fields that differ from what the class has by default."""
        own = {key: default_of(info) for key, info in fields_of(fields_model(self.component)).items()}
        return {"name": self.name, **{key: plain(value) for key, value in self.fields.items() if value != own[key]}}

    @classmethod
    def of(cls, component: ComponentType) -> Specification[ComponentType]:
        """The description of an instance."""
        settings = [field.name for field in settings_of(component)]
        return cls(type(component), {name: _describe(getattr(component, name)) for name in settings})

    @classmethod
    def named(cls, base: type[ComponentType], name: str, **fields: object) -> Specification[ComponentType]:
        """The component of a kind by its YAML name; fields that are not given have their defaults."""
        return _validated(base, {"name": name, **fields})

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        (base,) = get_args(source)
        return core_schema.no_info_plain_validator_function(
            partial(_validated, base), serialization=core_schema.plain_serializer_function_ser_schema(plain)
        )


class Section(BaseModel):
    """A group of config fields; `short` names the field that a value in place of the group sets (`l2: 0.001`)."""

    model_config = STRICT
    short: ClassVar[str | None] = None


def plain(value: object) -> Value:
    """Sections, specifications and tuples as dicts and lists: what YAML and JSON can hold."""
    if isinstance(value, Specification):
        return value.to_dict()
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a config cannot hold a {type(value).__name__}")


def fields_model(component: type[Component]) -> type[BaseModel]:
    """The pydantic model of a component's fields: strict, finite, bounded as the fields say, nothing else allowed."""
    return _fields_model(component)  # type: ignore[arg-type]  # mypy thinks that a class is not hashable


@cache
def _fields_model(component: type[Component]) -> type[BaseModel]:
    try:
        hints = get_type_hints(component)
    except NameError as error:
        raise UserError(f"{component.kind} {component.name}: an annotation cannot be read: {error}") from None
    definitions: dict[str, Any] = {}
    for field in settings_of(component):
        info: dict[str, Any] = {"alias": field.name, "description": field.metadata.get("help") or None}
        if field.default is not dataclasses.MISSING:
            info["default"] = _describe(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            info["default_factory"] = partial(_described_result, field.default_factory)
        annotation = _annotation(hints[field.name], field.metadata.get("bounds", {}))
        # Behind an alias, a component may call a field `copy` or `json`, which BaseModel keeps for itself.
        definitions[f"field_{field.name}"] = (annotation, Field(**info))
    try:
        model: type[BaseModel] = create_model(component.name, __config__=STRICT, **definitions)
    except PydanticSchemaGenerationError as error:
        message = error.message.splitlines()[0]
        raise UserError(f"{component.kind} {component.name}: a config cannot express a field: {message}") from None
    return model


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a section or of a component's model, by the names that a config uses."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def alternatives(annotation: Any) -> Iterator[Any]:
    """The members of a union, without wrappers: of `Annotated[A, ...] | B | None`, the types A, B and NoneType."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from alternatives(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from alternatives(member)
    else:
        yield annotation


def component_base(annotation: Any) -> type[Component] | None:
    """`Optimizer` for `Specification[Optimizer]`, alone or in a union; None when there is no specification."""
    for member in alternatives(annotation):
        if get_origin(member) is Specification:
            base: type[Component] = get_args(member)[0]
            return base
    return None


def section_type(annotation: Any) -> type[Section] | None:
    """The section in an annotation, alone or in a union."""
    for member in alternatives(annotation):
        if isinstance(member, type) and issubclass(member, Section):
            return member
    return None


def item_annotation(annotation: Any, index: int) -> Any:
    """The annotation of a list's or tuple's item; None when the annotation is of no list."""
    for member in alternatives(annotation):
        if get_origin(member) in (list, tuple):
            items = get_args(member)
            return items[index] if index < len(items) and items[-1] is not Ellipsis else items[0]
    return None


def value_annotation(annotation: Any) -> Any:
    """The annotation of what a mapping of free names holds; None when the annotation is of no such mapping."""
    for member in alternatives(annotation):
        if get_origin(member) is dict:
            return get_args(member)[1]
    return None


def model_at(annotation: Any, node: Node | None) -> type[BaseModel] | None:
    """The model of the fields that a value of this annotation has: its section, or the component that `node` names."""
    if (base := component_base(annotation)) is not None:
        name = node.child("name") if node is not None else None
        component = catalogue(base).get(name.content) if name is not None and isinstance(name.content, str) else None
        return fields_model(component) if component is not None else None
    return section_type(annotation)


def noun(base: type[Component]) -> str:
    """What a kind, or a part of one, is called: `layer`, and `activation` for those layers that are."""
    return base.kind if "kind" in vars(base) else base.__name__.lower()


def article(noun: str) -> str:
    """`an optimizer`, `a layer`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def names_of(base: type[Component]) -> str:
    """The names that a config may use for this kind, as a message lists them."""
    return ", ".join(sorted(catalogue(base))) or "none yet"


def unknown_name(base: type[Component], name: str) -> str:
    """The message for a name that no component of the kind has."""
    known, plain_name = catalogue(base), re.sub("[^a-z0-9]", "", name.lower())
    same = [each.name for each in known.values() if plain_name in (*each.also_called, each.name.replace("_", ""))]
    meant = f"; did you mean {same[0]}?" if same else did_you_mean(name[:60], known)
    return f"unknown {noun(base)} `{name[:60]}`{meant} (allowed: {names_of(base)})"


def _validated(base: type[ComponentType], value: object) -> Specification[ComponentType]:
    known = catalogue(base)
    if isinstance(value, Specification) and issubclass(value.component, base):
        return value
    names = names_of(base)
    if not isinstance(value, dict):
        raise PydanticCustomError("component", f"expected {article(noun(base))} ({names})")
    if "name" not in value and (inside := [key for key in value if key in known]):
        message = f"`{inside[0]}` is its name: indent its fields below it, or write `name: {inside[0]}` beside them"
        raise PydanticCustomError("component_name", message)
    if "name" not in value:
        message = f"which {noun(base)}? write its name: {{name: ..., ...}} (allowed: {names})"
        raise PydanticCustomError("component_name", message)
    name = value["name"]
    component = known.get(name) if isinstance(name, str) else None
    if component is None:
        message = unknown_name(base, name) if isinstance(name, str) else f"expected a name (allowed: {names})"
        error = InitErrorDetails(type=PydanticCustomError("component_name", message), loc=("name",), input=name)
        raise ValidationError.from_exception_data(base.kind, [error])
    model = fields_model(component)
    fields = model.model_validate({key: item for key, item in value.items() if key != "name"})
    made = Specification(
        component, {info.alias or key: getattr(fields, key) for key, info in model.model_fields.items()}
    )
    if component.contradictions is not Component.contradictions:
        errors = [
            InitErrorDetails(type=PydanticCustomError("text", message), loc=(field,), input=value.get(field))
            for field, message in made.build().contradictions()
        ]
        if errors:
            raise ValidationError.from_exception_data(base.kind, errors)
    return made


def _annotation(annotation: Any, bounds: dict[str, Any]) -> Any:
    """A component's annotation for pydantic: components become specifications, and bounds hold for every number."""
    if isinstance(annotation, type) and issubclass(annotation, Component):
        return Specification[annotation]
    if annotation in (int, float) and bounds:
        return Annotated[annotation, Field(**bounds)]
    origin, members = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[(_annotation(members[0], bounds), *members[1:])]
    if origin in (Union, types.UnionType):
        return Union[tuple(_annotation(member, bounds) for member in members)]  # noqa: UP007  # | takes two
    if origin is tuple:  # YAML has lists only, which a strict tuple would refuse
        return Annotated[
            types.GenericAlias(tuple, tuple(_annotation(member, bounds) for member in members)), Strict(False)
        ]
    if origin in (list, dict):
        return types.GenericAlias(origin, tuple(_annotation(member, bounds) for member in members))
    return annotation


def _describe(value: object) -> object:
    if isinstance(value, Component):
        return Specification.of(value)
    if isinstance(value, list | tuple):
        return type(value)(_describe(item) for item in value)
    return value


def _described_result(factory: Any) -> object:
    return _describe(factory())


def _build(value: object) -> object:
    if isinstance(value, Specification):
        return value.build()
    if isinstance(value, list | tuple):
        return type(value)(_build(item) for item in value)
    return dict(value) if isinstance(value, dict) else value


def default_of(info: FieldInfo) -> object:
    """A field's default value, None when it has none."""
    value: object = info.get_default(call_default_factory=True, validated_data={})
    return None if value is PydanticUndefined else value
