"""Text in a narrow terminal: nothing is lost, no word is broken, nothing reaches over the edge."""

from __future__ import annotations

import pytest

from nnscratch.host.fitting import fitted
from nnscratch.report.tables import Column, Table, plain_table

TABLE = plain_table(
    Table(
        (Column("run"), Column("data"), Column("accuracy", True), Column("what it is")),
        (
            ("first", "shapes", "41.00 %", "photographs of many things, 32 x 32 in colour"),
            ("second-run", "image_folder", "-", "drawn"),
        ),
    )
)


@pytest.mark.parametrize("width", [40, 60, 72])
def test_a_table_keeps_its_words_within_the_width(width: int) -> None:
    shown = fitted(TABLE, width)
    assert max(map(len, shown.split("\n"))) <= width
    assert set(TABLE.split()) - {"run"} <= set(shown.split())  # the first heading is left out above paragraphs


def test_a_table_with_room_for_its_words_keeps_its_columns() -> None:
    assert fitted(TABLE, 70).split("\n") == [
        "run         data          accuracy  what it is",
        "first       shapes         41.00 %  photographs of many things, 32 x",
        "                                    32 in colour",
        "second-run  image_folder         -  drawn",
        "",
    ]


def test_a_table_without_room_becomes_paragraphs_with_its_headings() -> None:
    assert fitted(TABLE, 34).split("\n")[:5] == [
        "first",
        "  data shapes  accuracy 41.00 %",
        "    what it is photographs of many",
        "    things, 32 x 32 in colour",
        "second-run",
    ]


def test_what_fits_is_left_as_it_is() -> None:
    assert fitted(TABLE, 200) == TABLE


def test_a_word_longer_than_the_line_stays_whole() -> None:
    assert fitted("written to /a/very/long/path/that/nobody/breaks", 20).split("\n") == [
        "written to",
        "  /a/very/long/path/that/nobody/breaks",
    ]


def test_a_paragraph_is_no_table() -> None:
    text = "one two three four five six seven\nand eight nine ten eleven twelve thirteen"
    assert fitted(text, 20).split("\n")[:2] == ["one two three four", "  five six seven"]
