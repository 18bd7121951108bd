"""`runs card`: what is known of a run, in one page, with what a person has written kept."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from nnscratch.cli import main
from nnscratch.errors import UserError
from nnscratch.results.model_card import TO_FILL_IN, UNFILLED, write_card
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.looks import count_looks

CHECK = {"passed": True, "worst": 3e-8, "worst_array": "1.dense.weight", "tolerance": 1e-6, "network": []}


def test_the_card_names_digests_figures_with_intervals_and_looks_at_each_split(
    shapes_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        main(["evaluate", str(shapes_run), "--no-plots"])
    capsys.readouterr()
    main(["runs", "card", str(shapes_run), "--json"])
    card = json.loads(capsys.readouterr().out)
    kept = json.loads((shapes_run / "model_card.json").read_text())
    assert card == kept
    assert (
        card["digests"]["weights"] == hashlib.sha256((shapes_run / "checkpoints" / "best.npz").read_bytes()).hexdigest()
    )
    assert card["digests"]["config"] == hashlib.sha256((shapes_run / "config.yaml").read_bytes()).hexdigest()
    assert card["digests"]["data"] == RunDirectory(shapes_run).read_meta().dataset.digest
    assert card["gradient_check"]["passed"] is True
    assert card["looks"] == {"val": 3, "test": 3}  # training's own, and two of evaluate
    low, high = card["evaluations"]["test"]["intervals"]["accuracy"]
    assert low <= card["evaluations"]["test"]["accuracy"] <= high
    page = (shapes_run / "model_card.md").read_text()
    assert "| test | 3 |" in page
    assert card["digests"]["weights"] in page
    assert f"| accuracy | {100 * card['evaluations']['test']['accuracy']:.2f} % | {100 * low:.2f} %" in page


def test_what_a_person_wrote_stays_when_the_card_is_made_again(shapes_run: Path) -> None:
    write_card(shapes_run, CHECK)
    page = shapes_run / "model_card.md"
    hint = f"{UNFILLED} {TO_FILL_IN['Intended use']}."
    page.write_text(page.read_text().replace(hint, "Sorting buttons.\n\nBy colour, too."))
    card = write_card(shapes_run, CHECK)
    assert "Sorting buttons.\n\nBy colour, too." in page.read_text()
    assert card.to_dict()["filled_in"]["Intended use"] == "Sorting buttons.\n\nBy colour, too."
    assert "left to fill in: Out of scope, Origin of the data, Risks and limits, Contact" in card.to_text()


def test_headings_of_ones_own_stay_where_they_were_written(shapes_run: Path) -> None:
    write_card(shapes_run, CHECK)
    page = shapes_run / "model_card.md"
    own = "Fails at night.\n\n## Known failures\n\nNever use for children."
    page.write_text(page.read_text().replace(f"{UNFILLED} {TO_FILL_IN['Risks and limits']}.", own))
    for _ in range(2):
        write_card(shapes_run, CHECK)
    assert page.read_text().count(own) == 1


def test_figures_of_other_weights_than_the_cards_are_called_so(shapes_run: Path) -> None:
    page, said = shapes_run / "model_card.md", "Of other weights than this card's: last.npz, epoch 3"
    main(["evaluate", str(shapes_run), "--no-plots", "--checkpoint", "last"])
    write_card(shapes_run, CHECK)
    assert said in page.read_text()
    main(["evaluate", str(shapes_run), "--no-plots"])
    write_card(shapes_run, CHECK)
    assert "Of other weights" not in page.read_text()


def test_a_card_without_an_evaluation_says_how_to_get_intervals(shapes_run: Path) -> None:
    card = write_card(shapes_run, None)
    assert "for metrics with intervals: nnscratch evaluate" in card.to_text()
    page = (shapes_run / "model_card.md").read_text()
    assert "At the end of training: epoch" not in page
    assert "test_accuracy" in page
    assert "| gradient check | not made |" in page


def test_a_run_without_weights_has_no_card(shapes_run: Path) -> None:
    for file in (shapes_run / "checkpoints").iterdir():
        file.unlink()
    with pytest.raises(UserError, match="has no weights yet"):
        write_card(shapes_run, None)
    assert not (shapes_run / "model_card.md").exists()


def test_a_look_at_the_validation_split_adds_to_those_of_the_epochs(shapes_run: Path) -> None:
    run = RunDirectory(shapes_run)
    main(["evaluate", str(shapes_run), "--split", "val", "--no-plots"])
    assert count_looks(run) == {"val": 4, "test": 1}


def test_the_time_a_foreign_run_names_brings_no_escape_characters_into_the_card(shapes_run: Path) -> None:
    meta = shapes_run / "meta.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"started": "today\x1b[31m\u202e\x9b\r\n# Title"}))
    write_card(shapes_run, None)
    page = (shapes_run / "model_card.md").read_bytes().decode()
    assert all(character == "\n" or character.isprintable() for character in page)
    assert "\n# Title" not in page


def test_no_text_of_a_foreign_run_is_html_or_markdown_in_its_card(shapes_run: Path) -> None:
    hostile = "<script>alert(1)</script> ![x](http://a/b.png) `c` **d**"
    meta = json.loads((shapes_run / "meta.json").read_text())
    meta["started"] = hostile
    meta["dataset"] |= {"name": hostile, "origin": hostile}
    meta["machine"] |= {"cpu": hostile}
    (shapes_run / "meta.json").write_text(json.dumps(meta))
    config = shapes_run / "config.yaml"
    config.write_text(config.read_text() + "# ```\n# <b>")
    write_card(shapes_run, None)
    page, _, shown = (shapes_run / "model_card.md").read_text().partition("## Config\n")
    for raw in ("<script", "](http", "`c`", "**d**"):
        assert raw not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt; ![x]\\(http://a/b.png)") == 4
    assert shown.strip().startswith("````yaml\n")  # more of them than anywhere in the config
    assert shown.rstrip().endswith("# <b>\n````")
