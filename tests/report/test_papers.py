"""Pictures for papers and with awkward content: formats, widths, long names, other scripts, many layers."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from nnscratch.errors import UsageError
from nnscratch.report.classification import confusion_matrix, per_class, reliability
from nnscratch.report.curves import curves
from nnscratch.report.gradient_flow import gradient_flow
from nnscratch.report.parallel_coordinates import parallel_coordinates
from nnscratch.report.picture_files import BEGINNINGS, save
from nnscratch.report.regression import regression_scatter
from nnscratch.report.style import plain, plain_apart
from nnscratch.report.sweeps import accuracy_against_time
from nnscratch.report.values import ClassScores, Row, TimedAccuracy
from nnscratch.report.weights import weight_histograms


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_the_suffix_chooses_the_format_and_equal_figures_are_equal_files(
    suffix: str, epochs: list[Row], tmp_path: Path
) -> None:
    files = []
    for name in ("a", "b"):
        curves(epochs, tmp_path / f"{name}{suffix}", width=8.5 / 2.54)
        files.append((tmp_path / f"{name}{suffix}").read_bytes())
    assert files[0].startswith(BEGINNINGS[suffix])
    assert files[0] == files[1]


def test_a_picture_of_another_suffix_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not the name of a picture"):
        save(Figure(), tmp_path / "a.jpg")
    assert not list(tmp_path.iterdir())


def test_letters_that_the_font_lacks_are_written_by_their_number() -> None:
    assert plain("猫 é", 40) == r"\u732b é"
    assert plain(plain("$x$ 猫", 40), 40) == plain("$x$ 猫", 40) == r"\$x\$ \u732b"


def test_long_names_that_begin_alike_stay_apart() -> None:
    names = [f"a very long name of a species, number {number}" for number in range(10)]
    shown = plain_apart(names, 18)
    assert len(set(shown)) == 10
    assert max(map(len, shown)) <= 18
    assert plain_apart(["cat", "dog"], 18) == ["cat", "dog"]


def test_names_alike_at_both_ends_are_numbered() -> None:
    shown = plain_apart(["x" * 20 + middle + "x" * 20 for middle in "ab"], 10)
    assert shown == ["1: xxxxxx…", "2: xxxxxx…"]


def texts_outside(figure: Figure) -> list[str]:
    """The texts of a drawn figure that reach over its edge, or over another title's."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # the drawn figure has it, its types do not
    edge = figure.bbox
    legends = [text for legend in figure.legends for text in legend.get_texts()]
    return [
        text.get_text()
        for text in (*legends, *(axes.title for axes in figure.axes))
        if (box := text.get_window_extent(renderer)).x0 < edge.x0 - 1 or box.x1 > edge.x1 + 1 or box.y0 < edge.y0 - 1
    ]


def test_in_one_column_of_a_paper_titles_legend_and_notes_are_inside_and_apart(
    epochs: list[Row], tmp_path: Path
) -> None:
    width = 8.5 / 2.54
    figure = curves(epochs, tmp_path / "a.png", best_epoch=2, title="a name of a run that is long", width=width)
    scores = [ClassScores(name, 0.5, 0.5, 0.5, 400) for name in ("cat", "dog")]
    bars = per_class(scores, tmp_path / "b.png", title="a name of a run: scores by class (examples)", width=width)
    for drawn in (figure, bars):
        renderer = drawn.canvas.get_renderer()  # type: ignore[attr-defined]  # the drawn figure has it, its types do not
        assert drawn._suptitle is not None  # type: ignore[attr-defined]  # the drawn figure has it, its types do not
        assert drawn._suptitle.get_window_extent(renderer).x1 <= drawn.bbox.x1  # type: ignore[attr-defined]  # the drawn figure has it, its types do not
        assert texts_outside(drawn) == []
        for legend in drawn.legends:
            assert legend.get_window_extent(renderer).x1 <= drawn.bbox.x1
    for axes in figure.axes:
        left, right = (text.get_window_extent(renderer) for text in (axes._left_title, axes._right_title))  # type: ignore[attr-defined]  # the drawn figure has it, its types do not
        assert left.x1 <= right.x0 or not axes._right_title.get_text()  # type: ignore[attr-defined]  # the drawn figure has it, its types do not


@pytest.mark.parametrize("width", [8.0, 4.0, 8.5 / 2.54])
@pytest.mark.parametrize("number", [10, 12, 30])
def test_the_legend_of_many_layers_with_long_names_is_inside_the_picture(
    width: float, number: int, tmp_path: Path
) -> None:
    layers = [f"{layer}.residual.branch.{layer}.batch_normalization" for layer in range(number)]
    rows: list[Row] = [
        {"epoch": epoch} | {f"gradient_norm/{layer}": 1.0 / epoch for layer in layers} for epoch in (1, 2, 3)
    ]
    figure = gradient_flow(rows, tmp_path / "a.png", width=width)
    assert len(figure.legends[0].get_texts()) == min(number, 12 if number <= 12 else 7)
    assert texts_outside(figure) == []


@pytest.mark.parametrize("width", [8.0, 4.0])
def test_titles_of_weights_with_long_names_do_not_overlap(width: float, tmp_path: Path) -> None:
    arrays = {f"{layer}.residual.branch.{layer}.batch_normalization.scale": np.arange(9.0) for layer in range(6)}
    figure = weight_histograms(arrays, arrays, tmp_path / "a.png", width=width)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # the drawn figure has it, its types do not
    boxes = [text.get_window_extent(renderer) for axes in figure.axes for text in (axes.title, axes._left_title)]  # type: ignore[attr-defined]  # the drawn figure has it, its types do not
    boxes = [box for box in boxes if box.width > 1]
    assert len(boxes) == 6
    assert not any(one.overlaps(other) for index, one in enumerate(boxes) for other in boxes[:index])


def test_the_ticks_of_a_regression_with_large_numbers_do_not_merge(tmp_path: Path) -> None:
    true = np.linspace(1_000_000, 1_900_000, 30)
    figure = regression_scatter(true, true + 20_000, tmp_path / "a.png")
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # the drawn figure has it, its types do not
    for axes in figure.axes:
        boxes = [label.get_window_extent(renderer) for label in axes.get_xticklabels() if label.get_text()]
        assert len(boxes) >= 3
        assert not any(one.overlaps(other) for one, other in pairwise(boxes))


def test_the_ticks_of_accuracies_that_lie_close_together_are_round(tmp_path: Path) -> None:
    points = [TimedAccuracy("a", 1.0, 0.8620), TimedAccuracy("b", 2.0, 0.8629, spread=(0.8625, 0.8633))]
    figure = accuracy_against_time(points, tmp_path / "a.png")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert all(len(label) <= len("86.25 %") for label in labels), labels
    bars = [line for line in figure.axes[0].lines if list(line.get_ydata()) == [0.8625, 0.8633]]  # type: ignore[arg-type]  # numbers
    assert len(bars) == 1


def test_marks_at_nought_and_at_a_hundred_per_cent_are_drawn_whole(tmp_path: Path) -> None:
    scores = [ClassScores(f"class {number}", 0.0, 1.0, 0.0, 5) for number in range(25)]
    figure = per_class(scores, tmp_path / "a.png")
    assert figure.axes[0].lines
    assert not any(line.get_clip_on() for line in figure.axes[0].lines)


def test_parallel_coordinates_have_a_colour_key(tmp_path: Path) -> None:
    figure = parallel_coordinates([{"l2": 0.1}, {"l2": 0.2}], [0.5, 0.6], tmp_path / "a.png", goal="maximize")
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["worst", "best"]


def test_the_names_of_runs_that_took_as_long_and_are_as_good_do_not_cover_each_other(tmp_path: Path) -> None:
    close = [TimedAccuracy(f"quickstart-{n}", 1.0 + 0.001 * n, 0.86 + 0.0001 * n) for n in range(5)]
    bar = TimedAccuracy("mean of 3", 1.1, 0.8602, spread=(0.85, 0.87))
    figure = accuracy_against_time([*close, bar, TimedAccuracy("long", 9.0, 0.9)], tmp_path / "a.png")
    names = [text for text in figure.axes[0].texts if text.get_text()]
    assert len(names) == 7
    boxes = [name.get_window_extent() for name in names]
    assert not any(one.overlaps(other) for index, one in enumerate(boxes) for other in boxes[:index])


@pytest.mark.parametrize("width", [8.0, 8.5 / 2.54])
def test_the_names_of_thirty_classes_do_not_overlap(width: float, tmp_path: Path) -> None:
    names = [f"species {number}" for number in range(30)]
    figure = confusion_matrix(np.eye(30, dtype=int), names, tmp_path / "a.png", width=width)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # the drawn figure has it, its types do not
    boxes = [label.get_window_extent(renderer) for label in figure.axes[0].get_yticklabels()]
    assert all(other.y1 < one.y0 + 2 for one, other in pairwise(boxes))


@pytest.mark.parametrize("width", [2.4, 8.5 / 2.54, 6.4])
def test_the_legend_of_a_reliability_picture_is_below_its_bars_and_inside(width: float, tmp_path: Path) -> None:
    middle = np.linspace(0.05, 0.95, 10)
    figure = reliability(middle, middle, np.ones(10), 0.0, tmp_path / "a.png", width=width)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # the drawn figure has it, its types do not
    (legend,) = figure.legends
    box = legend.get_window_extent(renderer)
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert all(box.y1 < axes.xaxis.label.get_window_extent(renderer).y0 for axes in figure.axes)


@pytest.mark.parametrize("width", [8.0, 16 / 2.54, 4.0, 8.5 / 2.54, 2.4])
def test_ticks_and_titles_stay_apart_at_any_width(width: float, epochs: list[Row], tmp_path: Path) -> None:
    arrays = {f"{layer}.dense.bias": np.linspace(-0.0043, 0.0043, 40) * 10.0 ** (layer - 2) for layer in range(6)}
    for figure in (
        weight_histograms(arrays, arrays, tmp_path / "a.png", width=width),
        curves(epochs, tmp_path / "b.png", best_epoch=2, width=width),
    ):
        renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # the drawn figure has it, its types do not
        assert all(legend.get_window_extent(renderer).x1 <= figure.bbox.x1 for legend in figure.legends)
        for axes in figure.axes:
            low, high = axes.get_xlim()
            seen = [label for label in axes.get_xticklabels() if low <= label.get_position()[0] <= high]
            ticks = [label.get_window_extent(renderer) for label in seen]
            assert all(one.x1 + 3 < other.x0 for one, other in pairwise(ticks))
            left, right = (text.get_window_extent(renderer) for text in (axes._left_title, axes._right_title))  # type: ignore[attr-defined]  # the drawn figure has it, its types do not
            assert left.x1 <= right.x0 or not axes._right_title.get_text()  # type: ignore[attr-defined]  # the drawn figure has it, its types do not
