from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnscratch.datasets.sources.points import XOR, Circles, Moons, Points, Sine, Spiral

DIGESTS = {
    Moons: "74bce1db82bb41bad9c5796453ebe9693b9b123f9b54682193283377c6319807",
    Circles: "4df5a35aa8a568b25d61461f835d7c4e6e9ad288e25e20955e7b1e97063f4ea8",
    XOR: "9b7169b70d9e3297aa64e5c5628d99ee9c576ff1729dbc01c16ee57288bb34df",
    Spiral: "0440a9d6da819719913472eabd8c77ea917c340cdb5ef1b33ccd26f0c7dbc54b",
    Sine: "f07caee8268c8585ce28be410a8db3d189da26b7af63c2a15a855eecd55d5920",
}
SOURCES = list(DIGESTS)


def arrays(source: Points) -> tuple[np.ndarray, np.ndarray]:
    dataset = source.load(Path(), None, print)
    return dataset.train_inputs.astype(np.float64), dataset.train_targets


@pytest.mark.parametrize("kind", SOURCES)
def test_the_points_of_a_seed_are_the_same_on_every_machine(kind: type[Points]) -> None:
    assert kind().load(Path(), None, print).digest() == DIGESTS[kind]


@pytest.mark.parametrize("kind", SOURCES)
def test_fewer_points_are_the_first_of_more_and_the_test_split_is_another(kind: type[Points]) -> None:
    few, many = kind(train=30).load(Path(), None, print), kind(train=300).load(Path(), None, print)
    assert np.array_equal(few.train_inputs, many.train_inputs[:30])
    assert np.array_equal(few.train_targets, many.train_targets[:30])
    assert few.test_inputs is not None
    assert not np.array_equal(few.test_inputs[:30], few.train_inputs)


@pytest.mark.parametrize("kind", SOURCES)
def test_the_deviation_from_the_points_without_noise_is_the_noise(kind: type[Points]) -> None:
    exact, labels = arrays(kind(train=20_000, noise=0))
    noisy, noisy_labels = arrays(kind(train=20_000, noise=0.3))
    if kind is Sine:
        assert np.array_equal(exact, noisy)
        exact, noisy = labels, noisy_labels
    else:
        assert np.array_equal(labels, noisy_labels)
    assert np.std(noisy - exact) == pytest.approx(0.3, rel=0.02)


def test_without_noise_the_points_lie_on_their_figures() -> None:
    x, label = arrays(Moons(noise=0))
    upper, lower = x[label == 0], x[label == 1]
    assert np.hypot(*upper.T) == pytest.approx(1, abs=1e-3)
    assert (upper[:, 1] >= 0).all()
    assert np.hypot(1 - lower[:, 0], 0.5 - lower[:, 1]) == pytest.approx(1, abs=1e-3)
    assert (lower[:, 1] <= 0.5).all()

    x, label = arrays(Circles(noise=0))
    assert np.hypot(*x.T) == pytest.approx(1 - label / 2, abs=1e-3)

    x, label = arrays(Spiral(noise=0))
    angle = np.arctan2(x[:, 1], x[:, 0]) - 1.5 * np.pi * np.hypot(*x.T) - 2 / 3 * np.pi * label
    assert np.cos(angle) == pytest.approx(1, abs=1e-3)

    x, label = arrays(XOR(noise=0))
    assert np.array_equal(label, (x[:, 0] * x[:, 1] < 0).astype(np.int64))
    assert label.mean() == pytest.approx(0.5, abs=0.1)

    x, y = arrays(Sine(noise=0))
    assert y == pytest.approx(np.sin(x), abs=1e-3)
