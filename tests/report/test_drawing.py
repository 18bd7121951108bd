from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from nnscratch.report.drawing import (
    HEIGHT,
    LEFT,
    MOST_POINTS,
    RIGHT,
    TOP,
    WIDTH,
    Chart,
    linear_axis,
    logarithmic_axis,
    spread,
    thinned,
)  # fmt: skip
from nnscratch.report.live_curves import live_curves


def plain(value: float) -> str:
    return f"{value:g}"


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.31, 0.39, [0.32, 0.34, 0.36, 0.38]),
        (0.0, 40.0, [0.0, 10.0, 20.0, 30.0, 40.0]),
        (-3.0, 7.0, [-2.0, 0.0, 2.0, 4.0, 6.0]),
    ],
)
def test_ticks_stand_at_round_numbers(low: float, high: float, ticks: list[float]) -> None:
    assert [tick for tick, _ in linear_axis(low, high, plain).ticks] == pytest.approx(ticks)


def test_epochs_are_counted_in_whole_numbers_and_equal_values_have_room() -> None:
    assert [label for _, label in linear_axis(0, 3, plain, whole=True).ticks] == ["0", "1", "2", "3"]
    axis = linear_axis(0.5, 0.5, plain)
    assert axis.low < 0.5 < axis.high
    assert axis.place(0.5) == pytest.approx(0.5)


def test_a_logarithmic_axis_places_by_ratio() -> None:
    axis = logarithmic_axis(0.001, 10.0, plain)
    assert axis.place(0.1) == pytest.approx(0.5)
    assert [label for _, label in axis.ticks] == ["0.001", "0.01", "0.1", "1", "10"]
    assert [label for _, label in logarithmic_axis(0.2, 3, plain).ticks] == ["0.2", "0.5", "1", "2"]


def test_the_spread_is_that_of_the_finite_values() -> None:
    assert spread([math.nan, 1.0, 3.0, math.inf], 0.5) == (0.0, 4.0)
    assert spread([]) == (0.0, 1.0)


def test_many_points_are_thinned_and_the_last_stays() -> None:
    points = [(float(n), 0.0) for n in range(10_001)]
    assert len(thinned(points)) <= MOST_POINTS + 1
    assert thinned(points)[-1] == (10_000.0, 0.0)


def test_a_legend_that_has_no_room_beside_the_title_stands_in_rows_below_it() -> None:
    chart = Chart("val_accuracy", linear_axis(0, 10, plain), linear_axis(0, 1, plain))
    for status in ("completed", "pruned", "running", "interrupted", "failed", "diverged"):
        chart.add_legend(f"{status} key", status)
    root = ElementTree.fromstring(chart.svg("trials"))
    top = float(root.attrib["viewBox"].split()[1])
    texts = {each.text: each for each in root.iter("text") if each.text and each.text[0].isalpha()}
    title, labels = texts.pop("val_accuracy"), list(texts.values())
    assert len(labels) == 6
    assert float(title.attrib["y"]) > top
    for each in labels:
        assert float(each.attrib["y"]) > float(title.attrib["y"])
        assert float(each.attrib["x"]) > 0
    assert max(float(each.attrib["y"]) for each in labels) < TOP


def test_a_line_goes_from_corner_to_corner_and_text_is_escaped() -> None:
    chart = Chart("<script>a & b</script>", linear_axis(0, 10, plain), linear_axis(0, 1, plain))
    chart.add_line([(0, 0), (5, math.nan), (10, 1)], "train", "<b>")
    chart.add_point((5, 0.5), "val", 'says "this"')
    svg = chart.svg("what it <shows>")
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == "what it <shows>"
    (line,) = [each for each in root if each.tag == "polyline" and "train" in each.attrib["class"]]
    ends = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    assert ends == [(LEFT, HEIGHT - 40), (WIDTH - RIGHT, TOP)]
    assert [each.text for each in root.iter("title")] == ['says "this"']
    assert "<script" not in svg


ROWS = [
    {"epoch": n, "train_loss": 2.0 / n, "val_loss": 2.1 / n, "train_accuracy": 0.1 * n, "val_accuracy": 0.09 * n}
    for n in range(1, 6)
]


def test_curves_grow_towards_the_planned_end() -> None:
    loss, accuracy = live_curves(ROWS, 120, best_epoch=5)
    for svg in (loss, accuracy):
        ticks = [each.text for each in ElementTree.fromstring(svg).iter("text")]
        assert "10" in ticks
        assert "120" not in ticks
    assert "best epoch 5: 45.00 %" in accuracy
    assert "the last is 0.42" in loss
    (loss, _) = live_curves(ROWS, 5)
    assert not re.search(r">6</text>", loss)


def test_before_the_first_epoch_is_over_the_batches_are_drawn_without_those_far_off() -> None:
    (loss,) = live_curves([], 3, batches=[(0.1, 900.0), (0.2, 2.0), (0.3, 1.9), (0.4, 1.8)])
    (line,) = [each for each in ElementTree.fromstring(loss) if "line batches" in each.attrib.get("class", "")][:1]
    assert len(line.attrib["points"].split()) == 3
    assert live_curves([], 3) == []
