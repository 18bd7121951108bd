"""What stands after the `=` of an override: YAML, or, for a field that is text, that text as it is."""

from __future__ import annotations

from types import NoneType
from typing import Any, Literal, get_args, get_origin

from nnscratch.config.document import parse_yaml
from nnscratch.config.node import Node, Place, unusable
from nnscratch.config.specification import alternatives, item_annotation
from nnscratch.config.yaml_core import TAG, core_tag
from nnscratch.errors import ConfigError

SOURCE = "override"


def read_value(value: str, whole: str, annotation: Any) -> Node:
    """The value for a field of that annotation; `whole` is the override in which it stands. Raises ConfigError.

    A field of text takes `007`, `[x].csv` and `a #b`; quotes around all of it are YAML's, and what is optional is unset
    by nothing or by null.
    """
    prefix = whole[: len(whole) - len(value)]
    if not is_text(annotation):
        return parse_yaml(value, SOURCE, prefix).root
    place = Place(SOURCE, None, len(prefix) + 1, whole[:160])
    text = value.strip()
    may_be_empty = NoneType in alternatives(annotation) or item_annotation(annotation, 0) is not None
    if may_be_empty and core_tag(text) == TAG + "null":
        return Node(None, place, place)
    if text.startswith(("'", '"', "[")):
        try:
            node = parse_yaml(value, SOURCE, prefix, words_are_text=True).root
        except ConfigError:
            pass  # it only begins like YAML
        else:
            if isinstance(node.content, str) or item_annotation(annotation, 0) is not None:
                return node
    if wrong := unusable(text):
        raise ConfigError([place.problem("", wrong)])
    return Node(text, place, place)


def is_text(annotation: Any) -> bool:
    """Whether every value of the annotation is text, a list of texts, or nothing."""
    return all(
        member is str
        or member is NoneType
        or (get_origin(member) is Literal and all(isinstance(word, str) for word in get_args(member)))
        or (get_origin(member) in (list, tuple) and is_text(item_annotation(member, 0)))
        for member in alternatives(annotation)
    )
