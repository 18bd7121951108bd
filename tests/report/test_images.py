"""Sample predictions, first-layer weights and weight histograms."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle
from PIL import Image

from nnscratch.report.samples import as_rgb, image_png, predictions
from nnscratch.report.weights import filter_images, first_layer_weights, tile, weight_histograms


def test_right_and_wrong_predictions_differ_in_words_sign_and_frame(sample: dict[str, Any], tmp_path: Path) -> None:
    figure = predictions(**sample, path=tmp_path / "predictions.png")
    axes = figure.axes[0]
    assert len(axes.images) == len(axes.texts) == 32
    wrong, right = (axes.texts[index].get_text() for index in (0, 1))
    names, sure = sample["classes"], [f"{100 * part:.0f} % sure" for part in sample["confidence"]]
    assert wrong.split("\n") == [f"✗ {names[sample['predicted'][0]]}", sure[0], f"is {names[sample['true'][0]]}"]
    assert right.split("\n") == [f"✓ {names[sample['predicted'][1]]}", sure[1]]
    frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert frames[0].get_linewidth() > frames[1].get_linewidth()
    assert frames[0].get_linestyle() != frames[1].get_linestyle()
    assert figure.get_suptitle() == "21 of these 32 right"


@pytest.mark.parametrize("channels", [0, 1, 3])
def test_a_few_grey_or_coloured_images_are_drawn(channels: int, tmp_path: Path) -> None:
    shape = (3, 28, 28) if channels == 0 else (3, 28, 28, channels)
    figure = predictions(np.full(shape, 9, np.uint8), [0, 1, 0], [0, 1, 0], [1, 1, 0.5], ["a", "b"], tmp_path / "p.png")
    assert np.asarray(figure.axes[0].images[0].get_array()).shape == (28, 28, 3)


def test_lists_of_different_lengths_are_refused(sample: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every image needs"):
        predictions(**{**sample, "true": [1]}, path=tmp_path / "p.png")


def test_an_embedded_image_keeps_every_pixel(sample: dict[str, Any]) -> None:
    with Image.open(io.BytesIO(image_png(sample["images"][0]))) as image:
        np.testing.assert_array_equal(np.asarray(image), sample["images"][0])


def test_unusual_depths_become_grey() -> None:
    image = np.stack([np.full((2, 2), 10), np.full((2, 2), 30)], axis=-1).astype(np.uint8)
    np.testing.assert_array_equal(as_rgb(image), np.full((2, 2, 3), 20))


def test_a_zero_weight_is_mid_grey_and_the_largest_is_white_or_black() -> None:
    W = np.array([[0.0, 2.0], [1.0, 0.0], [-0.5, -4.0], [0.0, 0.0]])
    images = filter_images(W, (2, 2, 1))
    np.testing.assert_allclose(images[..., 0], [[[0.5, 1.0], [0.25, 0.5]], [[0.75, 0.5], [0.0, 0.5]]])


def test_kernels_and_dense_weights_give_the_same_images() -> None:
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 8))
    np.testing.assert_array_equal(filter_images(kernel, (32, 32, 3)), filter_images(kernel.reshape(27, 8), (3, 3, 3)))


def test_weights_that_are_no_image_are_refused() -> None:
    with pytest.raises(ValueError, match="10 inputs are no image of 2 x 2 x 3"):
        filter_images(np.zeros((10, 4)), (2, 2, 3))
    with pytest.raises(ValueError, match="neither dense nor a convolution"):
        filter_images(np.zeros(10), (2, 5))


def test_tiles_stand_row_by_row_with_white_between() -> None:
    canvas = tile(np.zeros((3, 4, 4, 1)), columns=2)
    assert canvas.shape == (10, 10, 1)
    assert canvas[:4, :4].max() == canvas[6:, :4].max() == 0.0
    assert canvas[4:6].min() == canvas[6:, 6:].min() == 1.0


def test_the_strongest_units_are_shown_first(tmp_path: Path) -> None:
    W = np.ones((4, 200)) * np.arange(1, 201)
    W[0] *= -1
    figure = first_layer_weights(W, (2, 2, 1), tmp_path / "first.png")
    assert figure.get_suptitle() == "First layer: the 96 strongest of 200 units"


def test_histograms_show_each_array_before_and_after(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    before = {"0.dense.weight": rng.normal(0, 1, (50, 40)), "0.dense.bias": np.zeros(40)}
    after = {name: array + rng.normal(0, 0.1, array.shape) for name, array in before.items()}
    after["0.dense.bias"][:2] = np.nan
    figure = weight_histograms(before, after, tmp_path / "weights.png")
    assert [axes.get_title("left") for axes in figure.axes] == ["0.dense.weight", "0.dense.bias"]
    assert [len(axes.patches) for axes in figure.axes] == [2, 1]
    (start,) = figure.axes[1].collections  # biases start at 0: a line there, not a bar beside it
    assert isinstance(start, LineCollection)
    np.testing.assert_array_equal(start.get_segments()[0], [[0.0, 0.0], [0.0, 1.0]])
    assert figure.axes[0].texts[0].get_text() == f"std {before['0.dense.weight'].std():.2g} → 1"
    assert "2 not finite" in figure.axes[1].texts[0].get_text()


def test_of_very_many_arrays_the_matrices_are_shown(tmp_path: Path) -> None:
    arrays = {f"{index}.{name}": np.ones(shape) for index in range(20) for name, shape in (("W", (2, 2)), ("b", (2,)))}
    figure = weight_histograms({}, arrays, tmp_path / "weights.png")
    titles = [axes.get_title("left") for axes in figure.axes]
    assert len(titles) == 24
    assert sum(title.endswith("W") for title in titles) == 20
    assert figure.get_suptitle().endswith("(16 more not shown)")
