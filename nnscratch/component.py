"""What a config can name: a class with documented fields and a YAML name, in one place.

A component is a stdlib dataclass that derives from the base class of its kind (`Layer`, `Loss`, `Optimizer`, ...).
Its name in YAML is the class attribute `name`; its fields are its YAML fields, with the help text and the bounds in
the field's metadata. The schema, the error messages and `nnscratch schema` are made from these and from nothing else.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import MISSING, field
from typing import Any, ClassVar, TypeVar


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

    short: ClassVar[str | None] = None
    """The field that the short form sets: with `short = "units"`, `dense: 10` means `dense: {units: 10}`."""

    formula_in: ClassVar[tuple[str, ...]] = ()
    """The methods that compute its formula, where they are not those that its kind is called by."""

    def contradictions(self) -> Iterable[tuple[str, str]]:
        """A field and what is wrong with it, for every setting that another one makes impossible or meaningless."""
        return ()


ComponentType = TypeVar("ComponentType", bound=Component)


def catalogue(base: type[ComponentType]) -> dict[str, type[ComponentType]]:
    """Every concrete class of a kind by its YAML name, in order of definition."""
    found: dict[str, type[ComponentType]] = {}
    for subclass in base.__subclasses__():
        if "name" in vars(subclass):
            found[subclass.name] = subclass
        found.update(catalogue(subclass))
    return found


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
