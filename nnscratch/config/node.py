"""A value that knows where it was written: what a YAML document, an override and a dict of Python become alike."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from nnscratch.errors import ConfigError, Problem

Scalar = str | int | float | bool | None
Value = Scalar | list["Value"] | dict[str, "Value"]
KeyPath = tuple[str | int, ...]

MAXIMUM_DEPTH = 40
LARGEST_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class Place:
    """Where something was written; line and column count from 1, all but the source may be unknown."""

    source: str
    line: int | None = None
    column: int | None = None
    excerpt: str | None = None

    def problem(self, path: KeyPath | str, message: str) -> Problem:
        """The Problem of `message` at this place."""
        dotted = path if isinstance(path, str) else ".".join(map(str, path))
        return Problem(dotted, message, self.source, self.line, self.column, self.excerpt)


@dataclass
class Node:
    """A value that knows where it was written, and where its key was (for an item of a mapping)."""

    content: Scalar | list[Node] | dict[str, Node]
    place: Place
    key: Place | None = None

    def plain(self) -> Value:
        """The value without places."""
        if isinstance(self.content, dict):
            return {key: node.plain() for key, node in self.content.items()}
        if isinstance(self.content, list):
            return [node.plain() for node in self.content]
        return self.content

    def child(self, key: str | int) -> Node | None:
        """The item under a key or an index, None when there is none."""
        if isinstance(self.content, dict):
            return self.content.get(key) if isinstance(key, str) else None
        if isinstance(self.content, list) and isinstance(key, int) and 0 <= key < len(self.content):
            return self.content[key]
        return None

    def nearest(self, path: KeyPath) -> tuple[Node, int]:
        """The node at the longest part of the path that exists, and the length of that part."""
        node = self
        for depth, key in enumerate(path):
            found = node.child(key)
            if found is None:
                return node, depth
            node = found
        return node, len(path)


def node_from_value(value: object, source: str) -> Node:
    """The node of plain Python data, all of it at the place `source`. Raises ConfigError for anything else."""
    place = Place(source)
    problems: list[Problem] = []

    def convert(item: object, path: KeyPath) -> Node:
        item = plain_value(item)
        if len(path) > MAXIMUM_DEPTH:
            problems.append(place.problem(path[:3], f"is nested more than {MAXIMUM_DEPTH} levels deep"))
        elif isinstance(item, Mapping):
            return Node({str(key): convert(child, (*path, str(key))) for key, child in item.items()}, place, place)
        elif isinstance(item, list | tuple):
            return Node([convert(child, (*path, index)) for index, child in enumerate(item)], place, place)
        elif item is None or isinstance(item, bool | int | float | str):
            if wrong := unusable(item):
                problems.append(place.problem(path, wrong))
            else:
                return Node(item, place, place)
        else:
            problems.append(place.problem(path, f"a {type(item).__name__} cannot stand in a config"))
        return Node(None, place, place)

    root = convert(value, ())
    if problems:
        raise ConfigError(problems)
    return root


def plain_value(value: object) -> object:
    """NumPy's numbers and arrays as Python's, and paths as text; all else as it is."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def unusable(value: Scalar) -> str | None:
    """What is wrong with a scalar wherever it stands; None when nothing is."""
    if isinstance(value, int) and not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
        return "the integer does not fit into 64 bits"
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        return "the text holds half a character (a lone surrogate)"
    if isinstance(value, str) and "\0" in value:
        return "the text holds a zero character"
    return None
