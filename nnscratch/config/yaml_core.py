"""YAML 1.2's core schema over PyYAML's scanner and parser: what an unquoted word means, read and written.

`1e-3` is a number, `no`, `on`, `off` and dates are text, `010` is ten, `0o10` is eight, `1_000` is text. Anchors,
aliases and deep nesting are refused while the document is composed: no YAML bomb gets far enough to matter.
"""

from __future__ import annotations

import math
import re
from typing import cast

import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from nnscratch.config.node import LARGEST_INTEGER, MAXIMUM_DEPTH, Scalar, Value

TAG = "tag:yaml.org,2002:"
_CORE = (  # the core schema of YAML 1.2, section 10.3.2, in the order in which a plain scalar is tried
    ("null", re.compile(r"null|Null|NULL|~|")),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE")),
    ("int", re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")),
    (
        "float",
        re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
    ),
)


def dump_yaml(value: Value) -> str:
    """YAML text that `parse_yaml` reads back as an equal value; collections of scalars are written on one line.

    What is not printable is escaped: no character turns the text around it, or another way.
    """
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=110)
    assert isinstance(text, str)
    return "".join(each if each == "\n" or each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    """As a double-quoted scalar has it, which is how `_represent_text` writes what is not printable."""
    return f"\\u{ord(character):04X}" if ord(character) <= 0xFFFF else f"\\U{ord(character):08X}"


def core_tag(text: str) -> str:
    """The tag of an unquoted word."""
    return next((TAG + name for name, pattern in _CORE if pattern.fullmatch(text)), TAG + "str")


def scalar(text: str, tag: str) -> Scalar:
    """The value of a word of that tag (`int`, without the prefix)."""
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


class _CoreResolver:
    """Gives untagged nodes the tags of the core schema, in place of PyYAML's of YAML 1.1."""

    def resolve(self, kind: type[yaml.Node], value: object, implicit: object) -> str:
        if kind is yaml.ScalarNode:
            plain = implicit is True or (isinstance(implicit, tuple) and implicit[0])
            return core_tag(str(value)) if plain else TAG + "str"
        return TAG + ("seq" if kind is yaml.SequenceNode else "map")

    def descend_resolver(self, current_node: object, current_index: object) -> None:
        """Nothing depends on the path."""

    def ascend_resolver(self) -> None:
        """Nothing depends on the path."""


class _Refused(yaml.MarkedYAMLError):
    """YAML that is valid but not wanted here."""

    def __init__(self, problem: str, event: yaml.Event) -> None:
        super().__init__(problem=problem)
        self.problem_mark = cast("yaml.Mark | None", event.start_mark)


class Loader(Reader, Scanner, Parser, Composer, _CoreResolver):
    """PyYAML's reader, scanner and parser; refuses anchors and depth while composing, before they cost anything."""

    def __init__(self, stream: str) -> None:
        Reader.__init__(self, stream)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML has no types there
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _Refused(
                "anchors and aliases (& and *) are not supported; write the value out, or quote the text", event
            )
        self.depth += 1
        if self.depth > MAXIMUM_DEPTH:
            raise _Refused(f"nested more than {MAXIMUM_DEPTH} levels deep", event)
        node: yaml.Node | None = super().compose_node(parent, index)  # type: ignore[arg-type]  # an index is never looked at
        self.depth -= 1
        return node


class _Dumper(_CoreResolver, yaml.SafeDumper):
    """Quotes exactly the texts that the core schema would read as something else."""

    def check_simple_key(self) -> bool:
        """Whether a key is written before its colon alone: an empty one, too, which PyYAML writes as `? ''`."""
        is_empty = isinstance(self.event, yaml.ScalarEvent) and not self.event.value
        return is_empty or bool(super().check_simple_key())

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(TAG + "str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _represent_text)
