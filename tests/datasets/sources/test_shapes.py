from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnscratch.datasets.sources.outlines import OUTLINES
from nnscratch.datasets.sources.shapes import Shapes

pytestmark = pytest.mark.usefixtures("shapes_drawn_anew")


def grid(side: int = 101) -> tuple[np.ndarray, np.ndarray]:
    axis = np.linspace(-1.2, 1.2, side, dtype=np.float32)
    return np.meshgrid(axis, axis)


@pytest.mark.parametrize("name", OUTLINES)
def test_every_outline_is_negative_inside_and_grows_no_faster_than_the_distance(name: str) -> None:
    u, v = grid()
    distance = OUTLINES[name](u, v)
    assert distance.dtype == np.float32
    assert np.isfinite(distance).all()
    inside = (distance < 0).mean()
    assert 0.1 < inside < 0.5
    assert (distance[[0, -1]] > 0).all()
    assert (distance[:, [0, -1]] > 0).all()
    near = np.abs(distance) < 0.1
    step = 2.4 / 100
    slope = np.hypot(*np.gradient(distance, step))[near]
    assert np.median(slope) == pytest.approx(1, abs=0.1)


def test_known_points_lie_on_the_outlines() -> None:
    def at(name: str, u: float, v: float) -> float:
        return float(OUTLINES[name](np.array([u], np.float32), np.array([v], np.float32))[0])

    assert at("circle", 0.8, 0) == pytest.approx(0, abs=1e-6)
    assert at("square", 0.7, 0.3) == pytest.approx(0, abs=1e-6)
    assert at("triangle", 0, -0.9) == pytest.approx(0, abs=1e-6)
    assert at("star", 0, -1) == pytest.approx(0, abs=1e-6)
    assert at("ring", 0, 0) > 0
    assert at("heart", 0, 0.58 / 0.68) == pytest.approx(0, abs=1e-5)
    assert at("ellipse", 0, 0.45) == pytest.approx(0, abs=1e-6)
    assert at("arrow", 0, -0.9) == pytest.approx(0, abs=1e-6)
    assert at("crescent", 0.45, 0) > 0
    assert at("cross", 0.8, 0.8) > 0


def test_the_pictures_of_a_seed_are_the_same_on_every_machine(tmp_path: Path) -> None:
    dataset = Shapes(train=250, test=60).load(tmp_path, None, print)
    assert dataset.digest() == "b4e008bb635999d7328ffe7065b38fe62e7bbdd3e47d981e28c5f10e046c1d2b"


def test_fewer_pictures_are_the_first_of_more_and_the_test_split_stays(tmp_path: Path) -> None:
    few, many = (Shapes(train=count, test=30).load(tmp_path, None, print) for count in (50, 450))
    assert np.array_equal(few.train_inputs, many.train_inputs[:50])
    assert np.array_equal(few.train_targets, many.train_targets[:50])
    assert few.test_inputs is not None
    assert many.test_inputs is not None
    assert np.array_equal(few.test_inputs, many.test_inputs)


def test_another_seed_draws_other_pictures_and_splits_differ(tmp_path: Path) -> None:
    first, other = (Shapes(train=200, test=200, seed=seed).load(tmp_path, None, print) for seed in (0, 1))
    assert first.digest() != other.digest()
    assert first.test_inputs is not None
    assert not np.array_equal(first.train_inputs, first.test_inputs)


def test_the_default_has_ten_balanced_classes_of_colour_pictures(tmp_path: Path) -> None:
    dataset = Shapes(train=2000, test=200).load(tmp_path, None, print)
    assert dataset.input_shape == (32, 32, 3)
    assert dataset.classes == tuple(sorted(dataset.classes or ()))
    assert np.bincount(dataset.train_targets).tolist() == [200] * 10
    assert len(np.unique(dataset.train_inputs.reshape(2000, -1), axis=0)) == 2000
    assert list(tmp_path.iterdir()) == []


def test_without_difficulty_every_picture_of_a_class_has_one_outline(tmp_path: Path) -> None:
    dataset = Shapes(train=400, test=1, difficulty=0).load(tmp_path, None, print)
    circles = dataset.train_inputs[dataset.train_targets == 1]
    rows, columns = np.indices((32, 32)) - 15.5
    radius = 0.8 * 0.62 * 16  # in pixels
    inside = circles[:, np.hypot(rows, columns) < radius - 1]
    outside = circles[:, np.hypot(rows, columns) > radius + 1]
    assert (inside == inside[:, :1]).all()
    assert (inside.max(axis=-1) >= 0.84 * 255).all()
    assert (outside.max(axis=-1) < 0.75 * 255).all()
