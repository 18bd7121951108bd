"""The data of a run on its page: what data_report.json says, and nothing where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nnscratch.config.config import config_from_mapping
from nnscratch.config.data import encode_dataset, load_dataset, split_dataset
from nnscratch.report.page import DataSection, ReportContents, render_report
from nnscratch.results.data_section import data_section
from nnscratch.runs.directory import RunDirectory


def test_guesses_columns_and_warnings_are_on_the_page(tmp_path: Path) -> None:
    rows = [f"{row};{'' if row % 5 == 0 else row % 7};{'ab'[row % 2]};<b>;{'xy'[row % 3 > 1]}" for row in range(60)]
    (tmp_path / "mine.csv").write_text("id;size;kind;same;y\n" + "\n".join(rows))
    data = {"dataset": "csv", "path": str(tmp_path / "mine.csv")}
    config = config_from_mapping({"name": "own", "data": data, "model": {"hidden_layers": []}})
    dataset, _ = encode_dataset(config, load_dataset(config, tmp_path, lambda _: None))
    report = split_dataset(config, dataset).report(dataset)
    (tmp_path / "data_report.json").write_text(json.dumps(report.to_dict()))

    section = data_section(RunDirectory(tmp_path))
    assert section.facts["Separator"].startswith(";: it cuts 100 %")
    assert section.facts["Examples"] == "training 43, validation 5, test 12"
    assert section.columns is not None
    assert [row[:4] for row in section.columns.rows[:2]] == [
        ("id", "left out", "", ""),
        ("size", "number", "12", "median 2.5"),
    ]
    assert section.columns.rows[2][4] == "a 30, b 30"
    page = render_report(ReportContents("own", data=section))
    assert '<section id="data"' in page
    assert "1 column has one value in every row" in page
    assert "<b>" not in page


def test_a_report_of_very_many_columns_is_read_and_not_taken_for_another_s(tmp_path: Path) -> None:
    facts = {f"fact {number}": "x" * 400 for number in range(45_000)}
    text = json.dumps({"description": {"facts": facts}})
    assert len(text) > 1 << 24
    (tmp_path / "data_report.json").write_text(text)
    assert len(data_section(RunDirectory(tmp_path)).facts) == 45_000


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"description": 3}', '{"description": {"columns": [1], "guesses": {}}}', "[" * 100_000],
)
def test_a_damaged_report_on_data_is_no_section(tmp_path: Path, text: str) -> None:
    (tmp_path / "data_report.json").write_text(text)
    section = data_section(RunDirectory(tmp_path))
    assert (section.facts, section.warnings) == ({}, ())
    assert 'id="data"' not in render_report(ReportContents("own", data=section))
    assert data_section(RunDirectory(tmp_path / "none")) == DataSection()
