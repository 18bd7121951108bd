"""sweep.html, and its drawings."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from nnscratch.report.elements import Headline, Live
from nnscratch.report.sweep_drawings import (
    Dot,
    history_drawing,
    importance_drawing,
    parallel_drawing,
    scatter_drawing,
)
from nnscratch.report.sweep_page import SweepContents, render_sweep
from nnscratch.report.tables import leaderboard
from nnscratch.report.values import TrialSummary

TRIALS = (
    Dot(0, "completed", 0.40, {"rate": 0.001, "optimizer.name": "sgd"}),
    Dot(1, "completed", 0.90, {"rate": 0.01, "optimizer.name": "adam"}, is_best=True),
    Dot(2, "pruned", 0.50, {"rate": 0.1, "optimizer.name": "sgd"}),
    Dot(3, "diverged", None, {"rate": 1.0, "optimizer.name": "<b>"}),
    Dot(4, "running", 0.65, {"rate": 0.03, "optimizer.name": "adam"}),
)


def of_kind(svg: str, tag: str, kind: str) -> list[ElementTree.Element]:
    found = ElementTree.fromstring(svg).iter(tag)
    return [each for each in found if each.attrib.get("class", "").split()[1:2] == [kind]]


def test_the_history_has_a_dot_for_every_trial_with_a_value_and_the_best_so_far_of_the_completed() -> None:
    svg = history_drawing(TRIALS, "val_accuracy", "maximize")
    assert {kind: len(of_kind(svg, "circle", kind)) for kind in ("completed", "best", "pruned", "running")} == {
        "completed": 1, "best": 1, "pruned": 1, "running": 1,
    }  # fmt: skip
    (line,) = of_kind(svg, "polyline", "so-far")
    heights = [float(pair.split(",")[1]) for pair in line.attrib["points"].split()]
    assert heights == sorted(heights, reverse=True), "upwards"
    assert "the best is 90.00 %; 1 without a value" in svg
    (lost,) = of_kind(svg, "circle", "diverged")
    heights = [float(each.attrib["cy"]) for each in ElementTree.fromstring(svg).iter("circle")]
    assert float(lost.attrib["cy"]) == max(heights), "on the bottom edge"
    assert "trial 4, running: val_accuracy 65.00 %; rate 0.03; optimizer.name adam" in svg


def test_the_best_so_far_falls_where_less_is_better() -> None:
    (line,) = of_kind(history_drawing(TRIALS, "val_loss", "minimize"), "polyline", "so-far")
    heights = [float(pair.split(",")[1]) for pair in line.attrib["points"].split()]
    assert len(set(heights)) == 1, "the first one is the lowest"


def test_a_scatter_places_numbers_by_their_ratio_and_words_side_by_side() -> None:
    svg = scatter_drawing(TRIALS, "rate", "val_accuracy")
    x = {kind: float(of_kind(svg, "circle", kind)[0].attrib["cx"]) for kind in ("completed", "best", "pruned")}
    assert x["best"] - x["completed"] == pytest.approx(x["pruned"] - x["best"], abs=0.2), "0.001, 0.01, 0.1"
    assert "(logarithmic)" in svg
    words = scatter_drawing(TRIALS, "optimizer.name", "val_accuracy")
    assert {"adam", "sgd"} <= {each.text for each in ElementTree.fromstring(words).iter("text")}


def test_parallel_coordinates_have_a_line_for_every_trial_with_a_value_and_a_key_to_their_colours() -> None:
    svg = parallel_drawing(TRIALS, ["rate", "optimizer.name"], "val_accuracy", "maximize")
    root = ElementTree.fromstring(svg)
    lines = [each for each in root if each.attrib.get("class", "").startswith("trial")]
    assert len(lines) == 4
    assert [each.attrib["class"] for each in lines][-1] == "trial best", "on top of the others"
    assert "var(--best) 100%" in lines[-1].attrib["style"]
    assert "var(--best) 0%" in lines[0].attrib["style"]
    assert all(len(each.attrib["points"].split()) == 3 for each in lines)
    (lost,) = (each for each in root if each.attrib.get("class") == "lost")
    assert len(lost.attrib["points"].split()) == 3
    assert {"best 90.00 %", "worst 40.00 %", "no value", "<b>"} <= {each.text for each in root.iter("text")}


def test_labels_of_neighbouring_values_are_as_far_apart_as_they_are_high() -> None:
    trials = [Dot(n, "completed", 0.1 * n, {"rate": rate}) for n, rate in enumerate((0.0004, 0.17, 0.45, 14280.0))]
    root = ElementTree.fromstring(parallel_drawing(trials, ["rate"], "val_loss", "minimize"))
    heights = sorted(float(each.attrib["y"]) for each in root.iter("text") if each.attrib["x"] == "80")
    assert len(heights) >= 4
    assert min(np.diff(heights)) > 14


def test_bars_of_importance_are_as_long_as_their_shares() -> None:
    root = ElementTree.fromstring(importance_drawing({"l2": 0.2, "rate": 0.8}, 12))
    lengths = [float(each.attrib["width"]) for each in root.iter("rect")]
    assert lengths[0] == pytest.approx(4 * lengths[1], rel=0.01)
    shown = [each.text for each in root.iter("text")]
    assert shown[0] == "How much each parameter mattered, from 12 trials"
    assert shown[1:4:2] == ["rate", "l2"]


def contents(**more: object) -> SweepContents:
    rows = [TrialSummary(each.number, each.status, each.value, each.parameters) for each in TRIALS]
    return SweepContents(
        name="look", headlines=(Headline("Trials done", "4 of 9"),), metric="val_accuracy", trials=TRIALS,
        parameters=("rate", "optimizer.name"), importances={"rate": 0.7, "optimizer.name": 0.3},
        leaderboard=leaderboard(rows, goal="maximize", metric="val_accuracy"), **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_page_shows_everything_obeys_nothing_and_loads_itself_again_while_the_sweep_runs() -> None:
    page = render_sweep(contents(live=Live(4 / 9, 5)))
    assert '<meta http-equiv="refresh" content="5">' in page
    assert "<title>44 % of look</title>" in page
    sections = re.findall(r'<section id="(\w+)"', page)
    assert sections == ["leaderboard", "history", "parallel", "scatters"]
    assert page.count("<svg") == 5
    assert "<b>" not in page
    assert "refresh" not in render_sweep(contents(live=Live(1.0, 0)))


def test_a_sweep_without_a_value_is_a_page_too() -> None:
    page = render_sweep(SweepContents(name="new", trials=(Dot(0, "running", None),), parameters=("rate",)))
    assert "<svg" not in page
