"""Augmentations: what they do to pixels, that they repeat, and that they do not touch the data set."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from nnscratch.component import catalogue
from nnscratch.config.assembly import prepare
from nnscratch.config.config import config_from_mapping
from nnscratch.errors import ConfigError
from nnscratch.host.display import Display
from nnscratch.host.workplace import Workplace
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.losses import CrossEntropy
from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training.augmentation.augmentation import Augmentation
from nnscratch.training.augmentation.changes import ColourJitter, Cutout, Mixup, Rotation
from nnscratch.training.augmentation.movements import AlternatingFlip, Flip, Translate, reflected
from nnscratch.training.batches import TrainingBatches
from nnscratch.training.examples import Examples
from nnscratch.training.scaling import affine

EVERY: list[Augmentation] = [
    Flip(),
    AlternatingFlip(),
    Translate(2),
    Cutout(3),
    ColourJitter(),
    Rotation(20),
    Mixup(0.5),
]


def images(N: int = 40, size: int = 6, channels: int = 3) -> Array:
    return np.random.default_rng(0).integers(0, 256, (N, size, size, channels), np.uint8)


def augmented(inputs: Array, *augmentations: Augmentation, epoch: int = 0, seed: int = 1) -> tuple[Array, Array]:
    """All inputs as one batch, in their own order again."""
    targets = np.arange(len(inputs)) % 4
    examples, streams = Examples.all_of(inputs, targets), RandomStreams(seed)
    batches = TrainingBatches(examples, affine(1.0, 0.0), len(inputs), streams, augmentations, classes=4)
    x, t = batches.batch(epoch, 0)
    back = np.argsort(batches.order(epoch))
    return x[back], t[back]


def test_every_augmentation_has_a_test_here() -> None:
    assert {type(each) for each in EVERY} == set(catalogue(Augmentation).values())


@pytest.mark.parametrize("augmentation", EVERY, ids=lambda each: each.name)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_seed_and_epoch_give_the_same_batch_and_the_data_stay(
    augmentation: Augmentation, channels: int
) -> None:
    inputs = images(channels=channels)
    before = inputs.copy()
    first, again = (augmented(inputs, augmentation) for _ in range(2))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    other = augmented(inputs, augmentation, epoch=1)
    assert not np.array_equal(first[0], other[0])
    assert np.array_equal(inputs, before)


def test_flip_mirrors_about_half_of_the_images_and_nothing_else() -> None:
    inputs = images(1000)
    x, _ = augmented(inputs, Flip())
    same = (x == inputs).all(axis=(1, 2, 3))
    mirrored = (x == inputs[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 420 < mirrored.sum() < 580


def test_flip_with_probability_one_mirrors_every_image() -> None:
    inputs = images()
    assert np.array_equal(augmented(inputs, Flip(1.0))[0], inputs[:, :, ::-1])


def test_alternating_flip_shows_every_image_both_ways_in_two_epochs() -> None:
    inputs = images(1000)
    epochs = [augmented(inputs, AlternatingFlip(), epoch=epoch)[0] for epoch in range(3)]
    np.testing.assert_array_equal(epochs[0], epochs[1][:, :, ::-1])
    np.testing.assert_array_equal(epochs[0], epochs[2])
    mirrored = (epochs[0] != inputs).any(axis=(1, 2, 3))
    assert 420 < mirrored.sum() < 580


def test_translate_is_a_crop_of_the_image_padded_with_its_reflection() -> None:
    inputs = images(200)
    x, _ = augmented(inputs, Translate(2))
    padded = np.pad(inputs, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    seen = set()
    for image, wide in zip(x, padded, strict=True):
        found = [
            (down, across)
            for down in range(5)
            for across in range(5)
            if np.array_equal(image, wide[down : down + 6, across : across + 6])
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) == 25


def test_reflection_leads_back_as_by_mirrors_at_the_edges() -> None:
    assert reflected(np.arange(-4, 9), 4).tolist() == [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert reflected(np.arange(-2, 3), 1).tolist() == [0, 0, 0, 0, 0]


def test_flip_and_translate_together_are_still_one_of_fifty_views() -> None:
    inputs = images(50)
    x, _ = augmented(inputs, Translate(2), Flip())
    padded = np.pad(inputs, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    for image, wide in zip(x, padded, strict=True):
        crops = [wide[i : i + 6, j : j + 6] for i in range(5) for j in range(5)]
        assert any(np.array_equal(image, crop) or np.array_equal(image, crop[:, ::-1]) for crop in crops)


def test_a_hole_larger_than_the_images_is_a_problem_of_the_config(tmp_path: Path) -> None:
    def prepared(size: int) -> object:
        data = {"dataset": {"name": "shapes", "train": 20, "test": 5}, "augment": ["flip", {"cutout": size}]}
        config = config_from_mapping({"name": "c", "data": data, "model": {"hidden_layers": []}})
        assembly = prepare(config, Workplace(tmp_path, tmp_path, threads=1), Display(quiet=True))
        return assembly.recipe()

    prepared(32)
    with pytest.raises(ConfigError, match=r"data\.augment\.1: a hole of 33 x 33 pixels in images of 32 x 32"):
        prepared(33)


def test_cutout_zeroes_one_square_that_may_reach_over_the_edge() -> None:
    x, _ = augmented(np.full((500, 8, 8, 3), 7, np.uint8), Cutout(4))
    holes = (x == 0).all(axis=3).sum(axis=(1, 2))
    assert set(np.unique(x)) == {0, 7}
    assert holes.max() == 16
    assert holes.min() == 4  # a corner


def test_colour_jitter_changes_mean_and_contrast_within_its_limits() -> None:
    inputs = images(300)
    x, _ = augmented(inputs, ColourJitter(brightness=5.0, contrast=0.0, saturation=0.0))
    shift = x - inputs
    assert np.ptp(shift, axis=(1, 2, 3)).max() < 1e-3
    assert 4 < np.abs(shift).max() <= 5.001
    x, _ = augmented(inputs, ColourJitter(brightness=0.0, contrast=0.5, saturation=0.0))
    ratio = x.std(axis=(1, 2, 3)) / inputs.std(axis=(1, 2, 3))
    assert 0.5 <= ratio.min() < 0.6
    assert 1.4 < ratio.max() <= 1.5
    np.testing.assert_allclose(x.mean(axis=(1, 2, 3)), inputs.mean(axis=(1, 2, 3)), rtol=1e-5)


def test_full_loss_of_saturation_makes_an_image_grey_and_keeps_its_brightness() -> None:
    inputs = images(100)
    x, _ = augmented(inputs, ColourJitter(brightness=0.0, contrast=0.0, saturation=1.0))
    np.testing.assert_allclose(x.mean(axis=3), inputs.mean(axis=3), rtol=1e-4)
    spread = np.ptp(x, axis=3).mean(axis=(1, 2)) / np.ptp(inputs, axis=3).mean(axis=(1, 2))
    assert spread.min() < 0.1
    assert spread.max() < 2.001


def test_rotation_keeps_the_centre_and_a_constant_image() -> None:
    x, _ = augmented(np.full((20, 7, 7, 1), 9, np.uint8), Rotation(90))
    np.testing.assert_allclose(x, 9, rtol=1e-6)
    inputs = images(20, 7)
    x, _ = augmented(inputs, Rotation(45))
    np.testing.assert_allclose(x[:, 3, 3], inputs[:, 3, 3], rtol=1e-4)


def test_rotation_moves_a_point_along_its_circle() -> None:
    inputs = np.zeros((200, 21, 21, 1), np.uint8)
    inputs[:, 10, 15] = 200
    x, _ = augmented(inputs, Rotation(30))
    total = x.sum(axis=(1, 2, 3))
    i, j = np.arange(21)[:, None], np.arange(21)
    down = (x[..., 0] * i).sum(axis=(1, 2)) / total - 10
    across = (x[..., 0] * j).sum(axis=(1, 2)) / total - 10
    angle = np.rad2deg(np.arctan2(down, across))
    assert np.abs(np.hypot(down, across) - 5).max() < 0.3
    assert -32 < angle.min() < -24
    assert 24 < angle.max() < 32


def test_mixup_mixes_images_and_labels_alike() -> None:
    inputs = np.zeros((400, 2, 2, 1), np.uint8)
    inputs[:, 0, 0, 0] = np.where(np.arange(400) % 4 == 2, 100, 0)  # marks class 2
    x, t = augmented(inputs, Mixup(1.0))
    assert t.shape == (400, 4)
    np.testing.assert_allclose(t.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(x[:, 0, 0, 0] / 100, t[:, 2], atol=1e-5)
    assert (t.max(axis=1) < 0.9).any()


def test_cross_entropy_of_a_distribution_is_the_mixture_of_those_of_its_labels() -> None:
    loss = CrossEntropy(label_smoothing=0.1, class_weights=(1.0, 2.0, 3.0))
    loss.prepare(np.arange(3), 3)
    y = np.random.default_rng(0).standard_normal((2, 3))
    t = np.array([[0.3, 0.7, 0.0], [0.0, 0.0, 1.0]])
    unweighted = CrossEntropy(label_smoothing=0.1)
    parts = unweighted.per_example(y[[0, 0, 1]], np.array([0, 1, 2]))
    value, dy = unweighted(y, t)
    assert value == pytest.approx((0.3 * parts[0] + 0.7 * parts[1] + parts[2]) / 2)
    hard_value, hard_dy = loss(y, np.array([1, 2]))
    hard_dy = hard_dy.copy()
    value, dy = loss(y, np.eye(3)[[1, 2]])
    assert value == pytest.approx(hard_value)
    np.testing.assert_allclose(dy, hard_dy, atol=1e-12)
    step = 1e-6
    moved = y.copy()
    moved[0, 1] += step
    dy = loss(y, t)[1].copy()
    assert (loss(moved, t)[0] - loss(y, t)[0]) / step == pytest.approx(dy[0, 1], rel=1e-4)


def test_flip_and_translate_of_a_large_batch_are_quick() -> None:
    inputs = images(1024, 32)
    examples, augmentations = Examples.all_of(inputs, np.zeros(1024, np.int64)), [AlternatingFlip(), Translate(2)]
    batches = TrainingBatches(examples, affine(1 / 255, 0.0), 1024, RandomStreams(0), augmentations)
    times = []
    for _ in range(5):
        started = time.process_time()  # of this process alone: others may be busy
        batches.batch(0, 0)
        times.append(time.process_time() - started)
    assert min(times) < 0.1  # about 0.01
