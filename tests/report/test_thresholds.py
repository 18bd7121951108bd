"""ROC and precision-recall curves: the areas that are drawn are those that are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnscratch.report.thresholds import RankedClass, roc_and_precision_recall
from nnscratch.training.metrics.ranking import ThresholdCurve


def test_the_area_drawn_under_precision_is_the_average_precision_also_of_two_positives(tmp_path: Path) -> None:
    # The highest score is a positive's, the third the other's: 1/2 of recall at precision 1, 1/2 at precision 2/3.
    curve = ThresholdCurve.of(np.array([1, 0, 1, 0, 0]) == 1, np.array([0.9, 0.8, 0.7, 0.2, 0.1]))
    assert curve.average_precision == pytest.approx(5 / 6)
    ranked = RankedClass(
        "rare", curve.recall, curve.precision, curve.false_positive_rate, curve.roc_auc, curve.average_precision
    )
    _, right = roc_and_precision_recall([ranked], tmp_path / "thresholds.png").axes
    (line,) = right.lines
    recall, precision = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    assert (recall[0], precision[0], line.get_drawstyle()) == (0, 1, "steps-pre")
    assert np.sum(np.diff(recall) * precision[1:]) == pytest.approx(5 / 6)
