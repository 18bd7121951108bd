from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from nnscratch.report.curves import curves
from nnscratch.report.picture_files import to_bytes
from nnscratch.report.style import (
    SMALLEST,
    TEXT,
    common_power,
    dress,
    few_ticks,
    line_style,
    log_axis,
    new_figure,
    note,
    plain,
)
from nnscratch.report.values import Row
from nnscratch.results.space import MOST_OUTPUTS


def test_plots_are_readable_png_files_of_readme_size(epochs: list[Row], tmp_path: Path) -> None:
    curves(epochs, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size[0] == 1200
        pixels = np.asarray(image.convert("L"))
    assert 0.02 < np.mean(pixels < 200) < 0.5


def test_the_same_values_give_the_same_bytes(epochs: list[Row], tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        curves(epochs, tmp_path / name, best_epoch=3, title="run")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_series_that_print_alike_in_grey_differ_in_dashes_or_marker() -> None:
    styles = [line_style(index) for index in range(8)]
    assert len({(style.color, style.dashes) for style in map(line_style, range(44))}) == 44
    assert len({(style.color, style.marker) for style in map(line_style, range(110))}) == 110
    assert len({line_style(label).color for label in range(MOST_OUTPUTS)}) == MOST_OUTPUTS, "classes on a plane"
    for first in range(8):
        for second in range(first):
            one, other = styles[first], styles[second]
            weights = np.array([0.299, 0.587, 0.114])
            difference = abs(float((np.subtract(to_rgb(one.color), to_rgb(other.color)) * weights).sum()))
            assert difference > 0.15 or (one.dashes, one.marker) != (other.dashes, other.marker)


def test_text_is_shown_letter_by_letter() -> None:
    assert plain("cost $1$\nper\tcat", 40) == r"cost \$1\$ per cat"


@pytest.mark.parametrize(
    ("limits", "ticks"),
    [
        ((0, 2e-5), ["0", "1·10⁻⁵", "2·10⁻⁵"]),
        ((-3e7, 3e7), ["−3·10⁷", "0", "3·10⁷"]),
        ((0, 0.2), ["0.0", "0.1", "0.2"]),
        ((20_000.1, 20_000.3), ["2.00001·10⁴", "2.00002·10⁴", "2.00003·10⁴"]),
    ],
)
def test_a_common_power_of_ten_stands_at_every_tick(limits: tuple[float, float], ticks: list[str]) -> None:
    figure = new_figure(3.0)
    axes = figure.add_subplot()
    places = np.linspace(*limits, 3)
    for scale in (axes.xaxis, axes.yaxis):
        common_power(scale, (-3, 4))
    axes.set(xlim=limits, ylim=limits, xticks=places, yticks=places)
    figure.draw_without_rendering()
    for scale in (axes.xaxis, axes.yaxis):
        assert [label.get_text() for label in scale.get_ticklabels()] == ticks
        assert scale.get_offset_text().get_text() == ""


@pytest.mark.parametrize(
    ("limits", "label", "ticks"),
    [
        ((1_699_999_800, 1_700_000_200), "true − 1,700,000,000", ["−200", "−100", "0", "100", "200"]),
        ((-5000.0003, -5000.0001), "true + 5,000", [f"−{n}·10⁻⁴" for n in ("3.0", "2.5", "2.0", "1.5", "1.0")]),
        ((1.0000001, 1.0000005), "true − 1", ["2·10⁻⁷", "4·10⁻⁷"]),
        ((2e20, 2e20 + 4e15), "true − 2·10²⁰", ["0", "1·10¹⁵", "2·10¹⁵", "3·10¹⁵", "4·10¹⁵"]),
        ((0, 3e9), "true", ["0", "1·10⁹", "2·10⁹", "3·10⁹"]),
        ((1990, 2024), "true", ["1990", "2000", "2010", "2020"]),
    ],
)
def test_ticks_far_from_zero_say_what_they_differ_in_and_the_label_says_the_rest(
    limits: tuple[float, float], label: str, ticks: list[str]
) -> None:
    figure = new_figure(3.0)
    axes = figure.add_subplot()
    axes.set(xlim=limits, xlabel="true")
    few_ticks(axes)
    figure.draw_without_rendering()
    shown = [each.get_text() for each in axes.get_xticklabels() if limits[0] <= each.get_position()[0] <= limits[1]]
    assert axes.get_xlabel() == label
    assert shown == ticks


def test_many_decades_are_labelled_by_their_powers_of_ten() -> None:
    figure = new_figure(3.0)
    axes = figure.add_subplot()
    axes.plot([0, 1, 2], [1e-5, 1.0, 1e7])
    log_axis(axes)
    figure.draw_without_rendering()
    low, high = axes.get_ylim()
    shown = [label.get_text() for label in axes.get_yticklabels() if low <= label.get_position()[1] <= high]
    assert {"10⁻⁵", "10⁷"} <= set(shown) <= {"10⁻⁵", "10⁻³", "10⁻²", "10⁻¹", "10⁰", "10¹", "10³", "10⁵", "10⁷"}


def test_labels_of_long_columns_stay_within_the_picture() -> None:
    figure = new_figure(2.5, 3.15)
    axes = figure.add_subplot()
    dress(
        axes,
        x="yearly_household_income_in_dollars_of_2020",
        y="a_column_whose_name_is_far_longer_than_the_picture_is_high",
    )
    to_bytes(figure, ".png")
    assert axes.get_xlabel() == "yearly_household_income_in_dollars_of_2020"
    assert axes.get_ylabel().startswith("a_column_whose_name")
    assert axes.get_ylabel().endswith("…")
    assert SMALLEST == axes.yaxis.label.get_fontsize() != axes.xaxis.label.get_fontsize() != TEXT
    for label in (axes.xaxis.label, axes.yaxis.label):
        box = label.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1


@pytest.mark.parametrize(("width", "is_below"), [(3.15, True), (8.0, False)])
def test_a_note_stands_beside_the_title_or_below_it_and_never_over_it(width: float, is_below: bool) -> None:
    figure = new_figure(2.5, width)
    axes = figure.add_subplot()
    dress(axes, title="price_of_the_house")
    note(axes, "mean absolute 2.54")
    to_bytes(figure, ".png")
    title, remark = (text.get_window_extent() for text in (axes._left_title, axes._right_title))  # type: ignore[attr-defined]  # the titles beside the middle have no public name
    if is_below:
        assert (title.y0 + title.y1) / 2 > remark.y1  # the title's own second line is empty
    else:
        assert title.x1 < remark.x0


def test_importing_the_report_does_not_import_matplotlib_or_rich() -> None:
    modules = [
        "classification",
        "curves",
        "page",
        "parallel_coordinates",
        "regression",
        "samples",
        "style",
        "sweeps",
        "tables",
        "weights",
    ]
    imports = "; ".join(f"import nnscratch.report.{module}" for module in modules)
    code = f"import sys; {imports}; print([name for name in ('matplotlib', 'rich', 'PIL') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_drawing_never_touches_pyplot(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from nnscratch.report.curves import curves; "
        f"curves([{{'epoch': 1, 'train_loss': 1.0}}], pathlib.Path({str(tmp_path / 'x.png')!r})); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
