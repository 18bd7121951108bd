from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from nnscratch.component import Component, setting
from nnscratch.config.document import parse_yaml
from nnscratch.config.node import Value, node_from_value
from nnscratch.config.shorthand import write_out
from nnscratch.config.specification import Section, Specification
from nnscratch.errors import Problem


@dataclass
class Shape(Component):
    kind: ClassVar[str] = "shape"


@dataclass
class Dot(Shape):
    name: ClassVar[str] = "dot"


@dataclass
class Square(Shape):
    name: ClassVar[str] = "square"
    short: ClassVar[str | None] = "side"

    side: float = setting(1.0, "its length", gt=0)
    inner: Shape | None = setting(None, "what is inside")


@dataclass
class Group(Shape):
    name: ClassVar[str] = "group"
    short: ClassVar[str | None] = "shapes"

    shapes: tuple[Shape, ...] = setting((), "what it holds")


@dataclass
class Frame(Shape):
    name: ClassVar[str] = "frame"
    short: ClassVar[str | None] = "around"

    around: Shape | None = setting(None, "what is inside")
    width: int = setting(1, "its width")


class Pen(Section):
    short: ClassVar[str | None] = "colour"

    colour: str = "black"
    width: int = 1


class Drawing(Section):
    shapes: tuple[Specification[Shape], ...] = ()
    background: Specification[Shape] | None = None
    pen: Pen = Pen()
    second_pen: Pen | None = None


def written_out(text: str) -> tuple[Value, list[Problem]]:
    problems: list[Problem] = []
    return write_out(parse_yaml(text, "my.yaml").root, Drawing, problems).plain(), problems


@pytest.mark.parametrize(
    ("short", "canonical"),
    [
        ("dot", {"name": "dot"}),
        ("square: 2", {"name": "square", "side": 2}),
        ("square:", {"name": "square"}),
        ("square: {side: 3}", {"name": "square", "side": 3}),
        ("{name: square, side: 3}", {"name": "square", "side": 3}),
        ("square: {inner: {square: 2}}", {"name": "square", "inner": {"name": "square", "side": 2}}),
        ("group: [dot, square: 1]", {"name": "group", "shapes": [{"name": "dot"}, {"name": "square", "side": 1}]}),
        ("{name: group, shapes: [dot]}", {"name": "group", "shapes": [{"name": "dot"}]}),
        ("frame: dot", {"name": "frame", "around": {"name": "dot"}}),
        ("frame: {square: 2}", {"name": "frame", "around": {"name": "square", "side": 2}}),
        ("frame: {width: 2}", {"name": "frame", "width": 2}),
        ("sqare: 2", {"name": "sqare"}),
        ("{side: 2}", {"side": 2}),
        ("{square: 1, side: 2}", {"square": 1, "side": 2}),
        ("7", 7),
    ],
)
def test_short_forms_of_a_component_are_written_out(short: str, canonical: Value) -> None:
    value, problems = written_out("shapes:\n  - " + short)

    assert value == {"shapes": [canonical]}
    assert problems == []


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("pen: red", {"pen": {"colour": "red"}}),
        ("pen: {width: 2}", {"pen": {"width": 2}}),
        ("pen:", {"pen": {}}),
        ("second_pen:", {"second_pen": None}),
        ("second_pen: red", {"second_pen": {"colour": "red"}}),
        ("background: null", {"background": None}),
        ("background: dot", {"background": {"name": "dot"}}),
        ("unknown: {dot: 1}", {"unknown": {"dot": 1}}),
    ],
)
def test_short_forms_of_sections_and_optional_fields_are_written_out(text: str, canonical: Value) -> None:
    assert written_out(text) == (canonical, [])


def test_writing_out_twice_changes_nothing() -> None:
    once, _ = written_out("shapes: [dot, square: 2, group: [frame: {square: 1}]]\npen: red")

    assert isinstance(once, dict)
    problems: list[Problem] = []
    assert write_out(node_from_value(once, "x"), Drawing, problems).plain() == once


def test_a_value_for_a_component_that_takes_none_is_a_problem() -> None:
    _, problems = written_out("shapes: [dot: 3]")

    assert [str(problem).splitlines()[0] for problem in problems] == [
        "my.yaml:1:10  shapes.0: `dot` takes no value here; write `dot` alone, or {name: dot, field: value}"
    ]


def test_two_names_for_one_component_are_a_problem() -> None:
    _, problems = written_out("background: {square: {name: dot}}")

    assert "a shape with two names" in problems[0].message


def test_places_move_with_their_values() -> None:
    problems: list[Problem] = []
    root = write_out(parse_yaml("shapes:\n  - square: 2\n", "my.yaml").root, Drawing, problems)

    side, depth = root.nearest(("shapes", 0, "side"))
    name, _ = root.nearest(("shapes", 0, "name"))

    assert depth == 3
    assert (side.place.line, side.place.column) == (2, 13)
    assert (name.place.line, name.place.column) == (2, 5)
