"""What a config can name: a class with documented fields and a YAML name, in one place.

A component is a stdlib dataclass that derives from the base class of its kind (`Layer`, `Loss`, `Optimizer`, ...).
Its name in YAML is the class attribute `name`; its fields are its YAML fields, with the help text and the bounds in
the field's metadata. The schema, the error messages and `nnscratch schema` are made from these and from nothing else.
"""

from __future__ import annotations

import inspect
import operator
import re
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields
from functools import cache
from numbers import Integral, Real
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints


def setting(
    default: Any = MISSING,
    help: str = "",
    *,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
    default_factory: Any = MISSING,
) -> Any:
    """A dataclass field that a config may set: its default, what it means, and the bounds its value must keep."""
    bounds = {key: bound for key, bound in (("gt", gt), ("ge", ge), ("lt", lt), ("le", le)) if bound is not None}
    return field(default=default, default_factory=default_factory, metadata={"help": help, "bounds": bounds})


class Component:
    """Base of everything a config can name."""

    kind: ClassVar[str] = "component"
    """What the family is called in messages: layer, loss, optimizer, ..."""

    name: ClassVar[str] = ""
    """The YAML name. A class without one of its own is abstract."""

    equations: ClassVar[Mapping[str, str]] = {}
    """Its formulas by name, in Python's arithmetic, for the book to typeset."""

    also_called: ClassVar[tuple[str, ...]] = ()
    """Its names in other programs, for `did you mean`: lower case, without `_`."""

    short: ClassVar[str | None] = None
    """The field that the short form sets: with `short = "units"`, `dense: 10` means `dense: {units: 10}`."""

    formula_in: ClassVar[tuple[str, ...]] = ()
    """The methods that compute its formula, where they are not those that its kind is called by."""

    def __new__(cls, *args: Any, **given: Any) -> Self:
        """A new one. Raises ValueError for a number that a config would refuse: the setting, its bound and the value.

        What is given is looked at, not what it becomes: a class may derive from its settings whatever it likes.
        """
        code = getattr(cls.__init__, "__code__", None)
        if code is not None:
            given = dict(zip(code.co_varnames[1 : code.co_argcount], args, strict=False)) | given
        for name, value in given.items():
            if (refusal := _refusal(cls, name, value)) is not None:
                raise ValueError(f"{cls.name or cls.__name__}: {name} must be {refusal}, got {value!r:.60}")
        return super().__new__(cls)

    def contradictions(self) -> Iterable[tuple[str, str]]:
        """A field and what is wrong with it, for every setting that another one makes impossible or meaningless."""
        return ()


Kind = TypeVar("Kind")
ComponentType = TypeVar("ComponentType", bound=Component)


def catalogue(base: type[ComponentType]) -> dict[str, type[ComponentType]]:
    """Every concrete class of a kind by its YAML name, in order of definition."""
    found: dict[str, type[ComponentType]] = {}
    for subclass in base.__subclasses__():
        if "name" in vars(subclass):
            found[subclass.name] = subclass
        found.update(catalogue(subclass))
    return found


DEEPEST = 50
"""Components within components: more is no network of anybody's."""


def from_plain(base: type[ComponentType], values: object, depth: int = 0) -> ComponentType:
    """The component of that kind that plain values describe: its name, and the fields that it sets.

    For what was validated when it was written and may have been changed since, without the library that a config is
    validated by. Raises ValueError for an unknown name or field, and for a value that the field cannot have.
    """
    if not isinstance(values, Mapping) or depth > DEEPEST:
        raise ValueError(f"there is {values!r:.60}, not the fields of a {base.kind}")
    component = catalogue(base).get(str(values.get("name")))
    if component is None:
        raise ValueError(f"there is no {base.kind} {values.get('name')!r:.60} here")
    called = f"the {base.kind} {component.name}"
    made = with_fields(component, {name: value for name, value in values.items() if name != "name"}, called, depth + 1)
    for name, message in made.contradictions():
        raise ValueError(f"in {name} of {called}, {message}")
    return made


def settings_of(kind: Any) -> tuple[Field[Any], ...]:
    """The fields of a component, its class or any other dataclass that are given when it is made, in order."""
    return tuple(each for each in fields(kind) if each.init)


def with_fields(kind: type[Kind], values: Mapping[str, Any], called: str, depth: int = 0) -> Kind:
    """The dataclass with these plain values. Raises ValueError, in which it is `called` so, as `from_plain` does."""
    settings = {each.name: each for each in settings_of(kind)}
    hints, given = hints_of(kind), {}  # type: ignore[arg-type]  # mypy thinks that a class is not hashable
    for name, value in values.items():
        if name not in settings:
            raise ValueError(f"{called} has no {name!r:.60}")
        try:
            given[name] = typed(hints[name], value, settings[name].metadata.get("bounds", {}), depth)
        except ValueError as error:
            raise ValueError(f"in {name} of {called}, {error}") from None
    try:
        return kind(**given)
    except TypeError as error:  # a field without a default is missing
        raise ValueError(str(error)) from None


def typed(annotation: Any, value: Any, bounds: Mapping[str, float] = types.MappingProxyType({}), depth: int = 0) -> Any:
    """The plain value (of JSON) as that type has it: a list as a tuple where that is meant, a whole number as a float.

    Numbers are finite and within the bounds; where there are several types, the first that fits. Raises ValueError.
    """
    origin, members = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return value
    if origin is Annotated:
        return typed(members[0], value, bounds, depth)
    if origin in (Union, types.UnionType):
        for member in members:
            try:
                return typed(member, value, bounds, depth)
            except ValueError as error:
                last = error
        raise last
    if isinstance(annotation, type) and issubclass(annotation, Component):
        return from_plain(annotation, value, depth)
    if origin in (tuple, list, Sequence) and isinstance(value, list | tuple):
        fixed = origin is tuple and members[-1] is not Ellipsis
        if not fixed or len(members) == len(value):
            of = members if fixed else members[:1] * len(value)
            items = [typed(each, item, bounds, depth) for each, item in zip(of, value, strict=True)]
            return type(value)(items) if origin is Sequence else origin(items)
    elif origin in (dict, Mapping) and isinstance(value, Mapping):
        return {typed(members[0], key): typed(members[1], item, bounds, depth) for key, item in value.items()}
    elif _is_scalar(annotation, value) and _is_within(bounds, value):
        return float(value) if annotation is float else value
    raise ValueError(f"there is {value!r:.60}")


@cache
def hints_of(kind: type) -> dict[str, Any]:
    """The types of a class's fields by their names, looked up once: Python compiles those that are text each time."""
    return get_type_hints(kind)


def _is_scalar(annotation: Any, value: object) -> bool:
    if get_origin(annotation) is Literal:
        return any(value == each and type(value) is type(each) for each in get_args(annotation))
    if annotation is None or annotation is types.NoneType:
        return value is None
    if annotation is float:
        return isinstance(value, int | float) and type(value) is not bool and abs(value) <= sys.float_info.max
    return annotation in (bool, int, str) and type(value) is annotation


def _is_within(bounds: Mapping[str, float], value: Any) -> bool:
    if type(value) not in (int, float):
        return True
    return all(getattr(operator, name)(value, bound) for name, bound in bounds.items())


_BOUNDS = {"gt": "greater than", "ge": "at least", "lt": "less than", "le": "at most"}


def _refusal(component: type[Component], name: str, value: object) -> str | None:
    """What the setting must be instead, when the value is text in place of a number or a number out of its bounds."""
    setting = getattr(component, "__dataclass_fields__", {}).get(name)
    if setting is None or not setting.init:
        return None
    if not isinstance(value, list | tuple):
        try:
            annotation = hints_of(component)[name]  # type: ignore[arg-type]  # as in `with_fields`
        except NameError:  # an annotation of a class that only a type checker sees
            annotation = Any
        kinds = set(get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,))
        if isinstance(value, str) and kinds <= {int, float, types.NoneType}:
            return "a number"
        if isinstance(value, Real) and not isinstance(value, Integral) and kinds <= {int, types.NoneType}:
            return "a whole number"
    for number in value if isinstance(value, list | tuple) else (value,):
        for kind, bound in setting.metadata.get("bounds", {}).items():
            if not isinstance(number, bool) and isinstance(number, Real) and not getattr(operator, kind)(number, bound):
                return f"{_BOUNDS[kind]} {bound:g}"
    return None


GOES_ON = re.compile(r"\(|(and|or|but|then|which|where|with|that|so|as)\b")
"""How a paragraph begins that goes on with the sentence before it."""


def opening(component: type[Component]) -> tuple[str, list[str]]:
    """The whole first statement of a component's docstring, which may run over paragraphs, and the paragraphs after."""
    statement, *rest = inspect.cleandoc(component.__doc__ or "").split("\n\n")
    while rest and (statement.endswith((":", ",", ";")) or GOES_ON.match(rest[0])):
        sentence, *others = re.split(r"(?<=[^ ]\.)\s+(?=[A-Z])", rest.pop(0), maxsplit=1)
        statement += "\n" + sentence
        rest[:0] = others
    return statement, rest
