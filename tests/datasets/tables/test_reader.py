"""Tables as people have them: every odd file is written small, read, and compared with the table that it means."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nnscratch.datasets.tables import containers
from nnscratch.datasets.tables.cells import RaggedRow
from nnscratch.datasets.tables.json_text import Digits
from nnscratch.datasets.tables.kinds import decide
from nnscratch.datasets.tables.parsing import as_text, read_numbers
from nnscratch.datasets.tables.reader import TextTable, from_records, read_table
from nnscratch.errors import DataError


def cells(table: TextTable) -> list[tuple[str, ...]]:
    return list(zip(*(as_text(column).to_list() for column in table.columns), strict=True))


def read(tmp_path: Path, data: bytes | str, name: str = "mine.csv") -> TextTable:
    file = tmp_path / name
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_table(file)


PLAIN = "size,colour,price\n1.5,red,10\n2.5,blue,20\n3.5,red,30\n"
ROWS = [("1.5", "red", "10"), ("2.5", "blue", "20"), ("3.5", "red", "30")]
SPREAD = "size  colour price\n 1.5  red    10\n 2.5\tblue   20 \n 3.5  red    30\n"


def packed(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("__MACOSX/._a.csv", b"\0")
        archive.writestr(name, PLAIN)
    return out.getvalue()


ODD: dict[str, bytes | str] = {
    "comma": PLAIN,
    "semicolon": PLAIN.replace(",", ";"),
    "tab": PLAIN.replace(",", "\t"),
    "pipe": PLAIN.replace(",", "|"),
    "white space": SPREAD,
    "sep= line": "sep=;\n" + PLAIN.replace(",", ";"),
    "sep= line of what is no separator": "sep=\n" + PLAIN,
    "CR": PLAIN.replace("\n", "\r"),
    "CRLF": PLAIN.replace("\n", "\r\n"),
    "no last line end": PLAIN.rstrip("\n"),
    "byte-order mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16 little without a mark": PLAIN.encode("utf-16-le"),
    "UTF-16 big without a mark": PLAIN.encode("utf-16-be"),
    "gzip": gzip.compress(PLAIN.encode()),
    "zip": packed("inside.csv"),
    "single quotes": PLAIN.replace("red", "'red'").replace("blue", "'blue'").replace("size", "'size'"),
    "double quotes": '"size","colour","price"\n"1.5","red","10"\n"2.5","blue","20"\n"3.5","red","30"\n',
    "comments": "# written by hand\n# twice\n" + PLAIN,
    "a comment among the rows": "# by hand\n" + PLAIN.replace("2.5", "# half\n2.5"),
    "names in a comment": "# size,colour,price\n" + PLAIN.partition("\n")[2],
    "title": "Prices of 2024\n\n" + PLAIN,
    "title with separators": "Prices of 2024,,\n" + PLAIN,
    "two titles": "Prices\nall of them\n" + PLAIN,
    "trailing separators": PLAIN.replace("\n", ",\n"),
    "several trailing separators": PLAIN.replace("\n", ",,,\n") + ",,,,,\n,,,,,\n",
    "blanks around quotes": '"size", "colour" , "price"\n1.5, "red", "10"\n2.5, "blue" ,"20"\n3.5,"red" ,30\n',
    "a line of units": PLAIN.replace("price\n", "price\ncm,,$\n"),
    "trailing separators under the header alone": PLAIN.replace("0\n", "0,\n"),
    "a total": PLAIN + "Total,,60\n",
    "a total and a source": PLAIN + "\nTotal,,60\nSource: the shop\n",
    "a remark that a spreadsheet padded": PLAIN + "Printed on Monday,,\n",
    "a sum": PLAIN + "Sum:,,60\n",
    "blank lines": PLAIN.replace("\n", "\n\n") + "\n \n",
    "JSON lines": '{"size": 1.5, "colour": "red", "price": 10}\n\n{"size": 2.5, "colour": "blue", "price": 20}\n'
    '{"colour": "red", "size": 3.5, "price": 30}\n',
    "JSON list": '[{"size": 1.5, "colour": "red", "price": 10},\n {"size": 2.5, "colour": "blue", "price": 20},\n'
    '{"size": 3.5, "colour": "red", "price": 30}]',
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_file_gives_the_table_that_it_means(tmp_path: Path, kind: str) -> None:
    table = read(tmp_path, ODD[kind])
    assert table.names == ("size", "colour", "price")
    assert cells(table) == ROWS


def test_text_in_quotes_keeps_its_blanks_beside_separators_and_other_quotes(tmp_path: Path) -> None:
    told = ['He said, "no"', "rock, 'n' roll", "a; 'b' ; c", 'x, "y" ', "plain"]
    quoted = [each.replace('"', '""') for each in told]
    table = read(tmp_path, "text,n\n" + "".join(f'"{each}" , {n}\n' for n, each in enumerate(quoted)))
    assert [row[0] for row in cells(table)][-5:] == told


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "a.data", "a", "a.json"])
def test_the_name_of_a_file_decides_nothing(tmp_path: Path, name: str) -> None:
    assert cells(read(tmp_path, PLAIN, name)) == ROWS


def test_parquet_is_read(tmp_path: Path) -> None:
    frame = pl.DataFrame({"size": [1.5, 2.5], "ok": [True, False], "day": ["a", None], "n": [1, 2]})
    frame.write_parquet(tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert cells(table) == [("1.5", "true", "a", "1"), ("2.5", "false", "", "2")]


def test_an_excel_sheet_is_read_like_text(tmp_path: Path) -> None:
    pytest.importorskip("fastexcel", reason="reading XLSX needs the extra `excel`")
    (tmp_path / "a.xlsx").write_bytes(
        xlsx([["Prices"], ["size", "colour", "price"], [1.5, "red", 10], [2.5, "blue", 20]])
    )
    table = read_table(tmp_path / "a.xlsx")
    assert table.names == ("size", "colour", "price")
    assert cells(table) == ROWS[:2]


def test_an_excel_file_without_the_library_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    (tmp_path / "a.xlsx").write_bytes(xlsx([["a", "b"], [1, 2]]))
    with pytest.raises(DataError, match=r"needs one more library\n.*nnscratch\[excel\]"):
        read_table(tmp_path / "a.xlsx")


def xlsx(rows: list[list[object]]) -> bytes:
    """A workbook of one sheet, as small as Excel's format allows."""

    def cell(value: object) -> str:
        return (
            f"<c><v>{value}</v></c>"
            if isinstance(value, float | int)
            else f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        )

    body = "".join("<row>" + "".join(map(cell, row)) + "</row>" for row in rows)
    main, office = "http://schemas.openxmlformats.org/spreadsheetml/2006/main", "http://schemas.openxmlformats.org"
    relations = f"{office}/officeDocument/2006/relationships"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in {
            "[Content_Types].xml": f'<Types xmlns="{office}/package/2006/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override '
            f'PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/><Override '
            f'PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{office}/package/2006/relationships"><Relationship Id="r1" '
            f'Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets><sheet name="a" sheetId="1" '
            'r:id="r1"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{office}/package/2006/relationships"><Relationship '
            f'Id="r1" Type="{relations}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>',
        }.items():
            archive.writestr(name, text)
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "names", "rows"),
    [
        ('a,b\n"1,5",x\n"2\n3",y\n', ("a", "b"), [("1,5", "x"), ("2\n3", "y")]),
        ('a,b\n1,5" pipe\n2,7" pipe\n', ("a", "b"), [("1", '5" pipe'), ("2", '7" pipe')]),
        ("a,b\n1,it's\n2,he's\n", ("a", "b"), [("1", "it's"), ("2", "he's")]),
        ("0,1,2,3,label\n5,3,1,0,s\n6,3,4,1,v\n", ("0", "1", "2", "3", "label"), [tuple("5310s"), tuple("6341v")]),
        ("name,2019,2020,2021\nx,1,2,3\ny,4,5,6\n", ("name", "2019", "2020", "2021"), [tuple("x123"), tuple("y456")]),
        (
            "5.1,3.5,setosa\n7,3,virginica\n",
            ("column1", "column2", "column3"),
            [("5.1", "3.5", "setosa"), ("7", "3", "virginica")],
        ),
        (
            "red,yes\nblue,no\nred,no\nblue,yes\n",
            ("column1", "column2"),
            [("red", "yes"), ("blue", "no"), ("red", "no"), ("blue", "yes")],
        ),
        (
            "5.1,?,setosa\n7,3,virginica\n",
            ("column1", "column2", "column3"),
            [("5.1", "?", "setosa"), ("7", "3", "virginica")],
        ),
        ("0,1,2\n5,6,8\n7,8,0\n", ("0", "1", "2"), [tuple("568"), tuple("780")]),
        ("2019,2020,2021\n5,6,8\n7,8,0\n", ("2019", "2020", "2021"), [tuple("568"), tuple("780")]),
        ("#,name,x\n1,a,5\n2,b,6\n", ("#", "name", "x"), [tuple("1a5"), tuple("2b6")]),
        ("# mine\nhex,x\n#F00,1\n#0F0,2\n", ("hex", "x"), [("#F00", "1"), ("#0F0", "2")]),
        ("a,,,y\n1,2,3,4\n5,6,7,8\n", ("a", "column2", "column3", "y"), [tuple("1234"), tuple("5678")]),
        ("a|b,1,2\nc|d,3,4\n", ("column1", "column2", "column3"), [("a|b", "1", "2"), ("c|d", "3", "4")]),
        ("n;m,x,z\np;q,1,2\nr;s,2,3\n", ("n;m", "x", "z"), [("p;q", "1", "2"), ("r;s", "2", "3")]),
        (",0,1\n0,5,6\n1,7,8\n", ("", "0", "1"), [tuple("056"), tuple("178")]),
        ("x y\n1,5 2,5\n2,5 3,5\n", ("x", "y"), [("1,5", "2,5"), ("2,5", "3,5")]),
        ("1,5;2,5\n2,5;3,5\n", ("column1", "column2"), [("1,5", "2,5"), ("2,5", "3,5")]),
        (
            '18.0   8\t"car a"\n19.0   4\t"car b"\n',
            ("column1", "column2", "column3"),
            [("18.0", "8", "car a"), ("19.0", "4", "car b")],
        ),
        (
            "L,1,2,3\nR,1,1,2\nL,5,5,5\n",
            ("column1", "column2", "column3", "column4"),
            [tuple("L123"), tuple("R112"), tuple("L555")],
        ),
        (
            "q,x,y\naverage,1,2\nlow,1,2\naverage,3,4\n",
            ("q", "x", "y"),
            [("average", "1", "2"), ("low", "1", "2"), ("average", "3", "4")],
        ),
        ('x,y,z\n1,2,"a\nb"\n1,2,"c\nmore text"\n', ("x", "y", "z"), [("1", "2", "a\nb"), ("1", "2", "c\nmore text")]),
        ("mpg cyl\nMazda 21 6\nVolvo 22 4\n", ("", "mpg", "cyl"), [("Mazda", "21", "6"), ("Volvo", "22", "4")]),
        ("first name,last, one\n1, 2,3\n4, 5,6\n", ("first name", "last", "one"), [("1", " 2", "3"), ("4", " 5", "6")]),
        ('id,text\n1,"a; b"\n2,"c; d"\n', ("id", "text"), [("1", "a; b"), ("2", "c; d")]),
        (
            "when,x\n2024-01-01 10:00,1\n2024-01-02 11:00,2\n",
            ("when", "x"),
            [("2024-01-01 10:00", "1"), ("2024-01-02 11:00", "2")],
        ),
    ],
)
def test_cells_and_names_are_those_that_a_person_sees(
    tmp_path: Path, text: str, names: tuple[str, ...], rows: list[tuple[str, ...]]
) -> None:
    table = read(tmp_path, text)
    assert table.names == names
    assert cells(table) == rows


def test_numbers_of_a_long_table_are_numbers_at_once(tmp_path: Path) -> None:
    table = read(tmp_path, "a,b\n" + "".join(f"{row},{row}.5\n" for row in range(1100)))
    assert [column.dtype for column in table.columns] == [pl.Float64, pl.Float64]


@pytest.mark.parametrize(("encoding", "name"), [("latin-1", "Latin-1"), ("cp1252", "Windows-1252")])
def test_another_encoding_is_found_and_named(tmp_path: Path, encoding: str, name: str) -> None:
    word = "café" if encoding == "latin-1" else "café – 5 €"
    table = read(tmp_path, f"a,b\n1,{word}\n2,thé\n".encode(encoding))
    assert cells(table)[0] == ("1", word)
    guess = next(guess for guess in table.guesses if guess.what == "encoding")
    assert guess.taken == name
    assert guess.why.startswith("line 2 has the byte 0xe9")


def test_every_row_knows_its_line(tmp_path: Path) -> None:
    table = read(tmp_path, 'Title\n\n# note\na,b\n1,"x\ny"\n\n2,z\n')
    assert [table.place(row).rpartition(":")[2] for row in range(2)] == ["5", "8"]


def test_digits_of_json_numbers_are_kept(tmp_path: Path) -> None:
    table = read(tmp_path, json.dumps([{"a": 12345678901234567890, "b": True, "c": None}]))
    assert cells(table) == [("12345678901234567890", "true", "")]


def test_json_numbers_beside_text_have_its_decimal_mark(tmp_path: Path) -> None:
    """A number of JSON has a point; in a column of text that is read with commas, 1.234 would be 1234."""
    rows: list[dict[str, object]] = [{"a": "1,5", "b": "1.5"}, {"a": 1.234, "b": 1.234}, {"a": 12, "b": None}]
    assert cells(read(tmp_path, json.dumps(rows))) == [("1,5", "1.5"), ("1,234", "1.234"), ("12", "")]
    (tmp_path / "one.json").write_text('[{"a": 1.234, "b": "x"}, {"a": "", "b": 1.5}, {"a": 0.12345678901234567}]')
    table = read_table(tmp_path / "one.json", numbers=["a"])
    assert cells(table) == [("1234e-3", "x"), ("", "1.5"), ("012345678901234567e-17", "")]


@pytest.mark.parametrize("mark", [".", ","])
@pytest.mark.parametrize("digits", ["0.12345678901234567", "-1.5E+3", "7", "-0.25", "1e5", "1.234"])
def test_a_json_number_without_its_mark_is_the_same_with_either(digits: str, mark: str) -> None:
    values, bad = read_numbers(pl.Series([Digits(digits).without_mark()]), mark)
    assert (values.tolist(), bad.tolist()) == ([float(digits)], [False])


def test_a_backslash_before_a_quote_is_its_escape_where_it_cannot_end_a_cell(tmp_path: Path) -> None:
    table = read(tmp_path, 'a,b\n"say \\"no, never\\"",1\n"C:\\\\",2\n5\\" pipe,3\n')
    assert cells(table) == [('say "no, never"', "1"), ("C:\\", "2"), ('5\\" pipe', "3")]
    assert next(guess.why for guess in table.guesses if guess.what == "quotes in cells").startswith("a backslash")
    assert cells(read(tmp_path, 'a,b\n"C:\\",1\n"D:\\",2\n')) == [("C:\\", "1"), ("D:\\", "2")]


@pytest.mark.parametrize(
    ("codec", "name", "cities"),
    [
        ("cp1251", "Windows-1251", "Москва Казань Санкт-Петербург"),
        ("koi8_r", "KOI8-R", "Москва Казань Санкт-Петербург"),
        ("cp1253", "Windows-1253", "Αθήνα Θεσσαλονίκη Πάτρα"),
        ("shift_jis", "Shift-JIS", "東京 大阪 名古屋"),
        ("gb18030", "GB 18030", "北京 上海 广州"),
        ("cp1252", "Windows-1252", "“Köln” München €€€"),
        ("latin-1", "Latin-1", "Nîmes Évreux Groß-Gerau"),
    ],
)
def test_an_encoding_is_found_by_its_letters_and_named(tmp_path: Path, codec: str, name: str, cities: str) -> None:
    for copies in (4, 4000):
        rows = [(city, str(index)) for index, city in enumerate(cities.split())] * copies
        table = read(tmp_path, ("city,price\n" + "".join(f"{a},{b}\n" for a, b in rows)).encode(codec))
        assert cells(table) == rows
        assert next(guess.taken for guess in table.guesses if guess.what == "encoding") == name


def test_a_long_table_keeps_what_its_first_thousand_rows_do_not_show(tmp_path: Path) -> None:
    rows = [f"{row},{row},{row}.5,1" for row in range(1100)]
    rows[1050] = "1050,007,?,1_1"
    table = read(tmp_path, "a,b,c,d\n" + "\n".join(rows) + "\n")
    assert [column[1050] for column in table.columns[1:]] == ["007", "?", "1_1"]
    assert table.columns[1][1051] == "1051"


NO_TABLES: dict[bytes, str] = {
    b"<!DOCTYPE html><html><body>404</body></html>": "a web page",
    b"\n\n<html lang=en>": "a web page",
    b"<?xml version='1.0'?><a/>": "XML",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n": r"Git LFS pointer(.|\n)*git lfs pull",
    b"% iris\n\n@RELATION iris\n@attribute a numeric\n@data\n1\n": r"ARFF(.|\n)*@data",
    pickle.dumps([1, 2, 3]): "Python pickle",
    pickle.dumps({"a": 1}, protocol=0): "Python pickle",
    b"\x89PNG\r\n\x1a\n" + bytes(60): "PNG picture",
    b"\xff\xd8\xff\xe0" + bytes(60): "JPEG picture",
    b"%PDF-1.4\n": "PDF",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(60): "old Excel file",
    b"\x93NUMPY\x01\x00": "NumPy array",
    b"SQLite format 3\x00" + bytes(60): "SQLite",
    b"\x89HDF\r\n\x1a\n": "HDF5",
    b"a,b\n1,\x00\n2,3\n" * 20: "zero bytes",
    b"": "the file is empty",
    b" \n\n": "the file is empty",
    b"a,b,c\n": "no rows below its header",
    b"# only\n# comments\n": "only comments",
    b"\x1f\x8b\x08\x00" + bytes(20): "damaged gzip",
    b"PK\x03\x04" + bytes(20): "damaged zip",
    b"PAR1" + bytes(20): "damaged",
    b'{"a": {"b": 1}}': "JSON, but no table",
    b"[1, 2, 3]": "JSON, but no table",
    b"{}": "JSON, but no table",
    b"[" * 100_000: r"mine\.csv: damaged JSON: nested too deeply",
    b'{"a": ' + b"[" * 100_000 + b"\n": r"mine\.csv: damaged JSON: nested too deeply",
    b"{}\n{}\n": "JSON, but no table",
    b'[{"a": 1, "b": "x"}, {"a": 2, "b": "\\ud83d"}]': r"mine\.csv:2: column 'b' holds half of a character",
    b'{"a": 1}\n{"a": 2\n': r"mine\.csv:2: no JSON object",
    b"a,b,y\n1,2,cat\n1,2\n": r"mine\.csv:3: 2 columns, but the header has 3",
    b"a,b,y\n1,2,cat\n1,2,dog,9\n3,4,cat\n": r"mine\.csv:3: 4 columns, but the header has 3",
    b'a,b,y\n1,"2,cat\n3,4,dog\n': r"mine\.csv:2: ",
    b"day,x,y\nMay 1, 2020,1,2\nMay 1, 2020,2,3\n": r"mine\.csv:1: the header has 3 names, the rows have 4 cells",
    b"a,a,y\n1,2,3\n": "two columns are called 'a'",
}  # fmt: skip


@pytest.mark.parametrize("data", NO_TABLES)
def test_what_is_no_table_is_named(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DataError, match=NO_TABLES[data]) as caught:
        read(tmp_path, data)
    assert "universal" not in str(caught.value)


def test_a_zip_of_several_files_names_them(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("train.csv", PLAIN)
        archive.writestr("test.csv", PLAIN)
    with pytest.raises(DataError, match=r"2 files; one table is read \(train\.csv, test\.csv\)"):
        read_table(tmp_path / "a.zip")


def test_numbers_are_those_that_python_reads(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    numbers = rng.normal(0, 10.0 ** rng.integers(-9, 9, 3000)).reshape(-1, 2)
    table = read(tmp_path, "a,b\n" + "\n".join(f"{float(a)!r},{float(b)!r}" for a, b in numbers))
    assert np.array_equal(np.column_stack([column.to_numpy() for column in table.columns]), numbers)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.zip"])
def test_a_packed_table_that_would_not_fit_into_memory_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, path = b"a,b\n" + b"1,2\n" * 50_000, tmp_path / name
    if name.endswith("gz"):
        path.write_bytes(gzip.compress(text))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", text)
    assert containers.read_bytes(path)[0] == text
    monkeypatch.setattr(containers, "available_memory", lambda: 300_000)
    with pytest.raises(DataError, match="more than 100,000 bytes unpacked"):
        containers.read_bytes(path)


def test_a_wide_table_is_looked_at_in_as_many_steps_as_a_narrow_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [0]

    def counted(method: Callable[..., pl.DataFrame]) -> Callable[..., pl.DataFrame]:
        def select(*arguments: object, **options: object) -> pl.DataFrame:
            steps[0] += 1
            return method(*arguments, **options)

        return select

    for name in ("select", "select_seq"):  # which methods of a column go through, too
        monkeypatch.setattr(pl.DataFrame, name, counted(getattr(pl.DataFrame, name)))
    found = []
    for width in (4, 2000):
        steps[0] = 0
        table = read(tmp_path, "\n".join(",".join(f"{row + column}.5" for column in range(width)) for row in range(9)))
        assert {column.dtype for column in table.columns} == {pl.Float64 if width == 2000 else pl.String}
        assert all(decide(table, name, ".", {}).column is not None for name in table.names)
        found.append(steps[0])
    assert found[1] <= found[0] + 20


def test_a_small_file_that_becomes_a_huge_table_is_refused_before_there_is_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far, packed, repeated = tmp_path / "far.xlsx", tmp_path / "a.csv.gz", tmp_path / "a.parquet"
    with zipfile.ZipFile(far, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        cells = '<c r="A1"><v>1</v></c>', '<c r="XFD1048576"><v>2</v></c>'
        archive.writestr("xl/any.xml", f"<worksheet>{' ' * (1 << 20)}{''.join(cells)}</worksheet>")
    packed.write_bytes(gzip.compress(b"1,2\n" * 500_000))
    pl.DataFrame({"x": [1] * 100_000}).write_parquet(repeated)
    with pytest.raises(DataError, match=r"a sheet of 1,048,576 rows and 16,384 columns"):
        read_table(far)
    for module in ("containers", "reader"):
        monkeypatch.setattr(f"nnscratch.datasets.tables.{module}.available_memory", lambda: 1 << 20)
    with pytest.raises(DataError, match=r"more than 349,525 bytes unpacked"):
        read_table(packed)
    with pytest.raises(DataError, match=r"100,000 rows of 1 columns, which there is no memory for"):
        read_table(repeated)


def test_objects_that_share_no_names_are_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{f"{row}_{column}": 1 for column in range(3)} for row in range(30)]
    assert len(read(tmp_path, json.dumps(rows)).names) == 90
    monkeypatch.setattr("nnscratch.datasets.tables.reader.MOST_CELLS_OF_JSON", 1000)
    with pytest.raises(DataError, match="30 objects with 90 different names: 90 of 2,700 cells are given"):
        read(tmp_path, json.dumps(rows))


@pytest.mark.parametrize("odd", ['5" pipe', "a\u2028b", "a\x0cb"])
def test_rows_after_one_of_other_cells_are_read_whatever_stands_before_it(tmp_path: Path, odd: str) -> None:
    (tmp_path / "mine.csv").write_text(f"a,b\n1,x\n2,{odd}\n3\n4,y\n5,z\n", encoding="utf-8")
    ragged: list[RaggedRow] = []
    table = read_table(tmp_path / "mine.csv", ragged=ragged)

    assert [error.line for error in ragged] == [4]
    assert (table.lines.tolist(), table.column("b").to_list()) == ([2, 3, 5, 6], ["x", odd, "y", "z"])


def test_numbers_of_json_mean_the_same_whatever_text_stands_beside_them() -> None:
    def column(first: object, given: str, numbers: tuple[str, ...]) -> pl.Series:
        rows: list[tuple[int, dict[str, object]]] = [(1, {"x": first}), (2, {"x": Digits(given)})]
        return from_records(Path("-"), rows, (), (), numbers).column("x")

    for first in (Digits("1"), "3,5", "no", None):
        assert as_text(column(first, "20160101.0", ()))[1] == "20160101"
        assert as_text(column(first, "1.5", ()))[1] == "1.5"
        assert read_numbers(column(first, "1.234", ("x",)), ",")[0][1] == 1.234
