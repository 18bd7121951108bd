"""Weights that start from the data's own directions."""

from __future__ import annotations

import numpy as np
import pytest

from nnscratch.errors import ShapeError
from nnscratch.nn.initializers import Whitening
from nnscratch.nn.layers import Conv, Dense
from nnscratch.nn.network import Network
from nnscratch.nn.random_streams import RandomStreams


def whitened(units: int, x: np.ndarray, negatives: bool = False, epsilon: float = 1e-12) -> Network:
    layer = Dense(units, bias=False, weight_init=Whitening(epsilon, negatives), frozen=True)
    network = Network([layer, Dense(2)], (x.shape[1],))
    network.initialize(RandomStreams(0), np.float64)
    assert network.starts_from_data
    network.fit_to(x)
    return network


def examples(n: int = 500) -> np.ndarray:
    rng = np.random.default_rng(0)
    rotation, _ = np.linalg.qr(rng.standard_normal((5, 5)))
    return np.asarray(rng.standard_normal((n, 5)) * [3.0, 2.0, 1.0, 0.5, 0.1] @ rotation)


def test_a_dense_layer_whitens_its_inputs_by_principal_components_the_largest_first() -> None:
    x = examples()
    W = whitened(3, x).layers[0].W  # type: ignore[attr-defined]  # the first layer is dense
    y = x @ W
    np.testing.assert_allclose(y.T @ y / len(x), np.eye(3), atol=1e-10)
    _, S, Q = np.linalg.svd(x, full_matrices=False)
    directions = W / np.linalg.norm(W, axis=0)
    np.testing.assert_allclose(np.abs(np.diag(Q[:3] @ directions)), 1, rtol=1e-10)
    np.testing.assert_allclose(np.linalg.norm(W, axis=0), np.sqrt(len(x)) / S[:3], rtol=1e-10)


def test_epsilon_keeps_small_components_small() -> None:
    x = examples()
    y = x @ whitened(5, x, epsilon=1.0).layers[0].W  # type: ignore[attr-defined]  # the first layer is dense
    variances = np.linalg.eigvalsh(x.T @ x / len(x))[::-1]
    np.testing.assert_allclose(np.diag(y.T @ y / len(x)), variances / (variances + 1), rtol=1e-9)


def test_with_negatives_the_second_half_is_the_first_negated() -> None:
    W = whitened(4, examples(), negatives=True).layers[0].W  # type: ignore[attr-defined]  # the first layer is dense
    np.testing.assert_array_equal(W[:, 2:], -W[:, :2])


@pytest.mark.parametrize(
    ("units", "negatives", "message"),
    [(6, False, "makes at most 5 filters, not 6"), (12, True, "at most 2 x 5 = 10, not 12"), (3, True, "not 3")],
)
def test_more_filters_than_there_are_components_is_an_error(units: int, negatives: bool, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        whitened(units, examples(), negatives)


def test_the_data_is_led_no_further_than_the_last_layer_that_starts_from_it() -> None:
    layers = [Dense(4), Dense(3, bias=False, weight_init=Whitening(negatives=False)), Dense(2)]
    network = Network(layers, (5,))
    network.initialize(RandomStreams(0), np.float64)
    x = examples()
    network.fit_to(x)
    y = network.forward(x)
    W = layers[1].W
    hidden = layers[0].forward(x, training=False)
    np.testing.assert_allclose(np.linalg.norm((hidden @ W).T @ hidden @ W / len(x) - np.eye(3)), 0, atol=1e-2)
    assert y.shape == (500, 2)


def test_a_layer_keeps_no_memory_for_data_that_only_its_weights_were_fitted_to() -> None:
    network = whitened(3, examples())
    assert network.layers[0].buffers.nbytes == 0


def test_a_kernel_larger_than_its_images_has_no_patches_to_whiten() -> None:
    with pytest.raises(ShapeError, match="patches of 5 x 5 pixels, but the images have 4 x 4"):
        Network([Conv(8, kernel=5, weight_init=Whitening())], (4, 4, 16))
