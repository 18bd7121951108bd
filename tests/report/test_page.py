from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from nnscratch.report.elements import Headline, Picture
from nnscratch.report.page import ReportContents, render_report
from nnscratch.report.tables import Column, Table


class _Tags(HTMLParser):
    """Every start tag with its attributes, and whether all elements are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_section_is_there_and_every_element_is_closed(report_contents: ReportContents) -> None:
    page = _Tags(render_report(report_contents))
    assert page.open == []
    anchors = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert anchors == [
        "curves", "confusion", "classes", "mistakes", "inside", "network", "configuration", "timings", "environment",
    ]  # fmt: skip
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == [f"#{anchor}" for anchor in anchors]
    for text in (
        "57.12 %",
        "nnscratch train configs/cifar_best.yaml --seed 42",
        "hidden_layers: [512, 256]",
        "1,573,376",
    ):
        assert text in page.text


def test_hostile_names_are_shown_and_not_obeyed(report_contents: ReportContents) -> None:
    source = render_report(report_contents)
    page = _Tags(source)
    assert "<script" not in source.lower()
    assert "<b>" not in source
    assert '<script>alert("cat")</script>' in page.text
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_every_text_of_the_page_is_escaped() -> None:
    evil = "\"'><img src=x onerror=alert(1)>&amp;${style}\x1b[31m"
    table = Table((Column(evil),), ((evil,),))
    contents = ReportContents(
        name=evil, subtitle=evil, status=evil, headlines=(Headline(evil, evil, evil),), notes=(evil,), command=evil,
        config=evil, network=table, per_class=table, timings={evil: evil}, environment={evil: evil}, footer=evil,
    )  # fmt: skip
    source = render_report(contents)
    assert "<img" not in source
    assert "\x1b" not in source
    assert source.count("&lt;img src=x onerror=alert(1)&gt;&amp;amp;${style}") >= 17


def test_the_page_loads_nothing_and_forbids_loading(report_contents: ReportContents) -> None:
    source = render_report(report_contents)
    page = _Tags(source)
    for tag, attributes in page.tags:
        for name in ("src", "srcset"):
            assert (attributes.get(name) or "data:image/png;base64,").startswith("data:image/png;base64,"), tag
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"url\(|@import|https?:", source)
    policies = [attributes["content"] for _, attributes in page.tags if "http-equiv" in attributes]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_every_picture_has_words_and_a_size(report_contents: ReportContents) -> None:
    images = [attributes for tag, attributes in _Tags(render_report(report_contents)).tags if tag == "img"]
    assert len(images) == 4 + 12
    assert all(image["alt"] for image in images)
    assert images[0]["alt"] == "Loss and accuracy over 50 epochs"
    assert images[0]["width"] == "1200"


def test_what_is_empty_is_left_out() -> None:
    page = _Tags(render_report(ReportContents(name="bare")))
    assert "section" not in {tag for tag, _ in page.tags}
    assert "bare" in page.text


def test_a_picture_that_is_no_png_is_refused() -> None:
    with pytest.raises(ValueError, match="PNG"):
        render_report(ReportContents(name="run", curves=Picture(b"GIF89a", "curves")))


def test_the_same_contents_give_the_same_page(report_contents: ReportContents) -> None:
    assert render_report(report_contents) == render_report(report_contents)
