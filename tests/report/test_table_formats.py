"""Tables to paste: no cell breaks out of Markdown or LaTeX; and means with as many digits as their spread supports."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch.report.curves import band_curves
from nnscratch.report.formats import with_deviation
from nnscratch.report.table_formats import csv_table, latex_table, markdown_table
from nnscratch.report.tables import Column, Table

ODD = Table((Column("a|b"), Column("share", True)), (("x|y_z", "89.9 ± 0.3 %"), ('say "1,2"', "$5 & {6}")))


def test_no_character_of_a_cell_is_markdowns() -> None:
    assert markdown_table(ODD).splitlines() == [
        r"| a\|b | share |",
        "|---|---:|",
        r"| x\|y_z | 89.9 ± 0.3 % |",
        '| say "1,2" | $5 &amp; {6} |',
    ]


def test_no_character_of_a_cell_is_latexs() -> None:
    lines = latex_table(ODD).splitlines()
    assert lines[0] == r"\begin{tabular}{lr}"
    assert r"  x|y\_z & 89.9 $\pm$ 0.3 \% \\" in lines
    assert r'  say "1,2" & \$5 \& \{6\} \\' in lines
    assert lines[-1] == r"\end{tabular}"


def test_csv_reads_back_as_the_same_cells() -> None:
    rows = list(csv.reader(io.StringIO(csv_table(ODD))))
    assert rows == [["a|b", "share"], *map(list, ODD.rows)]


@pytest.mark.parametrize(
    ("metric", "mean", "deviation", "shown"),
    [
        ("test_accuracy", 0.8987, 0.0031, "89.9 ± 0.3 %"),
        ("accuracy", 0.8987, 0.0131, "89.9 ± 1.3 %"),
        ("accuracy", 0.89874, 0.0004, "89.87 ± 0.04 %"),
        ("loss", 0.41234, 0.0214, "0.41 ± 0.02"),
        ("loss", 0.41234, 0.0134, "0.412 ± 0.013"),
        ("loss", 0.5, 0.0, "0.50 ± 0.00"),
    ],
)
def test_a_mean_has_the_digits_that_its_deviation_supports(
    metric: str, mean: float, deviation: float, shown: str
) -> None:
    assert with_deviation(metric, mean, deviation) == shown


def test_bands_reach_from_the_lowest_to_the_highest_run_around_their_mean(tmp_path: Path) -> None:
    def rows(*losses: float) -> list[dict[str, Any]]:
        return [{"epoch": epoch, "train_loss": loss, "val_loss": loss} for epoch, loss in enumerate(losses, 1)]

    figure = band_curves({"a": [rows(3, 2, 1), rows(1, 1)], "b": [rows(2, 2, 2)]}, tmp_path / "bands.png")
    (axes,) = figure.axes
    means = [np.asarray(line.get_ydata()).tolist() for line in axes.lines]
    assert means == [[2.0, 1.5, 1.0], [2.0, 2.0, 2.0]]  # a run that ended early counts as far as it went
    band = np.asarray(axes.collections[0].get_paths()[0].vertices)
    at_first = band[np.isclose(band[:, 0], 1)][:, 1]
    assert (at_first.min(), at_first.max()) == (1.0, 3.0)


def test_of_a_group_without_a_validation_split_the_training_is_drawn_beside_the_others(tmp_path: Path) -> None:
    with_validation = [[{"epoch": 1, "train_loss": 3.0, "val_loss": 4.0}]]
    without = [[{"epoch": 1, "train_loss": 5.0}]]
    figure = band_curves({"a": with_validation, "b": without}, tmp_path / "bands.png")
    assert [np.asarray(line.get_ydata()).tolist() for line in figure.axes[0].lines] == [[4.0], [5.0]]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["a, validation: mean and range", "b, training: mean and range"]
