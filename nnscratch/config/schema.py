"""The JSON Schema of a config, from which editors complete, explain and check while one types."""

from __future__ import annotations

from types import NoneType
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from nnscratch.component import Component, catalogue, opening
from nnscratch.config.config import Config
from nnscratch.config.sections import ModelConfig
from nnscratch.config.specification import (
    STRICT,
    Section,
    Specification,
    alternatives,
    component_base,
    default_of,
    fields_model,
    fields_of,
    item_annotation,
    plain,
    section_type,
)
from nnscratch.nn.layers.activations import Activation

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def json_schema() -> Schema:
    """The schema of everything that `load_config` takes, short forms included (draft 2020-12)."""
    definitions: dict[str, Schema] = {}
    schema = _fields(Config, definitions)
    schema["properties"]["model"] = _model(definitions) | {"description": Config.model_fields["model"].description}
    schema["required"].remove("name")  # taken from the file's name
    return {"$schema": DIALECT, "title": "nnscratch config", **schema, "$defs": definitions}


def _model(definitions: dict[str, Schema]) -> Schema:
    """The section `model`, with what its types cannot say."""
    schema = _fields(ModelConfig, definitions)
    schema["not"] = {
        "properties": {"hidden_layers": {"type": "array"}, "layers": {"type": "array"}},
        "required": ["hidden_layers", "layers"],
    }
    schema["properties"]["output"]["anyOf"] = [{"enum": ["linear", *catalogue(Activation)]}, {"type": "null"}]
    return schema


def _fields(model: type[BaseModel], definitions: dict[str, Schema]) -> Schema:
    """A mapping of a model's fields and no others."""
    fields = fields_of(model)
    return {
        "type": "object",
        "properties": {name: _field(info, definitions) for name, info in fields.items()},
        "required": [name for name, info in fields.items() if info.is_required()],
        "additionalProperties": False,
    }


def _field(info: FieldInfo, definitions: dict[str, Schema]) -> Schema:
    schema = _value(info.rebuild_annotation(), definitions)
    if isinstance(info.json_schema_extra, dict):
        schema |= info.json_schema_extra
    if info.description:
        schema["description"] = info.description
    if not info.is_required():
        default = default_of(info)
        if isinstance(default, Specification):
            essentials = default.essentials()
            schema["default"] = essentials if len(essentials) > 1 else default.name
        else:
            schema["default"] = plain(default)
    return schema


def _value(annotation: Any, definitions: dict[str, Schema]) -> Schema:
    """The schema of a value of this annotation, in long and short form."""
    optional = [{"type": "null"}] if NoneType in alternatives(annotation) else []
    if (inner := item_annotation(annotation, 0)) is not None and component_base(inner) is not None:
        return _any_of([{"type": "array", "items": _value(inner, definitions)}, *optional])
    if (base := component_base(annotation)) is not None:
        return _any_of([_component(base, definitions), *optional])
    if (section := section_type(annotation)) is not None:
        empty = optional or ([{"type": "null"}] if _is_complete(section) else [])  # `training:` with nothing below it
        return _any_of([*_section(section, definitions), *empty])
    schema: Schema = _without_titles(TypeAdapter(annotation, config=STRICT).json_schema())
    return schema


def _section(section: type[Section], definitions: dict[str, Schema]) -> list[Schema]:
    forms = [_fields(section, definitions)]
    if section.short is not None:
        forms.append(_field(fields_of(section)[section.short], definitions))
    return forms


def _component(base: type[Component], definitions: dict[str, Schema]) -> Schema:
    """A reference to the forms that a component of this kind can take."""
    key = base.kind if base.__base__ is Component else base.__name__.lower()
    if key not in definitions:
        definitions[key] = {}  # so that a layer with layers inside refers to itself
        known = catalogue(base)
        definitions[key] |= {
            "anyOf": [
                {"enum": [name for name, component in known.items() if _is_complete(fields_model(component))]},
                *({"$ref": f"#/$defs/{_named(component, definitions)}"} for component in known.values()),
                *(_single_key(component, definitions) for component in known.values()),
            ]
        }
    return {"$ref": f"#/$defs/{key}"}


def _is_complete(model: type[BaseModel]) -> bool:
    """Whether every field has a default."""
    return not any(info.is_required() for info in fields_of(model).values())


def _named(component: type[Component], definitions: dict[str, Schema]) -> str:
    """The definition of `{name: adam, learning_rate: 0.001}`."""
    key = f"{component.kind}.{component.name}"
    if key not in definitions:
        definitions[key] = {}
        schema = _fields(fields_model(component), definitions)
        schema["properties"] = {"name": {"const": component.name}, **schema["properties"]}
        schema["required"] = ["name", *schema["required"]]
        definitions[key] |= schema | {"description": " ".join(opening(component)[0].split())}
    return key


def _single_key(component: type[Component], definitions: dict[str, Schema]) -> Schema:
    """`dense: {units: 10}`, `dense: 10`, `dense:`."""
    fields = fields_model(component)
    forms: list[Schema] = [_fields(fields, definitions)]
    if _is_complete(fields):
        forms.append({"type": "null"})
    if component.short is not None:
        forms.append(_field(fields_of(fields)[component.short], definitions))
    return {
        "type": "object",
        "properties": {component.name: _any_of(forms)},
        "required": [component.name],
        "additionalProperties": False,
    }


def _any_of(forms: list[Schema]) -> Schema:
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def _without_titles(schema: Any) -> Any:
    """Pydantic's titles repeat the name of the field and hide its description in editors."""
    if isinstance(schema, dict):
        return {key: _without_titles(item) for key, item in schema.items() if key != "title"}
    return [_without_titles(item) for item in schema] if isinstance(schema, list) else schema
