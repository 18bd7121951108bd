"""From YAML text, which may be wrong or hostile, to nodes with the place of every key and value.

Keys are text as written. Duplicate keys and tags outside the core schema are refused, and so are documents that are too
large.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import yaml
from yaml.reader import ReaderError

from nnscratch.config.node import KeyPath, Node, Place, Scalar, Value, unusable
from nnscratch.config.yaml_core import TAG, Loader, core_tag, scalar
from nnscratch.errors import ConfigError, Problem, cause, did_you_mean, listed

MAXIMUM_BYTES = 64 * 1024  # a config is a few KB; the slowest text of this size takes PyYAML two seconds
EXCERPT_WIDTH = 160

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


@dataclass(frozen=True)
class YamlDocument:
    """One parsed document: its root node, and its plain value and places."""

    root: Node

    @property
    def value(self) -> Value:
        """The document as dicts, lists and scalars."""
        return self.root.plain()


def read_yaml(path: Path, how_to_get_one: str = "") -> YamlDocument:
    """The document in a file. Raises ConfigError for whatever is wrong with the file or its text.

    `how_to_get_one` is said where nothing like it is to be found.
    """
    nowhere = Place(str(path))
    try:
        if path.is_dir():
            raise ConfigError([nowhere.problem("", "is a folder, not a YAML file")], _yaml_files_hint(path) or None)
        with path.open("rb") as file:
            content = file.read(MAXIMUM_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        meant = _meant(path)
        hint = _yaml_files_hint(path.parent) or ("" if meant else _nothing_hint(path.parent, how_to_get_one))
        raise ConfigError([nowhere.problem("", f"no such file{meant}")], hint or None) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = cause(error) if isinstance(error, OSError) else str(error)
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


def parse_yaml(text: str, source: str, prefix: str = "", words_are_text: bool = False) -> YamlDocument:
    """The document in `text`. Raises ConfigError with every problem of structure, or the first of syntax.

    `prefix` is what stood before the text on a command line (`optimizer.name=`); places count from its start, and ` #`
    begins no comment there. With `words_are_text`, so are `007`, `null` and `true`.
    """
    places = _Places(source, text, prefix)
    if len(text) > MAXIMUM_BYTES:
        raise ConfigError([Place(source).problem("", f"is larger than {MAXIMUM_BYTES // 1024} KB; is it a config?")])
    hash_sign = _stand_in(text) if prefix else "#"
    try:
        composed = Loader(text.replace("#", hash_sign)).get_single_node()
    except yaml.MarkedYAMLError as error:
        message, mark = _explain(error)
        raise ConfigError([places.at(mark).problem("", message.replace(repr(hash_sign)[1:-1], "#"))]) from None
    except ReaderError as error:
        place = places.at_index(text, error.position)
        raise ConfigError([place.problem("", f"the character U+{error.character:04X} is not allowed")]) from None
    except (ValueError, OverflowError):  # an escape such as "\UFFFFFFFF"
        raise ConfigError(
            [Place(source).problem("", "an escape sequence in a quoted text is not a character")]
        ) from None
    if composed is None:
        return YamlDocument(Node(None, places.start))
    builder = _Builder(places, hash_sign, words_are_text)
    root = builder.node(composed, ())
    if builder.problems:
        raise ConfigError(builder.problems)
    return YamlDocument(root)


class _Places:
    """From PyYAML's marks to places."""

    def __init__(self, source: str, text: str, prefix: str) -> None:
        self.source = source
        self.lines = _LINE_BREAK.split(text)
        self.excerpts = [_excerpt(line) for line in self.lines]
        self.prefix = prefix
        self.start = self.make(0, 0)

    def at(self, mark: yaml.Mark | None) -> Place:
        return self.start if mark is None else self.make(mark.line, mark.column)

    def at_index(self, text: str, index: int) -> Place:
        before = _LINE_BREAK.split(text[:index])
        return self.make(len(before) - 1, len(before[-1]))

    def make(self, line: int, column: int) -> Place:
        excerpt = self.excerpts[line] if line < len(self.lines) else ""
        number: int | None = line + 1
        if self.prefix:  # an override has one line and no number
            excerpt = _excerpt(self.prefix + self.lines[0])
            column, number = len(self.prefix) + (0 if line else column), None
        return Place(self.source, number, column + 1, excerpt if column <= EXCERPT_WIDTH else None)


def _excerpt(line: str) -> str:
    return "".join(character if character.isprintable() else " " for character in line[:EXCERPT_WIDTH])


class _Builder:
    """From PyYAML's nodes to ours, collecting problems on the way."""

    def __init__(self, places: _Places, hash_sign: str, words_are_text: bool) -> None:
        self.places, self.hash_sign, self.words_are_text = places, hash_sign, words_are_text
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
            name = self._text(key_node)
            inner = (*path, name)
            if name in items:
                first = items[name].key or items[name].place
                where = f" (first at line {first.line})" if first.line is not None else ""
                self.problems.append(key_place.problem(inner, f"this key is given twice{where}"))
                continue
            if wrong := unusable(name):
                self.problems.append(key_place.problem(path, wrong))
                continue
            items[name] = self.node(value_node, inner, key_place)
        return items

    def _scalar(self, node: yaml.Node, place: Place, path: KeyPath) -> Scalar:
        text = self._text(node)
        if self.words_are_text and node.tag.startswith(TAG):
            node.tag = TAG + "str"
        implied = core_tag(text)
        allowed = {"str", implied.removeprefix(TAG)} | ({"float"} if implied == TAG + "int" else set())
        if not self._expect_tag(node, sorted(allowed), place, path):
            return None
        value = scalar(text, node.tag.removeprefix(TAG))
        if wrong := unusable(value):
            self.problems.append(place.problem(path, wrong))
            return None
        return value

    def _text(self, node: yaml.Node) -> str:
        return str(node.value).replace(self.hash_sign, "#")

    def _expect_tag(self, node: yaml.Node, allowed: Sequence[str], place: Place, path: KeyPath) -> bool:
        if node.tag in {TAG + name for name in allowed}:
            return True
        shown = node.tag.replace(TAG, "!!")
        self.problems.append(place.problem(path, f"the tag {shown} is not allowed here; write the plain value"))
        return False


OPENED = {
    "while parsing a flow mapping": "{ is not closed by a }, or a comma is missing after it",
    "while parsing a flow sequence": "[ is not closed by a ], or a comma is missing after it",
}
"""What the parser was at, as it says, when something else came than it expected: in which bracket."""


def _stand_in(text: str) -> str:
    """A character that means nothing to YAML and is not in the text."""
    private = map(chr, range(0xF0000, 0x10FFFE))  # more of them than a text may have characters
    return next(character for character in private if character not in text)


def _explain(error: yaml.MarkedYAMLError) -> tuple[str, yaml.Mark | None]:
    """What is wrong, as whoever writes a config would say it, and where: where it began, if it was noticed later."""
    problem, context = error.problem or "not valid YAML", error.context or ""
    noticed, begun = error.problem_mark or error.context_mark, error.context_mark or error.problem_mark
    if "'\\t'" in problem:
        return "a tab; YAML takes spaces", noticed
    if "another document" in problem:
        return "a second document; a config is one", noticed
    if "mapping values are not allowed" in problem:
        return "a second ': ' in one line; is the indentation right, or does a text need quotes?", noticed
    if "<block end>" in problem and noticed is not None:
        if noticed.buffer is not None and noticed.buffer[: noticed.pointer].rpartition("\n")[2].strip():
            return "text behind a closed quote or bracket; a text with quotes in it needs others around it", noticed
        said = f"this line is indented by {noticed.column}, as none above that it could belong to"
        return f"{said}: the fields of a section, and the items of a list, stand equally far in", noticed
    if "could not find expected ':'" in problem:
        return "a key without a colon and a space behind it", begun
    if context in OPENED and "expected" in problem:
        return f"this {OPENED[context]}", begun
    if "quoted scalar" in context and "end of" in problem:
        return "this quote is not closed", begun
    if "block scalar" in context:
        return "a '>' or '|' begins a text of several lines; was it copied along?", begun
    if "cannot start any token" in problem:
        return (
            f"{problem.replace('found character', 'a text that begins with').split(' that cannot')[0]} needs quotes",
            noticed,
        )
    if "<document start>" in problem:
        return "a line that belongs to no section; a comment begins with #", noticed
    return f"{problem} ({context})" if context else problem, noticed


def folder_that_has(path: Path, source: str) -> Path | None:
    """Where a relative path leads to something: from the folder of the YAML file `source`, or from one above it.

    What holds that file is not meant: a run may be called like its data.
    """
    beside = Path(source).parent
    folders = (beside, Path(os.path.normpath(beside / "..")), *Path(os.path.abspath(beside)).parents)
    own = Path(os.path.abspath(source)).parents
    return next((each for each in folders if (found := each / path).exists() and found.absolute() not in own), None)


def _meant(path: Path) -> str:
    """'; did you mean X?' for a YAML file that is called like it, in its folder or else in one beside that."""
    folder = path.parent
    if folder.is_dir():
        return did_you_mean(path.name, [sibling.name for sibling in _yaml_files(folder)])
    above = sorted(folder.parent.iterdir()) if folder.parent.is_dir() else []
    nearby = {f"{each.parent.name}/{each.name}": each for beside in above for each in _yaml_files(beside)}
    close = get_close_matches(f"{folder.name}/{path.name}", nearby, n=1)
    return f"; did you mean {nearby[close[0]]}?" if close else ""


def _yaml_files(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))
    except (OSError, ValueError):
        return


def _yaml_files_hint(folder: Path) -> str:
    names = [path.name for path in _yaml_files(folder)]
    return f"YAML files in {folder}: {listed(names, 10)}" if names else ""


def _nothing_hint(folder: Path, how_to_get_one: str) -> str:
    nowhere = f"there is no YAML file in {folder.resolve()}" if folder.is_dir() else f"there is no folder {folder}"
    return f"{nowhere}; {how_to_get_one}" if how_to_get_one else nowhere
