from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnscratch.report.curves import compare_curves, curves, learning_rate_range
from nnscratch.report.gradient_flow import gradient_flow
from nnscratch.report.values import Row


def test_curves_draw_the_recorded_values(epochs: list[Row], tmp_path: Path) -> None:
    figure = curves(epochs, tmp_path / "curves.png", best_epoch=41, title="a run")
    loss, accuracy, rate = figure.axes
    assert [axes.get_title("left") for axes in figure.axes] == ["Loss", "Accuracy", ""]
    np.testing.assert_array_equal(loss.lines[0].get_xdata(), np.arange(1, 51))
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), [row["train_loss"] for row in epochs])
    np.testing.assert_array_equal(accuracy.lines[1].get_ydata(), [row["val_accuracy"] for row in epochs])
    np.testing.assert_array_equal(rate.lines[0].get_ydata(), [row["learning_rate"] for row in epochs])


def test_the_best_epoch_is_marked_in_every_panel_with_its_validation_value(epochs: list[Row], tmp_path: Path) -> None:
    figure = curves(epochs, tmp_path / "curves.png", best_epoch=41)
    for axes in figure.axes:
        assert [41, 41] in [list(np.asarray(line.get_xdata())) for line in axes.lines]
    star = figure.axes[1].lines[-1]
    np.testing.assert_array_equal(star.get_xydata(), [[41, epochs[40]["val_accuracy"]]])
    assert figure.axes[1].get_title("right") == f"{100 * (epochs[40]['val_accuracy'] or 0):.2f} % at the best epoch, 41"


def test_the_legend_names_training_validation_and_best(epochs: list[Row], tmp_path: Path) -> None:
    figure = curves(epochs, tmp_path / "curves.png", best_epoch=41)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["training", "validation", "best epoch"]


def test_a_regression_without_validation_has_one_panel_and_one_line(epochs: list[Row], tmp_path: Path) -> None:
    rows = [{key: row[key] for key in ("epoch", "train_loss", "learning_rate")} for row in epochs]
    figure = curves(rows, tmp_path / "curves.png", best_epoch=50)
    assert [axes.get_title("left") for axes in figure.axes] == ["Loss", ""]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["training", "best epoch"]


def test_a_diverged_run_says_from_which_epoch(epochs: list[Row], tmp_path: Path) -> None:
    rows = [dict(row) for row in epochs[:9]]
    for row in rows[6:]:
        row.update(train_loss=float("nan"), val_loss=float("inf"))
    figure = curves(rows, tmp_path / "curves.png")
    assert "not finite from epoch 7" in [text.get_text() for text in figure.axes[0].texts]
    assert len(np.asarray(figure.axes[0].lines[1].get_xdata())) == 6


@pytest.mark.parametrize("number", [0, 1])
def test_hardly_any_epochs_are_no_error(epochs: list[Row], number: int, tmp_path: Path) -> None:
    curves(epochs[:number], tmp_path / "curves.png", best_epoch=1)
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_epochs_that_never_became_finite_are_no_error(tmp_path: Path) -> None:
    figure = curves([{"epoch": 1, "train_loss": float("nan"), "learning_rate": 10.0}], tmp_path / "curves.png")
    assert "no finite value was recorded" in [text.get_text() for text in figure.axes[0].texts]


def test_on_a_narrow_figure_the_panels_stand_below_each_other(epochs: list[Row], tmp_path: Path) -> None:
    figure = curves(epochs, tmp_path / "curves.png", width=4.0)
    loss, accuracy, _ = (axes.get_position() for axes in figure.axes)
    assert accuracy.y1 < loss.y0


def test_compared_runs_are_named_as_they_are_even_with_dollars_and_underscores(
    epochs: list[Row], tmp_path: Path
) -> None:
    figure = compare_curves({"_sgd": epochs, "cost $1$": epochs[:20]}, tmp_path / "compare.png")
    labels = figure.legends[0].get_texts()
    assert labels[0].get_text() == "_sgd"
    assert labels[1].get_text() == r"cost \$1\$"
    looks = [(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines if line.get_linewidth() == 2.0]
    assert len(looks) == len(set(looks)) == 2


def test_only_validation_is_drawn_bold_where_runs_are_compared(epochs: list[Row], tmp_path: Path) -> None:
    alone = [{key: value for key, value in row.items() if not key.startswith("val_")} for row in epochs]
    figure = compare_curves({"with": epochs, "without": alone}, tmp_path / "compare.png")
    for axes, metric in zip(figure.axes, ("loss", "accuracy"), strict=True):
        bold = [line for line in axes.lines if line.get_linewidth() > 1]
        assert [np.asarray(line.get_ydata()).tolist() for line in bold] == [[row[f"val_{metric}"] for row in epochs]]
        assert len(axes.lines) == 3
    assert figure.get_suptitle() == "Validation (bold) and training (thin)"
    assert compare_curves({"without": alone}, tmp_path / "alone.png").get_suptitle() == "Training"


def test_a_legend_shows_the_lines_as_they_are_drawn_also_of_a_run_without_accuracy(
    epochs: list[Row], tmp_path: Path
) -> None:
    regression = [{key: value for key, value in row.items() if not key.endswith("accuracy")} for row in epochs]
    figure = compare_curves({"classifier": epochs, "regression": regression}, tmp_path / "compare.png")
    drawn = {line.get_marker() for line in figure.axes[0].lines}
    shown = {handle.get_marker() for handle in figure.legends[0].get_lines()}
    assert shown == drawn == {"None"}


def test_every_layer_has_its_gradient_and_its_update_line(epochs: list[Row], tmp_path: Path) -> None:
    figure = gradient_flow(epochs, tmp_path / "flow.png")
    norms, ratios = figure.axes
    assert norms.get_yscale() == ratios.get_yscale() == "log"
    assert len(norms.lines) == len(ratios.lines) == 3
    np.testing.assert_array_equal(ratios.lines[2].get_ydata(), [row["update_ratio/4.dense"] for row in epochs])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["0.dense", "2.dense", "4.dense", "healthy"]


def test_gradients_of_zero_and_missing_layers_are_left_out_of_the_logarithm(tmp_path: Path) -> None:
    rows: list[Row] = [{"epoch": 1, "gradient_norm/a": 0.0}, {"epoch": 2, "gradient_norm/a": 0.1}]
    figure = gradient_flow(rows, tmp_path / "flow.png")
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xdata(), [2])
    assert "not recorded" in [text.get_text() for text in figure.axes[1].texts]


def test_the_suggested_rate_is_marked(tmp_path: Path) -> None:
    rates = np.geomspace(1e-5, 1, 30)
    losses = [*np.linspace(2.3, 1.5, 29), float("nan")]
    figure = learning_rate_range(list(rates), losses, tmp_path / "range.png", suggestion=0.01)
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert list(np.asarray(axes.lines[1].get_xdata())) == [0.01, 0.01]
    assert axes.get_title("right") == "suggested: 0.01"


@pytest.mark.parametrize(
    ("metric", "title"), [("macro_f1", "Macro F1"), ("median_absolute_error", "Median absolute error")]
)
def test_a_monitored_metric_has_a_panel_of_its_own(epochs: list[Row], tmp_path: Path, metric: str, title: str) -> None:
    rows = [{**row, f"val_{metric}": 0.1 * index} for index, row in enumerate(epochs)]
    figure = curves(rows, tmp_path / "curves.png", best_epoch=4)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert title in titles
    assert len(titles) == 1 + len(curves(epochs, tmp_path / "plain.png").axes)
