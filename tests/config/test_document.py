from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnscratch.config.config import load_config
from nnscratch.config.document import MAXIMUM_BYTES, parse_yaml, read_yaml
from nnscratch.config.node import MAXIMUM_DEPTH, Value, node_from_value
from nnscratch.config.yaml_core import dump_yaml
from nnscratch.errors import ConfigError


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "my.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("+7", 7),
        ("1_000", "1_000"),
        ("no", "no"),
        ("off", "off"),
        ("yes", "yes"),
        ("True", True),
        ("~", None),
        ("", None),
        ("2024-01-31", "2024-01-31"),
        ("12:30:45", "12:30:45"),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("!!float 1", 1.0),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    found = parse_yaml(text, "my.yaml").value

    assert found == value
    assert type(found) is type(value)


def test_what_is_not_printable_is_written_escaped_and_read_back() -> None:
    value: Value = {"a\u202eb": ["é\u2066ü 漢字", "\x1b[31m", "\u00a0", "tag \U000e0041", "plain é"]}

    text = dump_yaml(value)

    assert all(character == "\n" or character.isprintable() for character in text)
    assert "é" in text
    assert parse_yaml(text, "my.yaml").value == value


def test_nan_is_a_number() -> None:
    value = parse_yaml(".nan", "my.yaml").value

    assert isinstance(value, float)
    assert math.isnan(value)


def test_keys_are_text_as_written() -> None:
    assert parse_yaml("{no: 1, 010: 2, true: 3}", "my.yaml").value == {"no": 1, "010": 2, "true": 3}


def test_position_gives_line_column_and_line_of_value_and_key() -> None:
    document = parse_yaml("a: 1\nlayers:\n  - {units: 3}\n", "my.yaml")

    node, depth = document.root.nearest(("layers", 0, "units"))

    assert depth == 3
    assert node.key is not None
    assert (node.place.line, node.place.column, node.place.excerpt) == (3, 13, "  - {units: 3}")
    assert (node.key.line, node.key.column) == (3, 6)


def test_position_of_what_is_not_there_is_that_of_its_nearest_parent() -> None:
    document = parse_yaml("a:\n  b: 1\n", "my.yaml")

    node, depth = document.root.nearest(("a", "c", "d"))
    assert (node.place.line, depth) == (2, 1)


def test_a_duplicate_key_names_both_lines() -> None:
    assert refusal("seed: 1\nname: x\nseed: 2\n") == (
        "my.yaml:3:1  seed: this key is given twice (first at line 1)\n    seed: 2\n    ^"
    )


def test_all_duplicate_keys_are_reported_at_once() -> None:
    assert refusal("a: 1\na: 2\nb: {c: 1, c: 2}\n").count("given twice") == 2


@pytest.mark.parametrize("text", ["a: &x 1\nb: *x", "a: &x [1]", "*x", "&a [*a]"])
def test_anchors_and_aliases_are_refused(text: str) -> None:
    assert "anchors and aliases" in refusal(text)


def test_an_alias_bomb_is_refused_at_its_first_anchor() -> None:
    names = "abcdefghijklmnop"
    lines = [f"{name}: &{name} [*{last}, *{last}]\n" for last, name in pairwise(names)]
    bomb = "a: &a [x, x]\n" + "".join(lines)

    assert refusal(bomb).startswith("my.yaml:1:4")


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!custom", "!!binary", "!!set", "!!timestamp"])
def test_tags_outside_the_core_schema_are_refused(tag: str) -> None:
    assert "tag" in refusal(f"a: {tag} x")


def test_a_core_tag_that_does_not_fit_its_text_is_refused() -> None:
    assert "!!int" in refusal("a: !!int x")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused(opening: str) -> None:
    assert f"more than {MAXIMUM_DEPTH} levels" in refusal(opening * 15_000)


def test_a_tab_is_called_a_tab() -> None:
    assert "a tab; YAML takes spaces" in refusal("a:\n\t- 1\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1", "my.yaml:1:4  this [ is not closed by a ]"),
        ("a: {b: 1\nc: 2", "my.yaml:1:4  this { is not closed by a }, or a comma is missing"),
        ("a:\n  b: [1]\n   c: 2", "my.yaml:3:4  this line is indented by 3, as none above"),
        ("a: 'x' y", "my.yaml:1:8  text behind a closed quote or bracket"),
        ("a: 'it's'", "text behind a closed quote or bracket"),
        ("a: 1\nb: [1] c", "my.yaml:2:8  text behind a closed quote or bracket"),
        ("a:\n    b: 1\n  c: 2", "my.yaml:3:3  this line is indented by 2, as none above"),
        ("a:\n  - b: 1\n    - c", "my.yaml:3:5  this line is indented by 4, as none above"),
        ("a: 1\nmodel\n  b: 1", "my.yaml:2:1  a key without a colon and a space"),
        ("a:\n  b: 1\n  c:tanh", "my.yaml:3:3  a key without a colon and a space"),
        ("> a: 1\n> b: 2", "my.yaml:1:1  a '>' or '|' begins a text of several lines"),
        ("a: @b", "a text that begins with '@' needs quotes"),
        ("a:\t3\nb: 1", "a tab; YAML takes spaces"),
        ("a: b: c", "a second ': ' in one line"),
        ("a: 'x", "my.yaml:1:4  this quote is not closed"),
        ("--- 1\n--- 2", "second document"),
        ("a: \x07", "U+0007"),
        ('a: "\\UFFFFFFFF"', "escape"),
        ('a: "\\ud800"', "surrogate"),
        ('a: "\\0"', "zero character"),
        ("? [1]\n: 2", "a key must be text"),
        ("a: 99999999999999999999", "64 bits"),
        ("a: " + "9" * 10_000, "64 bits"),
        ("%YAML 3.0\n---\na", "YAML"),
    ],
)
def test_what_is_wrong_with_the_text_is_said_with_its_place(text: str, words: str) -> None:
    assert words in refusal(text)


def test_a_long_line_is_cut_and_control_characters_are_blanked() -> None:
    message = refusal("a: !x " + "y" * 5000)

    assert max(map(len, message.splitlines())) < 200


def test_places_in_an_override_count_from_its_start() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml("[1, &x 2]", "override", prefix="a.b=")

    assert str(caught.value).splitlines()[1:] == ["    a.b=[1, &x 2]", "            ^"]


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "cifar_best.yaml").write_text("a: 1")

    with pytest.raises(ConfigError, match=r"no such file; did you mean cifar_best\.yaml\?"):
        read_yaml(tmp_path / "cifar_bset.yaml")


def test_a_missing_file_in_a_missing_folder_suggests_that_of_the_folder_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "quickstart.yaml").write_text("a: 1")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"no such file; did you mean configs/quickstart\.yaml\?"):
        read_yaml(Path("config/quickstart.yaml"))


def test_a_missing_file_that_resembles_nothing_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no YAML file in .*; `nnscratch init` writes a config"):
        load_config(tmp_path / "config.yaml")
    with pytest.raises(ConfigError, match=r"there is no folder .*nowhere; `nnscratch init` writes a config"):
        load_config(tmp_path / "nowhere" / "config.yaml")


def test_what_is_no_config_is_not_said_to_be_written_by_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no YAML file in ") as caught:
        read_yaml(tmp_path / "sweep.yaml")
    assert "init" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        read_yaml(tmp_path)
    assert caught.value.hint is None


def test_a_folder_is_not_a_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        read_yaml(tmp_path)


def test_a_file_name_with_a_zero_byte_is_an_error_of_the_user() -> None:
    with pytest.raises(ConfigError):
        read_yaml(Path("a\0b.yaml"))


def test_a_file_that_is_not_utf_8_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"a: 1\nname: caf\xe9\n")

    with pytest.raises(ConfigError, match=r"latin\.yaml:2  is not UTF-8 text \(byte 0xe9\)"):
        read_yaml(file)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    file = tmp_path / "windows.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")

    assert read_yaml(file).value == {"a": 1, "b": 2}


def test_a_hundred_megabytes_are_refused_without_being_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.yaml"
    with file.open("wb") as huge:
        huge.truncate(100 * 1024 * 1024)

    with pytest.raises(ConfigError, match=f"larger than {MAXIMUM_BYTES // 1024} KB"):
        read_yaml(file)


def test_a_node_of_python_data_holds_plain_data_only() -> None:
    assert node_from_value({"a": (1, 2.5, None)}, "here").plain() == {"a": [1, 2.5, None]}
    with pytest.raises(ConfigError, match=r"here  a\.0: a set cannot stand in a config"):
        node_from_value({"a": [set()]}, "here")


def test_a_list_that_contains_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)

    with pytest.raises(ConfigError, match="levels deep"):
        node_from_value(loop, "here")


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12) | st.sampled_from(
    [
        "1e-3",
        "no",
        "0o7",
        "010",
        "null",
        "~",
        "",
        "1_0",
        "true",
        ".nan",
        "=",
        "<<",
        "2020-01-01",
        "-",
        "a: b",
        "#",
        "&a",
    ]
)
SCALARS = TEXTS | st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False)
VALUES: st.SearchStrategy[Value] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)


@given(VALUES)
def test_what_is_dumped_is_read_back_equal(value: Value) -> None:
    found = parse_yaml(dump_yaml(value), "my.yaml").value

    assert found == value
    assert repr(found) == repr(value)  # 1 is not 1.0, -0.0 is not 0.0


def test_a_nameless_key_is_dumped_as_people_write_it() -> None:
    assert dump_yaml({"columns": {"": "ignore", "id": "ignore"}}) == "columns: {'': ignore, id: ignore}\n"


@given(st.text(max_size=200))
def test_any_text_is_a_document_or_a_config_error(text: str) -> None:
    try:
        document = parse_yaml(text, "my.yaml")
    except ConfigError:
        return
    assert parse_yaml(dump_yaml(document.value), "again").value == document.value or ".nan" in text.lower()
