"""The page in headless Chromium, used as a person uses it, at 1280 and at 400 pixels."""

from __future__ import annotations

import base64
import http.client
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nnscratch.datasets.tables.columns import Date
from nnscratch.results.model import Model
from nnscratch.serve.description import Description, Field, _field, describe
from nnscratch.serve.page import page
from tests.serve.browser import Browser, browsing
from tests.serve.clients import Server
from tests.serve.test_predictions import ROW

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
WIDTHS = pytest.mark.parametrize("width", [1280, 400])
SHOWN = "[...document.querySelectorAll('#answer li')].map(e => [...e.querySelectorAll('span')].map(s => s.innerText))"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with browsing(CHROMIUM, tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def opened(browser: Browser, server: Server, width: int) -> None:
    browser.said.clear()
    browser.open(f"http://127.0.0.1:{server.port}/", width)


def fits(browser: Browser, width: int) -> bool:
    """Whether nothing reaches over the edge, and the page is silent."""
    right = browser.evaluate(
        "Math.max(...[...document.body.querySelectorAll('*')].map(e => e.getBoundingClientRect().right))"
    )
    assert not browser.said
    return bool(browser.evaluate("document.documentElement.scrollWidth") == width and right <= width)


@WIDTHS
def test_a_drawn_picture_is_answered_as_the_same_picture_is_in_python(
    browser: Browser, pictures_server: Server, shapes_model: Model, width: int, tmp_path: Path
) -> None:
    opened(browser, pictures_server, width)
    x, y = browser.place("#canvas")
    browser.draw([(x - 60, y - 60), (x + 60, y - 60), (x, y + 60), (x - 60, y - 60)])
    browser.wait_for("document.querySelectorAll('#answer li').length === 10")
    address = browser.evaluate("document.getElementById('canvas').toDataURL()")
    drawing = tmp_path / "drawing.png"
    drawing.write_bytes(base64.b64decode(address.partition(",")[2]))
    with Image.open(drawing) as image:
        assert image.size == (280, 280)
        assert 0.02 < np.mean(np.asarray(image.convert("L")) < 128) < 0.3, "the stroke is on the picture"
    shown = browser.evaluate(SHOWN)
    p = shapes_model.probabilities(drawing)[0]
    assert shown[0] == [shapes_model.predict(drawing)[0], f"{100 * p.max():.1f} %"]
    browser.click("#clear")
    cleared = "document.getElementById('canvas').getContext('2d').getImageData(0, 0, 280, 280).data"
    assert browser.evaluate(f"{cleared}.every(value => value === 255)")
    assert fits(browser, width)


@WIDTHS
def test_dropped_pictures_are_answered_each_with_its_name_and_its_error(
    browser: Browser, pictures_server: Server, shapes_model: Model, width: int, tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("red <b>.png", "no picture.png", "blue.jpg")]
    for file, colour in zip(files, ("red", None, "blue"), strict=True):
        file.write_bytes(bytes(50))
        if colour is not None:
            picture = Image.new("RGB", (50, 40), "white")
            ImageDraw.Draw(picture).rectangle((10, 10, 30, 30), fill=colour)
            picture.save(file)
    opened(browser, pictures_server, width)
    browser.drop("#drop", files)
    browser.wait_for("document.querySelectorAll('.case').length === 3")
    assert browser.evaluate("[...document.querySelectorAll('.case h3')].map(e => e.innerText)") == [
        file.name for file in files
    ]
    assert browser.evaluate("document.querySelectorAll('.case .error').length") == 1
    labels = [shown[0] for shown in browser.evaluate(SHOWN)]
    assert labels[::3] == shapes_model.predict([files[0], files[2]]).tolist()
    browser.wait_for("document.querySelectorAll('.case > img').length === 2")
    assert fits(browser, width)


@WIDTHS
def test_a_row_is_filled_into_the_form_of_the_columns(
    browser: Browser, table_server: Server, table_model: Model, width: int, tmp_path: Path
) -> None:
    opened(browser, table_server, width)
    assert browser.evaluate(
        "[...document.querySelectorAll('#form label')].map(e => e.firstChild.nodeValue.trim())"
    ) == [*ROW]
    browser.type_into("#field-0", "31")
    browser.evaluate("document.getElementById('field-1').value = 'Oslo'")
    browser.evaluate("document.getElementById('field-2').value = 'yes'")
    browser.type_into("#field-3", "2022-01-03")
    browser.click("#form button")
    browser.wait_for("document.querySelectorAll('#answer li').length === 2")
    p = table_model.probabilities(ROW)[0]
    assert browser.evaluate(SHOWN)[0] == [table_model.predict(ROW)[0], f"{100 * p.max():.1f} %"]
    browser.type_into("#field-0", "")
    browser.type_into("#field-3", "soon")
    browser.click("#form button")
    browser.wait_for("document.querySelector('#answer .error')")
    assert "'joined' is 'soon'" in browser.evaluate("document.querySelector('#answer').innerText")
    browser.said.clear()  # a 422 is told in the console
    (tmp_path / "rows.csv").write_text("age,city,member,joined\n31,Oslo,yes,2022-01-03\n70,Rome,no,2022-02-03\n")
    browser.drop("#drop", [tmp_path / "rows.csv"])
    browser.wait_for("document.querySelectorAll('.case').length === 2")
    browser.wait_for("document.querySelector('.case .note').innerText === \"city 'Rome' is new and counts as other\"")
    assert fits(browser, width)


def test_as_it_is_opened_the_form_holds_what_fills_gaps(browser: Browser, table_server: Server) -> None:
    opened(browser, table_server, 1280)
    browser.click("#form button")
    browser.wait_for("document.querySelectorAll('#answer li').length === 2")
    assert fits(browser, 1280)


def test_the_page_may_run_its_own_script_alone(browser: Browser, pictures_server: Server) -> None:
    opened(browser, pictures_server, 1280)
    browser.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hacked = 1\">');"
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 1'; document.body.append(s);"
        "const t = document.createElement('script'); t.src = 'https://example.org/x.js'; document.body.append(t)"
    )
    browser.wait_for("document.images.length === 1")
    assert browser.evaluate("typeof window.hacked") == "undefined"
    assert any("example.org" in line and "Content Security Policy" in line for line in browser.said)


class Addresses(HTMLParser):
    """What a page would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loaded += [given[name] or "" for name in ("src", "href") if name in given]
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        if tag == "script" and "src" not in given:
            self.inline.append(tag)


def test_every_answer_has_security_headers_and_the_page_nothing_from_outside(pictures_server: Server) -> None:
    for path in ("/", "/page.js", "/page.css", "/health", "/openapi.json", "/nothing"):
        connection = http.client.HTTPConnection("127.0.0.1", pictures_server.port, timeout=30)
        connection.request("GET", path)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert "Server" not in response.headers
        assert not re.search(r"https?://", text) or path == "/openapi.json"
        if path == "/":
            seen = Addresses()
            seen.feed(text)
            assert seen.loaded == ["data:,", "page.css", "page.js", "openapi.json"]
            assert not seen.inline


def test_names_of_columns_levels_and_classes_are_text_and_nothing_else() -> None:
    evil = '"><script>alert(1)</script>'
    fields = (Field(evil, "choice", evil, (evil, "b")), Field(evil, "number", "3", hint=evil))
    text = page(Description(evil, 1, "columns", (2,), fields, (evil,), ()))
    assert "<script>" not in text
    seen = Addresses()
    seen.feed(text)
    assert not seen.inline
    assert text.count("&lt;script&gt;") >= 5


def test_a_form_has_a_field_for_each_column_and_wide_tables_have_none(table_model: Model) -> None:
    described = describe(table_model.loaded)
    assert [(field.name, field.kind) for field in described.fields] == [
        ("age", "number"),
        ("city", "choice"),
        ("member", "choice"),
        ("joined", "text"),
    ]
    assert described.fields[1].choices == ("Bergen", "Oslo")
    assert all(field.may_be_empty for field in described.fields)
    times = Date("t", 1629698778.0, format="%Y-%m-%d %H:%M:%S%.f%z", parts=("day",))
    iso = Date("t", 1629698778.0, format="%Y-%m-%d", parts=("day",))
    day = Date("t", 1628985600.0 + 43_200, format="%d.%m.%Y")  # halfway between two days
    assert [_field(each, may_be_empty=True).value for each in (times, iso, day)] == [
        "2021-08-23 06:06:18+0000", "2021-08-23 06:06:18", "15.08.2021",
    ]  # fmt: skip
    assert 'id="rows"' not in page(described)
    wide = Description("wide", 1, "columns", (500,), tuple(Field(f"c{n}", "number") for n in range(500)), ("a",), ())
    assert 'id="rows"' in page(wide)
