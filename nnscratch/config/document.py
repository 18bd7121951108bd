"""YAML 1.2 (core schema) with the place of every key and value, for text that may be wrong or hostile.

`1e-3` is a number, `no`, `on`, `off` and dates are text, `010` is ten, `0o10` is eight, `1_000` is text. Keys are text
as written. Duplicate keys, anchors and aliases, and tags outside the core schema are refused, and so are documents
that are too large or nested too deeply: no YAML bomb gets far enough to matter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.scanner import Scanner

from nnscratch.errors import ConfigError, Problem, did_you_mean

Scalar = str | int | float | bool | None
Value = Scalar | list["Value"] | dict[str, "Value"]
KeyPath = tuple[str | int, ...]

MAXIMUM_BYTES = 64 * 1024  # a config is a few KB; the slowest text of this size takes PyYAML two seconds
MAXIMUM_DEPTH = 40
LARGEST_INTEGER = 2**63 - 1
EXCERPT_WIDTH = 160

_TAG = "tag:yaml.org,2002:"
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_CORE = (  # the core schema of YAML 1.2, section 10.3.2, in the order in which a plain scalar is tried
    ("null", re.compile(r"null|Null|NULL|~|")),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE")),
    ("int", re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")),
    (
        "float",
        re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
    ),
)


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


@dataclass(frozen=True)
class YamlDocument:
    """One parsed document: its root node, and its plain value and places."""

    root: Node

    @property
    def value(self) -> Value:
        """The document as dicts, lists and scalars."""
        return self.root.plain()

    def position(self, path: KeyPath, key: bool = False) -> Place:
        """Where the value at `path` (or its key) is written; for a path that does not exist, its nearest parent."""
        node, depth = self.root.nearest(path)
        return node.key if key and depth == len(path) and node.key is not None else node.place


def read_yaml(path: Path) -> YamlDocument:
    """The document in a file. Raises ConfigError for whatever is wrong with the file or its text."""
    nowhere = Place(str(path))
    try:
        if path.is_dir():
            raise ConfigError([nowhere.problem("", "is a folder, not a YAML file")], _yaml_files_hint(path))
        with path.open("rb") as file:
            content = file.read(MAXIMUM_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        close = did_you_mean(path.name, [sibling.name for sibling in _yaml_files(path.parent)])
        raise ConfigError([nowhere.problem("", f"no such file{close}")], _yaml_files_hint(path.parent)) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError([nowhere.problem("", f"cannot be read: {reason}")]) from None
    if len(content) > MAXIMUM_BYTES:
        raise ConfigError([nowhere.problem("", f"is larger than {MAXIMUM_BYTES // 1024} KB; is it a config?")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"is not UTF-8 text (byte 0x{content[error.start]:02x}); save it as UTF-8"
        raise ConfigError([Place(str(path), line).problem("", message)]) from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, source: str, prefix: str = "") -> YamlDocument:
    """The document in `text`. Raises ConfigError with every problem of structure, or the first of syntax.

    `prefix` is what stood before the text on a command line (`optimizer.name=`); places count from its start.
    """
    places = _Places(source, text, prefix)
    if len(text) > MAXIMUM_BYTES:
        raise ConfigError([Place(source).problem("", f"is larger than {MAXIMUM_BYTES // 1024} KB; is it a config?")])
    try:
        composed = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise ConfigError([places.at(error.problem_mark or error.context_mark).problem("", _explain(error))]) from None
    except ReaderError as error:
        place = places.at_index(text, error.position)
        raise ConfigError([place.problem("", f"the character U+{error.character:04X} is not allowed")]) from None
    except (ValueError, OverflowError):  # an escape such as "\UFFFFFFFF"
        raise ConfigError(
            [Place(source).problem("", "an escape sequence in a quoted text is not a character")]
        ) from None
    if composed is None:
        return YamlDocument(Node(None, places.start))
    builder = _Builder(places)
    root = builder.node(composed, ())
    if builder.problems:
        raise ConfigError(builder.problems)
    return YamlDocument(root)


def node_from_value(value: object, source: str) -> Node:
    """The node of plain Python data, all of it at the place `source`. Raises ConfigError for anything else."""
    place = Place(source)
    problems: list[Problem] = []

    def convert(item: object, path: KeyPath) -> Node:
        if len(path) > MAXIMUM_DEPTH:
            problems.append(place.problem(path[:3], f"is nested more than {MAXIMUM_DEPTH} levels deep"))
        elif isinstance(item, Mapping):
            return Node({str(key): convert(child, (*path, str(key))) for key, child in item.items()}, place, place)
        elif isinstance(item, list | tuple):
            return Node([convert(child, (*path, index)) for index, child in enumerate(item)], place, place)
        elif item is None or isinstance(item, bool | int | float | str):
            if wrong := _unusable(item):
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


def dump_yaml(value: Value) -> str:
    """YAML text that `parse_yaml` reads back as an equal value; collections of scalars are written on one line."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=110)
    assert isinstance(text, str)
    return text


def _core_tag(text: str) -> str:
    return next((_TAG + name for name, pattern in _CORE if pattern.fullmatch(text)), _TAG + "str")


class _CoreResolver:
    """Gives untagged nodes the tags of the core schema, in place of PyYAML's of YAML 1.1."""

    def resolve(self, kind: type[yaml.Node], value: object, implicit: object) -> str:
        if kind is yaml.ScalarNode:
            plain = implicit is True or (isinstance(implicit, tuple) and implicit[0])
            return _core_tag(str(value)) if plain else _TAG + "str"
        return _TAG + ("seq" if kind is yaml.SequenceNode else "map")

    def descend_resolver(self, current_node: object, current_index: object) -> None:
        """Nothing depends on the path."""

    def ascend_resolver(self) -> None:
        """Nothing depends on the path."""


class _Refused(yaml.MarkedYAMLError):
    """YAML that is valid but not wanted here."""

    def __init__(self, problem: str, event: yaml.Event) -> None:
        super().__init__(problem=problem)
        self.problem_mark = cast("yaml.Mark | None", event.start_mark)


class _Loader(Reader, Scanner, Parser, Composer, _CoreResolver):
    """PyYAML's reader, scanner and parser; refuses anchors and depth while composing, before they cost anything."""

    def __init__(self, stream: str) -> None:
        Reader.__init__(self, stream)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _Refused(
                "anchors and aliases (& and *) are not supported; write the value out, or quote the text", event
            )
        self.depth += 1
        if self.depth > MAXIMUM_DEPTH:
            raise _Refused(f"nested more than {MAXIMUM_DEPTH} levels deep", event)
        node: yaml.Node | None = super().compose_node(parent, index)  # type: ignore[arg-type]
        self.depth -= 1
        return node


class _Dumper(_CoreResolver, yaml.SafeDumper):
    """Quotes exactly the texts that the core schema would read as something else."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(_TAG + "str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _represent_text)


class _Places:
    """From PyYAML's marks to places."""

    def __init__(self, source: str, text: str, prefix: str) -> None:
        self.source = source
        self.lines = _LINE_BREAK.split(text)
        self.prefix = prefix
        self.start = self.make(0, 0)

    def at(self, mark: yaml.Mark | None) -> Place:
        return self.start if mark is None else self.make(mark.line, mark.column)

    def at_index(self, text: str, index: int) -> Place:
        before = _LINE_BREAK.split(text[:index])
        return self.make(len(before) - 1, len(before[-1]))

    def make(self, line: int, column: int) -> Place:
        excerpt = self.lines[line] if line < len(self.lines) else ""
        number: int | None = line + 1
        if self.prefix:  # an override has one line and no number
            excerpt, column, number = self.prefix + self.lines[0], len(self.prefix) + (0 if line else column), None
        shown = "".join(character if character.isprintable() else " " for character in excerpt[:EXCERPT_WIDTH])
        return Place(self.source, number, column + 1, shown if column <= EXCERPT_WIDTH else None)


class _Builder:
    """From PyYAML's nodes to ours, collecting problems on the way."""

    def __init__(self, places: _Places) -> None:
        self.places = places
        self.problems: list[Problem] = []

    def node(self, node: yaml.Node, path: KeyPath, key: Place | None = None) -> Node:
        place = self.places.at(node.start_mark)
        if isinstance(node, yaml.MappingNode):
            self._expect_tag(node, ("map",), place, path)
            return Node(self._mapping(node, path), place, key)
        if isinstance(node, yaml.SequenceNode):
            self._expect_tag(node, ("seq",), place, path)
            return Node([self.node(item, (*path, index)) for index, item in enumerate(node.value)], place, key)
        return Node(self._scalar(node, place, path), place, key)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Node]:
        items: dict[str, Node] = {}
        for key_node, value_node in node.value:
            key_place = self.places.at(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(key_place.problem(path, "a key must be text, not a list or a mapping"))
                continue
            name = str(key_node.value)
            inner = (*path, name)
            if name in items:
                first = items[name].key or items[name].place
                where = f" (first at line {first.line})" if first.line is not None else ""
                self.problems.append(key_place.problem(inner, f"this key is given twice{where}"))
                continue
            if wrong := _unusable(name):
                self.problems.append(key_place.problem(path, wrong))
                continue
            items[name] = self.node(value_node, inner, key_place)
        return items

    def _scalar(self, node: yaml.Node, place: Place, path: KeyPath) -> Scalar:
        text = str(node.value)
        implied = _core_tag(text)
        allowed = {"str", implied.removeprefix(_TAG)} | ({"float"} if implied == _TAG + "int" else set())
        if not self._expect_tag(node, sorted(allowed), place, path):
            return None
        value = _convert(text, node.tag.removeprefix(_TAG))
        if wrong := _unusable(value):
            self.problems.append(place.problem(path, wrong))
            return None
        return value

    def _expect_tag(self, node: yaml.Node, allowed: Sequence[str], place: Place, path: KeyPath) -> bool:
        if node.tag in {_TAG + name for name in allowed}:
            return True
        shown = node.tag.replace(_TAG, "!!")
        self.problems.append(place.problem(path, f"the tag {shown} is not allowed here; write the plain value"))
        return False


def _convert(text: str, tag: str) -> Scalar:
    if tag == "str":
        return text
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() == "true"
    if tag == "int":
        if len(text) > 100:  # Python refuses to convert thousands of digits
            return LARGEST_INTEGER + 1
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text, base)
    if text.lower().endswith(".nan"):
        return math.nan
    return float(text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf"))


def _unusable(value: Scalar) -> str | None:
    """What is wrong with a scalar wherever it stands; None when nothing is."""
    if isinstance(value, int) and not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
        return "the integer does not fit into 64 bits"
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        return "the text holds half a character (a lone surrogate)"
    if isinstance(value, str) and "\0" in value:
        return "the text holds a zero character"
    return None


def _explain(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "not valid YAML"
    if "'\\t'" in problem:
        return "a tab; YAML indents with spaces"
    if "another document" in problem:
        return "a second document; a config is one"
    if "mapping values are not allowed" in problem:
        return "a second ': ' in one line; is the indentation right, or does a text need quotes?"
    if error.context and error.context_mark is not None:
        return f"{problem} ({error.context} that starts at line {error.context_mark.line + 1})"
    return problem


def _yaml_files(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))
    except (OSError, ValueError):
        return


def _yaml_files_hint(folder: Path) -> str | None:
    names = [path.name for path in _yaml_files(folder)]
    if not names:
        return None
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"YAML files in {folder}: {', '.join(names[:10])}{more}"
