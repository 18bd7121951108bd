from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import pytest
from pydantic import TypeAdapter, ValidationError

from nnscratch.component import Component, setting
from nnscratch.config.specification import (
    STRICT,
    Specification,
    component_base,
    default_of,
    fields_model,
    fields_of,
    item_annotation,
    noun,
    plain,
)
from nnscratch.errors import UserError


@dataclass
class Start(Component):
    kind: ClassVar[str] = "start"


@dataclass
class Even(Start):
    name: ClassVar[str] = "even"
    scale: float = setting(1.0, "how far", gt=0)


@dataclass
class Odd(Start):
    name: ClassVar[str] = "odd"


@dataclass(eq=False)
class Part(Component):
    kind: ClassVar[str] = "part"


@dataclass(eq=False)
class Wheel(Part):
    name: ClassVar[str] = "wheel"
    short: ClassVar[str | None] = "spokes"

    spokes: int = setting(help="how many spokes", ge=1)
    radius: float | None = setting(None, "in metres", gt=0)
    size: int | tuple[int, int] = setting(3, "one size or two", ge=1)
    weights: Literal["balanced"] | tuple[float, ...] | None = setting(None, "one per spoke", ge=0)
    start: Start | None = setting(None, "how it starts")
    copy: bool = setting(False, "a name that pydantic keeps for itself")
    state: list[int] = field(init=False, default_factory=list)


@dataclass(eq=False)
class Cart(Part):
    name: ClassVar[str] = "cart"

    parts: list[Part] = setting(help="what it is made of")
    start: Start = setting(default_factory=lambda: Even(2.0), help="how it starts")
    labels: tuple[str, ...] = setting((), "what is written on it")


PARTS = TypeAdapter(Specification[Part], config=STRICT)


def complaints(value: object) -> list[tuple[tuple[int | str, ...], str]]:
    with pytest.raises(ValidationError) as caught:
        PARTS.validate_python(value)
    return [(details["loc"], details["type"]) for details in caught.value.errors()]


def test_a_specification_builds_the_named_class_with_its_fields() -> None:
    wheel = PARTS.validate_python({"name": "wheel", "spokes": 8, "radius": 1}).build()

    assert isinstance(wheel, Wheel)
    assert (wheel.spokes, wheel.radius, wheel.size) == (8, 1.0, 3)
    assert isinstance(wheel.radius, float)


def test_every_build_is_a_new_instance_nested_ones_included() -> None:
    specification = PARTS.validate_python({"name": "cart", "parts": [{"name": "wheel", "spokes": 1}]})

    first, second = specification.build(), specification.build()

    assert isinstance(first, Cart)
    assert isinstance(second, Cart)
    assert first.parts is not second.parts
    assert first.parts[0] is not second.parts[0]
    assert first.start is not second.start


def test_nested_components_and_their_defaults_are_built() -> None:
    specification = PARTS.validate_python(
        {
            "name": "cart",
            "parts": [{"name": "cart", "parts": []}, {"name": "wheel", "spokes": 2, "start": {"name": "odd"}}],
        }
    )

    cart = specification.build()

    assert isinstance(cart, Cart)
    assert cart.start == Even(2.0)
    assert isinstance(cart.parts[0], Cart)
    assert isinstance(cart.parts[1], Wheel)
    assert cart.parts[1].start == Odd()


def test_the_canonical_form_has_every_field_and_validates_to_an_equal_specification() -> None:
    specification = PARTS.validate_python({"name": "cart", "parts": [{"name": "wheel", "spokes": 2, "size": [1, 2]}]})

    assert specification.to_dict() == {
        "name": "cart",
        "parts": [
            {
                "name": "wheel",
                "spokes": 2,
                "radius": None,
                "size": [1, 2],
                "weights": None,
                "start": None,
                "copy": False,
            }
        ],
        "start": {"name": "even", "scale": 2.0},
        "labels": [],
    }
    assert PARTS.validate_python(specification.to_dict()) == specification


def test_essentials_leave_out_what_the_class_has_by_default() -> None:
    assert PARTS.validate_python({"name": "wheel", "spokes": 2, "radius": None}).essentials() == {
        "name": "wheel",
        "spokes": 2,
    }


def test_a_specification_describes_an_instance() -> None:
    assert Specification.of(Cart([Wheel(3)])).to_dict() == (
        PARTS.validate_python({"name": "cart", "parts": [{"name": "wheel", "spokes": 3}]}).to_dict()
    )


@pytest.mark.parametrize(
    ("fields", "location", "kind"),
    [
        ({}, ("spokes",), "missing"),
        ({"spokes": 0}, ("spokes",), "greater_than_equal"),
        ({"spokes": "3"}, ("spokes",), "int_type"),
        ({"spokes": 3.0}, ("spokes",), "int_type"),
        ({"spokes": True}, ("spokes",), "int_type"),
        ({"spokes": 3, "radius": float("inf")}, ("radius",), "finite_number"),
        ({"spokes": 3, "radius": float("nan")}, ("radius",), "finite_number"),
        ({"spokes": 3, "radius": 0}, ("radius",), "greater_than"),
        ({"spokes": 3, "radius": False}, ("radius",), "float_type"),
        ({"spokes": 3, "copy": 1}, ("copy",), "bool_type"),
        ({"spokes": 3, "spoke": 1}, ("spoke",), "extra_forbidden"),
        ({"spokes": 3, "state": []}, ("state",), "extra_forbidden"),
        ({"spokes": 3, "start": {"name": "evn"}}, ("start", "name"), "component_name"),
        ({"spokes": 3, "start": {"name": "even", "scale": -1}}, ("start", "scale"), "greater_than"),
        ({"spokes": 3, "start": 5}, ("start",), "component"),
        ({"spokes": 3, "start": {}}, ("start",), "component_name"),
        ({"spokes": 3, "start": {"name": None}}, ("start", "name"), "component_name"),
    ],
)
def test_a_wrong_field_is_refused_at_its_place(fields: dict[str, object], location: tuple[str, ...], kind: str) -> None:
    assert complaints({"name": "wheel", **fields}) == [(location, kind)]


def test_bounds_hold_for_every_number_of_a_union_and_of_a_tuple() -> None:
    for name in ("size", "weights"):
        found = complaints({"name": "wheel", "spokes": 3, name: [1, -1]})

        assert [location[-1] for location, kind in found if kind == "greater_than_equal"] == [1]


def test_an_unknown_name_says_what_was_meant_and_what_is_allowed() -> None:
    with pytest.raises(ValidationError, match=r"unknown part `wheeel`; did you mean wheel\? \(allowed: cart, wheel\)"):
        PARTS.validate_python({"name": "wheeel"})


def test_a_specification_of_another_kind_is_refused() -> None:
    start = Specification.named(Start, "even")

    with pytest.raises(ValidationError):
        PARTS.validate_python(start)
    assert TypeAdapter(Specification[Start]).validate_python(start) is start


def test_a_component_defined_later_is_known_at_once() -> None:
    @dataclass(eq=False)
    class Axle(Part):
        name: ClassVar[str] = "axle"

    try:
        assert isinstance(PARTS.validate_python({"name": "axle"}).build(), Axle)
    finally:
        del Axle.name  # the catalogue would show it to other tests


def test_fields_carry_help_and_defaults() -> None:
    fields = fields_of(fields_model(Wheel))

    assert list(fields) == ["spokes", "radius", "size", "weights", "start", "copy"]
    assert fields["spokes"].description == "how many spokes"
    assert default_of(fields["size"]) == 3
    assert default_of(fields["spokes"]) is None


def test_annotations_tell_components_and_items() -> None:
    fields = fields_of(fields_model(Cart))

    assert component_base(item_annotation(fields["parts"].annotation, 5)) is Part
    assert component_base(fields["start"].annotation) is Start
    assert component_base(fields["labels"].annotation) is None
    assert noun(Start) == "start"
    assert noun(Wheel) == "wheel"


def test_a_field_that_a_config_cannot_express_is_an_error_that_names_the_component() -> None:
    @dataclass
    class Strange(Component):
        kind: ClassVar[str] = "strange"
        name: ClassVar[str] = "stranger"
        value: Unknown = 3  # type: ignore[name-defined]  # noqa: F821  the name is meant to be unknown

    with pytest.raises(UserError, match="strange stranger: an annotation cannot be read"):
        fields_model(Strange)


def test_plain_refuses_what_yaml_cannot_hold() -> None:
    with pytest.raises(TypeError, match="set"):
        plain({1, 2})
