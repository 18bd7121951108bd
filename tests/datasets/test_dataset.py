from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nnscratch.datasets.dataset import Dataset
from nnscratch.errors import DataError

IMAGES = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 1)
LABELS = np.array([0, 1])
CLASSES = ("cat", "dog")


def make(
    inputs: np.ndarray = IMAGES,
    targets: np.ndarray = LABELS,
    test_inputs: np.ndarray | None = None,
    test_targets: np.ndarray | None = None,
    classes: tuple[str, ...] | None = CLASSES,
) -> Dataset:
    return Dataset("mine", inputs, targets, test_inputs, test_targets, classes, "nowhere")


def test_the_digest_is_the_sha256_of_shapes_types_and_bytes() -> None:
    # Recomputed by hand: sha256(b"(2, 4, 4, 1) |u1;" + images + b"(2,) <i8;" + labels + b"none;none;")
    import hashlib

    expected = hashlib.sha256(b"(2, 4, 4, 1) |u1;" + IMAGES.tobytes() + b"(2,) <i8;" + LABELS.tobytes() + b"none;none;")
    assert make().digest() == expected.hexdigest()


def test_the_digest_changes_with_a_pixel_a_label_a_shape_and_a_test_split() -> None:
    other = IMAGES.copy()
    other[0, 0, 0, 0] += 1
    digests = {
        make().digest(),
        make(inputs=other).digest(),
        make(targets=np.array([1, 0])).digest(),
        make(inputs=IMAGES.reshape(2, 2, 8, 1)).digest(),
        make(test_inputs=IMAGES, test_targets=LABELS).digest(),
    }
    assert len(digests) == 5


def test_the_digest_does_not_depend_on_the_memory_order() -> None:
    assert make(inputs=np.asfortranarray(IMAGES)).digest() == make().digest()


def test_regression_has_as_many_outputs_as_target_columns() -> None:
    dataset = make(np.zeros((2, 5), np.float32), np.zeros((2, 3), np.float32), classes=None)
    assert (dataset.task, dataset.outputs, dataset.input_shape) == ("regression", 3, (5,))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"inputs": IMAGES[:0], "targets": LABELS[:0]}, "the training split is empty"),
        ({"targets": LABELS[:1]}, "2 inputs but 1 targets"),
        ({"inputs": IMAGES.astype(np.float64)}, "training inputs are float64"),
        ({"inputs": np.full((2, 3), np.nan, np.float32)}, "NaN or infinity"),
        ({"inputs": np.zeros((2, 0), np.float32)}, "hold no values"),
        ({"targets": np.array([0, 2])}, "training label 2 is outside 0..1"),
        ({"targets": np.array([0, -1])}, "training label -1 is outside 0..1"),
        ({"targets": np.array([0.0, 1.0])}, "labels are int64"),
        ({"test_inputs": IMAGES}, "come together or not at all"),
        ({"test_inputs": IMAGES[:0], "test_targets": LABELS[:0]}, "the test split is empty"),
        ({"test_inputs": IMAGES.reshape(2, 2, 8, 1), "test_targets": LABELS}, "a test example"),
        ({"classes": None}, "regression targets are float32"),
        ({"classes": None, "targets": np.full((2, 1), np.inf, np.float32)}, "targets hold NaN or infinity"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        make(**changes)  # type: ignore[arg-type]  # wrong arguments are meant


def test_a_validation_split_of_the_datas_own_is_checked_and_part_of_the_digest() -> None:
    plain = make()
    apart = replace(plain, validation_inputs=IMAGES, validation_targets=LABELS)
    assert apart.digest() != plain.digest()
    with pytest.raises(DataError, match="validation inputs and validation targets come together"):
        replace(plain, validation_inputs=IMAGES)
    with pytest.raises(DataError, match="validation label 2 is outside"):
        replace(plain, validation_inputs=IMAGES, validation_targets=LABELS + 1)
