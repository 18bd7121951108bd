from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.sources.npz import NPZ
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


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"x": IMAGES}, r"no array with the train targets .* it holds x"),
        ({"pixels": IMAGES, "y": LABELS}, r"no array with the train inputs .* it holds pixels, y"),
        ({"x": IMAGES, "y": LABELS[:3]}, "10 inputs but 3 targets"),
        ({"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES}, "come together or not at all"),
        ({"x": IMAGES.astype(np.float32), "y": LABELS}, r"inputs are float32 of shape \(10, 4, 4\)"),
        ({"x": IMAGES, "y": np.eye(10, dtype=np.int64)}, "labels are one per example"),
        ({"x": IMAGES, "y": np.int64(3)}, "labels are one per example"),
        ({"x": np.full((10, 2), np.nan), "y": LABELS}, "NaN or infinity"),
        ({"x": np.full((10, 2), 1e300), "y": LABELS}, "NaN or infinity"),
        ({"x": IMAGES[:0], "y": LABELS[:0]}, "is empty"),
        ({"x": IMAGES, "y": LABELS + 5, "classes": np.array(["a", "b"])}, "label 6 is outside"),
        ({"x": IMAGES, "y": LABELS, "x_test": IMAGES, "y_test": LABELS + 1}, "class '2' of the test targets"),
        ({"x": np.array([object()]), "y": LABELS}, "refused: an array of object holds pickled Python objects"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        load(tmp_path, arrays)
    assert "mine.npz" in str(caught.value)


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
    monkeypatch.setattr("nnscratch.datasets.sources.npz.LARGEST", 1000)
    np.savez_compressed(tmp_path / "mine.npz", x=np.zeros((100, 8, 8), np.uint8), y=np.zeros(100, np.int64))
    with pytest.raises(DataError, match="bytes decompressed; at most 1,000"):
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
