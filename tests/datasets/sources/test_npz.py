from __future__ import annotations

import zipfile
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.sources.npz import NPZ
from nnscratch.datasets.sources.own_data import TrainedOn, labels_from
from nnscratch.errors import ConfigError, DataError

IMAGES = np.arange(10 * 4 * 4, dtype=np.uint8).reshape(10, 4, 4)
LABELS = np.arange(10) % 2


def load(tmp_path: Path, arrays: dict[str, np.ndarray], source: NPZ | None = None) -> Dataset:
    np.savez(tmp_path / "mine.npz", allow_pickle=True, **arrays)
    return (source or NPZ(test=0)).load(tmp_path, tmp_path / "mine.npz", print)


def test_images_without_channels_get_one(tmp_path: Path) -> None:
    dataset = load(tmp_path, {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:2], "y_test": LABELS[:2]})
    assert np.array_equal(dataset.train_inputs, IMAGES[..., np.newaxis])
    assert dataset.classes == ("0", "1")
    assert dataset.test_targets is not None
    assert dataset.test_targets.tolist() == [0, 1]


@pytest.mark.parametrize("keys", [("x", "y"), ("X", "y"), ("images", "labels"), ("x_train", "y_train")])
def test_common_names_are_understood_and_a_test_split_is_held_out(tmp_path: Path, keys: tuple[str, str]) -> None:
    dataset = load(tmp_path, {keys[0]: IMAGES, keys[1]: LABELS}, NPZ(test=0.2))
    assert dataset.test_targets is not None
    assert sorted(dataset.test_targets.tolist()) == [0, 1]
    assert len(dataset.train_inputs) == 8


def test_features_and_float_targets_are_regression(tmp_path: Path) -> None:
    dataset = load(tmp_path, {"x": np.ones((4, 3)), "y": np.arange(4) / 2})
    assert (dataset.task, dataset.outputs) == ("regression", 1)
    assert dataset.train_inputs.dtype == np.float32


def test_text_labels_and_class_names(tmp_path: Path) -> None:
    assert load(tmp_path, {"x": np.ones((3, 2)), "y": np.array(["b", "a", "b"])}).classes == ("a", "b")
    named = load(tmp_path, {"x": np.ones((2, 2)), "y": np.array([2, 0]), "classes": np.array(["x", "y", "z"])})
    assert named.classes == ("x", "y", "z")
    assert named.train_targets.tolist() == [2, 0]


def test_labels_and_class_names_of_bytes_are_text(tmp_path: Path) -> None:
    labels = np.array([b"cat", "ä".encode(), b"cat"])
    splits = {"x_train": np.ones((3, 2)), "y_train": labels, "x_test": np.ones((1, 2)), "y_test": np.array(["ä"])}
    dataset = load(tmp_path, splits)
    assert dataset.classes == ("cat", "ä")
    assert dataset.test_targets is not None
    assert dataset.test_targets.tolist() == [1]
    named = load(tmp_path, {"x": np.ones((2, 2)), "y": np.array([1, 0]), "classes": np.array([b"cat", b"dog"])})
    assert named.classes == ("cat", "dog")


@pytest.mark.parametrize("key", ["y", "classes"])
def test_bytes_that_are_not_utf_8_are_refused(tmp_path: Path, key: str) -> None:
    arrays = {"x": np.ones((2, 2)), "y": np.array([0, 1]), key: np.array([b"cat", b"caf\xe9"])}
    with pytest.raises(DataError, match=rf"mine\.npz: {key} holds b'caf\\xe9', which is not UTF-8 text"):
        load(tmp_path, arrays)


def test_labels_in_a_column_are_flattened(tmp_path: Path) -> None:
    assert load(tmp_path, {"x": IMAGES, "y": LABELS[:, np.newaxis]}).train_targets.tolist() == LABELS.tolist()


def test_how_another_split_is_taken_is_told_where_it_is_not_as_training_is(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", x=COLOUR, y=LABELS, x_test=np.moveaxis(COLOUR, -1, 1) / 255, y_test=LABELS)
    dataset = NPZ().load(tmp_path, tmp_path / "mine.npz", lambda _: None)
    np.testing.assert_array_equal(dataset.train_inputs, dataset.test_inputs)
    told = [f"{each.what}: {each.taken}" for each in dataset.description.guesses]
    assert "channel order: of test first (N, C, H, W)" in told
    assert any(each.startswith("pixels: of test float64, 1 becomes 255") for each in told)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"x": IMAGES}, r"no array with the train targets .* it holds x"),
        ({"pixels": IMAGES, "y": LABELS}, r"no array with the train inputs .* it holds pixels, y"),
        ({"x": IMAGES, "y": LABELS[:3]}, "10 inputs but 3 targets"),
        ({"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES}, "come together or not at all"),
        ({"x": IMAGES.astype(np.float32) - 9, "y": LABELS}, r"inputs are float32 of shape \(10, 4, 4\) from -9 to 150"),
        ({"x": IMAGES, "y": np.ones((10, 3), np.int64)}, r"is not one-hot(.|\n)*y = y\.argmax\(axis=1\)"),
        ({"x": IMAGES.transpose(1, 2, 0), "y": LABELS}, r"4 inputs but 10 targets(.|\n)*numpy\.moveaxis\(x, -1, 0\)"),
        (
            {"x": IMAGES / np.nan, "y": LABELS},
            r"NaN or infinity(.|\n)*x = numpy\.nan_to_num\(x, nan=0, posinf=0, neginf=0\)",
        ),
        ({"x": np.stack([IMAGES, IMAGES])[:, None], "y": LABELS[:2]}, r"x = x\.reshape\(len\(x\), -1\)"),
        ({"x": np.zeros(10, [("a", "f4"), ("b", "i4")]), "y": LABELS}, "structured_to_unstructured"),
        ({"x": IMAGES / 255, "y": LABELS, "x_test": IMAGES * 1.0, "y_test": LABELS}, "different ranges: x 0 to 0.62"),
        (
            {"x": IMAGES / 127.5 - 0.9, "y": LABELS, "x_test": IMAGES * 1.0, "y_test": LABELS},
            r"different ranges: x -0\.9 to 0\.3(.|\n)*\(x - low\) / \(high - low\) \* 255\)\.clip\(0, 255\)",
        ),
        (
            {"x": IMAGES / 255 - 1, "y": LABELS},
            r"no negative values(.|\n)*low and high the least and the largest of x_train for every split",
        ),
        ({"x": IMAGES, "y": np.int64(3)}, "labels are one per example"),
        ({"x": np.full((10, 2), np.nan), "y": LABELS}, r"NaN or infinity(.|\n)*x = numpy\.where\(numpy\.isfinite"),
        ({"x": 10**9 + np.arange(20).reshape(10, 2), "y": LABELS}, r"32 bits lack(.|\n)*x = x - numpy\.median"),
        ({"x": IMAGES, "y": LABELS[np.newaxis]}, r"y = y\.ravel\(\)"),
        (
            {"x": np.ones((99, 2)), "y": np.array([f"{row}" for row in range(99)])},
            "99 different.*most of them num",
        ),
        ({"x": IMAGES, "y": np.array([None] * 10)}, r"save y = numpy\.array\(y\.tolist\(\)\)"),
        ({"x": np.full((10, 2), 1e300), "y": LABELS}, "NaN or infinity"),
        ({"x": IMAGES[:0], "y": LABELS[:0]}, "is empty"),
        (
            {"x": IMAGES, "y": LABELS + 5, "classes": np.array(["a", "b"])},
            "label 6 is outside 0..1, as there are 2 class names",
        ),
        ({"x": IMAGES, "y": LABELS, "x_test": IMAGES, "y_test": LABELS + 1}, "class '2' of the test targets"),
        ({"x": np.array([object()]), "y": LABELS}, "refused: an array of object holds pickled Python objects"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        load(tmp_path, arrays)
    assert "mine.npz" in str(caught.value)


COLOUR = np.random.default_rng(0).integers(0, 256, (10, 6, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("shape", "taken", "example"),
    [
        ((10, 5, 16, 16), "first (N, C, H, W)", (16, 16, 5)),
        ((10, 16, 16, 5), "last (N, H, W, C)", (16, 16, 5)),
        ((10, 6, 8, 5), "last (N, H, W, C)", (6, 8, 5)),
        ((10, 8, 8, 8), "last (N, H, W, C)", (8, 8, 8)),
    ],
)
def test_where_other_numbers_of_channels_stand_is_guessed_by_square_pictures_and_said(
    tmp_path: Path, shape: tuple[int, ...], taken: str, example: tuple[int, ...]
) -> None:
    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    dataset = load(tmp_path, {"x": x, "y": LABELS})
    assert dataset.train_inputs.shape[1:] == example
    assert f"channel order: {taken} (x has shape {shape})" in dataset.notes


@pytest.mark.parametrize(
    ("saved", "white", "told"),
    [
        (np.moveaxis(COLOUR, -1, 1), None, "channel order: first (N, C, H, W) (x has shape (10, 3, 6, 5))"),
        (COLOUR.astype(np.int64), 255, "pixels: int64, rounded to bytes (x holds 0 to 255)"),
        (COLOUR.astype(np.float32), 255, "pixels: float32, rounded to bytes (x holds 0 to 255)"),
        (COLOUR / 255, 1, "pixels: float64, 1 becomes 255 (x holds 0 to 1)"),
        (np.round(COLOUR / 255 * 4095).astype(np.uint16), 4095, "pixels: uint16, 4095 becomes 255 (x holds 0 to 4095)"),
        (np.asfortranarray(COLOUR), None, None),
        (COLOUR / 255 * 16, 16, "pixels: float64, 16 becomes 255 (x holds 0 to 16)"),
        (np.moveaxis(COLOUR / 255, -1, 1).astype(np.float32), 1, "pixels: float32, 1 becomes 255 (x holds 0 to 1)"),
        (COLOUR / 254.9, 1, "pixels: float64, 1 becomes 255, and so does what is above it (x holds 0 to 1.00039"),
        (COLOUR * 1.0000001, 255, "rounded to bytes, and so does what is above it (x holds 0 to 255.00002"),
        (COLOUR / 255 * 3, 3, "pixels: float64, 3 becomes 255 (x holds 0 to 3)"),
    ],
)
def test_pixels_are_taken_in_whatever_order_type_and_range_they_are_saved(
    tmp_path: Path, saved: np.ndarray, white: float | None, told: str | None
) -> None:
    dataset = load(tmp_path, {"x": saved, "y": LABELS})
    assert np.array_equal(dataset.train_inputs, COLOUR)
    assert dataset.white == white
    assert told is None or any(told in note for note in dataset.notes)


FEW = np.arange(10 * 6 * 5, dtype=np.uint8).reshape(10, 6, 5) % 17


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("white", [1, 16])
def test_few_greys_are_the_same_pixels_in_every_type(tmp_path: Path, kind: type[np.generic], white: int) -> None:
    few = np.minimum(FEW, white)
    dataset = load(tmp_path, {"x": few.astype(kind), "y": LABELS, "x_val": few[:3] * 0, "y_val": LABELS[:3]})
    assert np.array_equal(dataset.train_inputs[..., 0], np.rint(few * (255 / white)))
    assert dataset.white == white
    assert f"pixels: {np.dtype(kind)}, {white} becomes 255 (x holds 0 to {white})" in dataset.notes


def test_dark_bytes_are_dark_where_another_split_is_bright(tmp_path: Path) -> None:
    dataset = load(tmp_path, {"x": FEW, "y": LABELS, "x_val": FEW * 15, "y_val": LABELS})
    assert np.array_equal(dataset.train_inputs[..., 0], FEW)
    assert dataset.white is None


@pytest.mark.parametrize(
    ("train", "val", "white", "val_white"),
    [
        (FEW.astype(np.int64) * 15, FEW, 255, 255),
        (FEW * 15, FEW.astype(np.int64), None, 255),
        (FEW.astype(np.float32), FEW, 16, 16),
        (FEW > 8, np.minimum(FEW, 1), 1, 1),
        (FEW / 16, FEW * 15, 1, 255),
        (FEW * 0.75, FEW.clip(0, 12), 12, 12),
        (FEW.astype(np.uint16) * 255, FEW, 4095, 255),
        (FEW * 0.0749, FEW * 0.065, 16 * 0.0749, 16 * 0.0749),
        (FEW * 0.77, FEW * 0.065, 16 * 0.77, 16 * 0.77),
    ],
)
def test_all_splits_of_a_file_have_one_white_whatever_their_types(
    tmp_path: Path, train: np.ndarray, val: np.ndarray, white: float | None, val_white: float
) -> None:
    dataset = load(tmp_path, {"x_train": train, "y_train": LABELS, "x_val": val, "y_val": LABELS})
    assert dataset.white == white
    assert np.array_equal(dataset.train_inputs[..., 0], np.rint(train * (255 / (white or 255))))
    assert dataset.validation_inputs is not None
    assert np.array_equal(dataset.validation_inputs[..., 0], np.rint(val * (255 / val_white)))


@pytest.mark.parametrize("val", [np.minimum(FEW, 1), np.minimum(FEW, 1).astype(np.int64), FEW / 16, FEW * 0.065])
def test_fractions_beside_numbers_of_bytes_are_refused_whatever_their_type(tmp_path: Path, val: np.ndarray) -> None:
    train = FEW.astype(np.int64) * 15
    with pytest.raises(DataError, match=r"the splits hold pixels of different ranges: x_"):
        load(tmp_path, {"x_train": train, "y_train": LABELS, "x_val": val, "y_val": LABELS})


@pytest.mark.parametrize(
    ("train", "val", "white"),
    [
        (FEW > 8, np.minimum(FEW, 1), 1),
        (FEW.astype(np.float32), FEW, 16),
        (FEW * 15, FEW.astype(np.int64), None),
        (FEW * 0.77, FEW, 16),
    ],
)
def test_a_run_of_before_reads_each_type_of_array_by_itself_and_a_run_of_now_does_not(
    tmp_path: Path, train: np.ndarray, val: np.ndarray, white: float | None
) -> None:
    np.savez(tmp_path / "mine.npz", x_train=train, y_train=LABELS, x_val=val, y_val=LABELS)

    def read(trained_on: TrainedOn | None) -> Dataset:
        return NPZ(test=0).load(tmp_path, tmp_path / "mine.npz", print, trained_on=trained_on)

    before, now = read(TrainedOn(white=white)), read(None)
    assert before.white == white
    assert before.validation_inputs is not None
    assert np.array_equal(
        before.validation_inputs[..., 0], val * 1 if val.dtype == np.uint8 else np.rint(val * 255 / 16)
    )
    assert read(TrainedOn(white=before.white, one_white=before.one_white)).digest() == before.digest()
    assert read(TrainedOn(white=now.white, one_white=now.one_white)).digest() == now.digest() != before.digest()


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_pictures_without_a_pixel_are_named(tmp_path: Path, kind: type[np.generic]) -> None:
    with pytest.raises(DataError, match=r"training inputs of shape \(10, 0, 8, 1\) hold no values"):
        load(tmp_path, {"x": np.zeros((10, 0, 8), kind), "y": LABELS})


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    ("saved", "before", "now"), [(FEW, None, 16), (COLOUR / 254.9, 16, 1), (FEW * 1.0, 16, 16), (COLOUR, None, None)]
)
def test_a_run_of_before_reads_its_arrays_as_it_was_trained(
    tmp_path: Path, saved: np.ndarray, before: float | None, now: float | None, in_memory: bool
) -> None:
    np.savez(tmp_path / "mine.npz", x=saved, y=LABELS)

    def read(trained_on: TrainedOn | None) -> tuple[float, float | None]:
        data = NPZ(test=0).load(tmp_path, tmp_path / "mine.npz", print, in_memory=in_memory, trained_on=trained_on)
        return int(data.train_inputs.max()), data.white

    assert read(None) == (255, now)
    assert read(TrainedOn(white=now)) == (255, now)
    assert read(TrainedOn(white=before)) == (round(float(saved.max()) * 255 / (before or 255)), before)


@pytest.mark.parametrize(
    ("saved", "classes", "told"),
    [
        (np.eye(3)[LABELS * 2], ("0", "1", "2"), "targets: one-hot rows, 3 classes (y has shape (10, 3))"),
        (np.eye(3, dtype=bool)[LABELS * 2], ("0", "1", "2"), "targets: one-hot rows, 3 classes (y has shape (10, 3))"),
        (LABELS * 2.0, ("0", "2"), "task: classification (y holds 2 whole numbers)"),
        (LABELS * 2 - 1, ("-1", "1"), "task: classification (y holds 2 whole numbers)"),
        (LABELS * 2.0 - 1, ("-1", "1"), "task: classification (y holds 2 whole numbers)"),
        (LABELS == 1, ("0", "1"), "task: classification (y holds true and false)"),
        (LABELS.astype(np.uint16)[:, np.newaxis], ("0", "1"), "task: classification (y holds 2 whole numbers)"),
    ],
)
def test_labels_are_taken_in_whatever_form_they_are_saved(
    tmp_path: Path, saved: np.ndarray, classes: tuple[str, ...], told: str
) -> None:
    dataset = load(tmp_path, {"x": IMAGES, "y": saved})
    assert dataset.classes == classes
    assert [classes[label] for label in dataset.train_targets] == [classes[-1] if one else classes[0] for one in LABELS]
    assert told in dataset.notes
    assert load(tmp_path, {"x": IMAGES, "y": saved}, NPZ(task="regression", test=0)).task == "regression"


def test_labels_that_count_from_one_fit_as_many_names(tmp_path: Path) -> None:
    dataset = load(tmp_path, {"x": IMAGES, "y": LABELS + 1, "classes": np.array(["cat", "dog"])})
    assert (dataset.classes, dataset.train_targets.tolist()) == (("cat", "dog"), LABELS.tolist())
    assert "labels: 1 is cat (y counts from 1 to 2, and there are 2 names)" in dataset.notes
    by_name: dict[str, np.ndarray] = {
        "x": IMAGES,
        "y": np.array(["dog", "cat"])[LABELS],
        "classes": np.array(["cat", "dog"]),
    }
    assert load(tmp_path, by_name).train_targets.tolist() == (1 - LABELS).tolist()


def test_many_whole_numbers_are_a_quantity_as_in_a_table(tmp_path: Path) -> None:
    dataset = load(tmp_path, {"x": np.ones((100, 2)), "y": np.arange(100) * 3})
    assert dataset.task == "regression"
    assert "task: regression (y holds 100 different whole numbers in 100 rows)" in dataset.notes


def test_large_targets_keep_the_digits_that_differ(tmp_path: Path) -> None:
    targets = 10**9 + np.arange(100)
    dataset = load(tmp_path, {"x": np.ones((100, 2)), "y": targets}, NPZ(test=0))
    assert dataset.train_targets[:, 0].tolist() == targets.tolist()


def test_a_validation_split_in_the_file_is_the_validation_split(tmp_path: Path) -> None:
    splits: dict[str, np.ndarray] = {"x_train": IMAGES, "y_train": LABELS, "x_val": IMAGES[:3] + 1, "y_val": LABELS[:3]}
    dataset = load(tmp_path, splits, NPZ(test=0.2))
    assert dataset.validation_inputs is not None
    assert np.array_equal(dataset.validation_inputs[..., 0], IMAGES[:3] + 1)
    assert len(dataset.train_inputs) == 8
    assert "validation: the file's own (in place of a share of training)" in dataset.notes


def test_an_object_array_is_refused_with_the_line_that_mends_it(tmp_path: Path) -> None:
    held = np.empty(2, object)
    held[:] = [[1, 2], [3, 4]]
    with pytest.raises(DataError, match=r"refused(.|\n)*x = numpy\.array\(x\.tolist\(\)\)"):
        load(tmp_path, {"x": held, "y": LABELS[:2]})


def test_broken_numbers_cannot_be_labels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="whole-number or text labels"):
        load(tmp_path, {"x": IMAGES, "y": LABELS + 0.5}, NPZ(task="classification"))


@pytest.mark.parametrize("keep", [0, 10, 100, 300])
def test_a_file_cut_short_is_an_error(tmp_path: Path, keep: int) -> None:
    file = tmp_path / "mine.npz"
    np.savez(file, x=IMAGES, y=LABELS)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"mine\.npz: "):
        NPZ().load(tmp_path, file, print)


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    np.savez(file, x=IMAGES, y=LABELS)
    body = bytearray(file.read_bytes())
    body[body.index(IMAGES.tobytes()) + 5] ^= 1
    file.write_bytes(body)
    with pytest.raises(DataError, match="unreadable"):
        NPZ().load(tmp_path, file, print)


def test_an_archive_that_expands_past_the_bound_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnscratch.datasets.sources.npz.LARGEST", 500)
    np.savez_compressed(tmp_path / "mine.npz", x=np.zeros((100, 8, 8), np.uint8), y=np.zeros(100, np.int64))
    with pytest.raises(DataError, match="bytes decompressed; at most 500"):
        NPZ().load(tmp_path, tmp_path / "mine.npz", print)


def test_other_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", IMAGES)
    with pytest.raises(DataError, match="a single array"):
        NPZ().load(tmp_path, tmp_path / "one.npy", print)
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DataError, match=r"refused|unreadable"):
        NPZ().load(tmp_path, tmp_path / "text.npz", print)
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as archive:
        archive.writestr("x", "hello")
        archive.writestr("y", "hello")
    with pytest.raises(DataError, match="x: not a NumPy array"):
        NPZ().load(tmp_path, tmp_path / "zip.npz", print)
    with pytest.raises(ConfigError, match=r"data\.path"):
        NPZ().load(tmp_path, None, print)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(st.data())
def test_flipped_bytes_give_a_dataset_or_a_data_error(tmp_path: Path, data: st.DataObject) -> None:
    file = tmp_path / "mine.npz"
    np.savez(file, x=IMAGES[:2, :2, :2], y=LABELS[:2])
    body = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(body)
    try:
        dataset = NPZ(test=0).load(tmp_path, file, print)
    except DataError:
        return
    assert dataset.outputs == 2


def test_arrays_that_are_not_read_are_named_with_what_they_may_have_been_meant_to_be(tmp_path: Path) -> None:
    others: dict[str, np.ndarray] = {
        "xtest": IMAGES,
        "X": IMAGES,
        "sample_weights": LABELS,
        "ids": LABELS,
        "patient": LABELS,
    }
    dataset = load(tmp_path, {"x": IMAGES, "y": LABELS, **others}, NPZ(test=0, split_by="patient"))
    assert dataset.description.left_out == {"arrays that are not used: xtest, X, sample_weights, ids": 4}
    assert dataset.description.warnings == (
        "xtest is not read; did you mean x_test?",
        "X is not read, as x holds the train inputs; take one of them out of the file",
        "sample_weights is not read; did you mean sample_weight?",
    )


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"y": LABELS, "classes": np.array(["a", "a"])}, "'a' is the name of more than one class"),
        ({"y": LABELS * 0}, "every example has the class '0'; there is nothing to learn"),
        ({"y": np.eye(2)[LABELS * 0]}, "every example has the class '0'; there is nothing to learn"),
        ({"y": LABELS * 0 + 0.5}, "y is the same in every example; there is nothing to learn"),
        ({"y": np.array(["cat", " "])[LABELS]}, "the class of 5 of 10 examples is empty text"),
    ],
)
def test_what_nobody_can_learn_is_refused_but_not_for_a_run_that_has(
    tmp_path: Path, arrays: dict[str, np.ndarray], problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        load(tmp_path, {"x": IMAGES, **arrays})
    NPZ(test=0).load(tmp_path, tmp_path / "mine.npz", print, trained_on=TrainedOn())


def test_a_class_that_reads_as_a_missing_label_is_one_and_that_is_said(tmp_path: Path) -> None:
    dataset = load(tmp_path, {"x": IMAGES, "y": np.array(["nan", "-"])[LABELS]})
    assert dataset.classes == ("-", "nan")
    (warning,) = dataset.description.warnings
    assert warning.startswith("'nan' is taken as a class, with 5 examples; where it stands for a missing label")


def test_labels_that_read_as_numbers_have_one_order_also_with_nan_among_them() -> None:
    for names in permutations(("9", "nan", "10", "inf", "2")):
        assert labels_from(list(names))[0] == ("2", "9", "10", "inf", "nan")


@pytest.mark.parametrize(
    ("labels", "names", "kept"),
    [
        (np.array([0, 1, 2, 1, 2]), ["none", "cat", "dog"], "y != 0"),
        (np.array([1, 2, 3, 2, 3]), ["none", "cat", "dog"], "y != 1"),
        (np.eye(3)[[0, 1, 2, 1, 2]], ["none", "cat", "dog"], "y.argmax(axis=1) != 0"),
        (np.array(["none", "cat", "dog", "cat", "dog"]), ["none", "cat", "dog"], "y != 'none'"),
        (np.array(["none", "cat", "dog", "cat", "dog"]), None, "y != 'none'"),
    ],
)
def test_what_leaves_a_class_of_missing_labels_out_is_said_in_the_labels_of_the_file(
    tmp_path: Path, labels: np.ndarray, names: list[str] | None, kept: str
) -> None:
    arrays = {"x": np.ones((5, 2)), "y": labels} | ({} if names is None else {"classes": np.array(names)})
    warning = load(tmp_path, arrays).description.warnings[0]
    assert f"keep = {kept} leaves those out" in warning
    assert eval(kept, {"y": labels}).tolist() == [False, True, True, True, True]
    if names is not None and labels.dtype.kind != "U":
        with pytest.raises(DataError) as caught:
            load(tmp_path, arrays | {"classes": np.array([" ", "cat", "dog"])})
        keep = str(caught.value.hint).partition("keep = ")[2].partition(", and [keep]")[0]
        assert eval(keep, {"y": labels, "numpy": np}).tolist() == [False, True, True, True, True]
