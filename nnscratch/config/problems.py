"""Validation errors in plain words: where in the file, what is wrong, what was meant, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from nnscratch.component import catalogue
from nnscratch.config.node import KeyPath, Node, Value
from nnscratch.config.specification import (
    Specification,
    component_base,
    default_of,
    fields_model,
    fields_of,
    item_annotation,
    model_at,
)
from nnscratch.errors import Problem, did_you_mean

MAXIMUM_PROBLEMS = 30

OTHER_NAMES = {
    "lr": "learning_rate",
    "wd": "weight_decay",
    "bs": "batch_size",
    "eps": "epsilon",
    "betas": "beta1",
    "num_epochs": "epochs",
    "n_epochs": "epochs",
    "max_epochs": "epochs",
    "min_delta": "minimum_change",
    "step_size": "every",
    "filters": "channels",
    "out_channels": "channels",
    "kernel_size": "kernel",
    "out_features": "units",
    "validation_split": "validation",
}
"""What other programs call our fields."""

_QUOTED = re.compile(r"'([^']*)'")
_EXPECTED = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping",
    "model": "a mapping of fields",
    "none": "null",
}


@dataclass(frozen=True)
class _Complaint:
    """One pydantic error; `expected` is set when the value has the wrong type, `union` when others would do too."""

    path: KeyPath
    node: Node
    message: str
    expected: str | None
    union: KeyPath | None


def problems_of(error: ValidationError, root: Node, model: type[BaseModel]) -> list[Problem]:
    """Every problem in a validation error."""
    # A default that depends on a field that is wrong is no problem of its own.
    errors = [each for each in error.errors(include_url=False) if each["type"] != "default_factory_not_called"]
    # Nor is a field that is missing as its name is misspelt.
    unknown = [each["loc"] for each in errors if each["type"] == "extra_forbidden"]
    errors = [
        each
        for each in errors
        if each["type"] != "missing"
        or not is_misspelt(str(each["loc"][-1]), [str(loc[-1]) for loc in unknown if loc[:-1] == each["loc"][:-1]])
    ]
    complaints = [_complaint(details, root, model) for details in errors]  # type: ignore[arg-type]  # ErrorDetails is a dict
    return [item.node.place.problem(item.path, item.message) for item in _merge_unions(complaints)]


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """The problems without repetition: those of the file from top to bottom, then the others; at most thirty."""
    unique = sorted(dict.fromkeys(problems), key=_file_order)
    more = len(unique) - MAXIMUM_PROBLEMS
    return [*unique[:MAXIMUM_PROBLEMS], Problem("", f"... and {more} more")] if more > 1 else unique


def _file_order(problem: Problem) -> tuple[bool, int, int]:
    if problem.line is None:
        return True, 0, 0
    return False, problem.line, problem.column or 0


def unknown_field(name: str, allowed: Iterable[str], elsewhere: Iterable[str] = (), of: Any = None) -> str:
    """The message for a field that is not there to be set.

    It may be meant by another name, be `elsewhere`, or be another component's where `of` is the annotation of one.
    """
    names, base, wanted = sorted(allowed), component_base(of), OTHER_NAMES.get(name.lower(), name)
    others = catalogue(base) if base is not None else {}
    having = [each for each, other in others.items() if wanted in fields_of(fields_model(other))]
    allowed_names = f" (allowed: {', '.join(names)})" if names else " (it has no fields)"
    if base is not None and base.kind == "layer" and name == "activation":
        return f"unknown field; an activation is a layer of its own, after this one{allowed_names}"
    if having and wanted not in names and not did_you_mean(name, names):
        called = ";" if wanted == name else f"; did you mean {wanted}?"
        return f"unknown field{called} {', '.join(having)} {'has' if len(having) == 1 else 'have'} it{allowed_names}"
    paths = [path for path in elsewhere if path.rpartition(".")[2] == wanted] if wanted not in names else [wanted]
    guess = did_you_mean(name[:60], names) or did_you_mean(name[:60], others)
    meant = f"; did you mean {min(paths, key=dots)}?" if paths else guess
    return f"unknown field{meant}{allowed_names}"


def is_misspelt(name: str, unknown: Iterable[str]) -> bool:
    """Whether one of the unknown fields is likely meant to be this one."""
    return any(OTHER_NAMES.get(each.lower()) == name or did_you_mean(each, [name]) for each in unknown)


def dots(path: str) -> int:
    """How deep a dotted path leads."""
    return path.count(".")


def field_paths(annotation: Any, node: Node | None, path: str = "") -> Iterator[str]:
    """The dotted path of every field that can be set below a value of this annotation, outside of lists."""
    model = model_at(annotation, node)
    for key, info in fields_of(model).items() if model is not None else ():
        inner = f"{path}.{key}" if path else key
        yield inner
        child = node.child(key) if node is not None else None
        default = default_of(info) if child is None else None
        if isinstance(default, Specification):
            yield from (f"{inner}.{field}" for field in default.fields)
        else:
            yield from field_paths(info.annotation, child, inner)


def annotation_at(model: type[BaseModel], root: Node, path: KeyPath) -> Any:
    """The annotation of the value at a path; None where the path leads to nothing that can be set."""
    annotation: Any = model
    node: Node | None = root
    for key in path:
        if isinstance(key, int):
            annotation = item_annotation(annotation, key)
        else:
            fields = fields_of(inner) if (inner := model_at(annotation, node)) is not None else {}
            annotation = fields[key].annotation if key in fields else None
        node = node.child(key) if node is not None else None
    return annotation


def _complaint(details: dict[str, Any], root: Node, model: type[BaseModel]) -> _Complaint:
    kind, location = str(details["type"]), details["loc"]
    path: KeyPath = ()
    union: KeyPath | None = None
    node = root
    for index, key in enumerate(location):
        child = node.child(key)
        if child is not None:
            node, path = child, (*path, key)
        elif kind == "missing" and index == len(location) - 1:
            path = (*path, key)
            node = Node(None, node.key or node.place)
        elif union is None:
            union = path  # pydantic names the member of the union here; the file does not
    if kind == "extra_forbidden":
        of = annotation_at(model, root, path[:-1])
        inner = model_at(of, root.nearest(path[:-1])[0])
        allowed = fields_of(inner) if inner is not None else ()
        message = unknown_field(str(path[-1]), allowed, field_paths(model, root), of)
        return _Complaint(path, Node(None, node.key or node.place), message, None, union)
    expected = _expected(kind, details)
    got = shown(node.plain())
    message = f"expected {expected}, got {got}" if expected else _message(kind, details, got)
    if kind == "literal_error" and isinstance(node.content, str):
        message += did_you_mean(node.content[:60], _QUOTED.findall(details["ctx"]["expected"]))
    return _Complaint(path, node, message, expected, union)


def _merge_unions(complaints: list[_Complaint]) -> list[_Complaint]:
    """One complaint per union: that of the member that came closest, or one that names all members."""
    merged = [item for item in complaints if item.union is None]
    for union in dict.fromkeys(item.union for item in complaints if item.union is not None):
        members = [item for item in complaints if item.union == union]
        close = [item for item in members if item.expected is None or len(item.path) > len(union)]
        if close:
            merged.extend(close)
            continue
        expected = " or ".join(dict.fromkeys(str(item.expected) for item in members))
        first = members[0]
        message = f"expected {expected}, got {shown(first.node.plain())}"
        merged.append(_Complaint(first.path, first.node, message, expected, None))
    return merged


def _expected(kind: str, details: dict[str, Any]) -> str | None:
    if kind == "literal_error":
        return _QUOTED.sub(r"\1", details["ctx"]["expected"])
    if kind.endswith(("_type", "_parsing")):
        return _EXPECTED.get(kind.removesuffix("_type").removesuffix("_parsing").removeprefix("model_attributes_"))
    return "a whole number" if kind == "int_from_float" else None


def _message(kind: str, details: dict[str, Any], got: str) -> str:
    context = details.get("ctx", {})
    match kind:
        case "missing":
            return "is required"
        case "greater_than":
            return f"must be greater than {_bound(context['gt'])}, got {got}"
        case "greater_than_equal":
            return f"must be at least {_bound(context['ge'])}, got {got}"
        case "less_than":
            return f"must be less than {_bound(context['lt'])}, got {got}"
        case "less_than_equal":
            return f"must be at most {_bound(context['le'])}, got {got}"
        case "finite_number":
            return f"must be a finite number, got {got}"
        case "too_short" | "too_long":
            bound = context.get("min_length", context.get("max_length"))
            return f"needs {'at least' if kind == 'too_short' else 'at most'} {bound} items, got {got}"
        case "string_too_short":
            return "must not be empty"
        case "component" | "component_name" | "text":
            message = str(details["msg"])
            return f"{message}, got {got}" if kind == "component" else message
    message = str(details["msg"])
    return message[:1].lower() + message[1:]


def _bound(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:g}"


def shown(value: Value) -> str:
    """A value as a message shows it."""
    if isinstance(value, str):
        return f"text {value!r}" if len(value) <= 60 else f"text {value[:57]!r}..."
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else str(value)
