from __future__ import annotations

import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from nnscratch.datasets.sources.cifar10 import BATCHES, BINARY_FOLDER, CIFAR10, CLASSES, PICKLE_FOLDER, RECORD
from nnscratch.errors import DataError

COUNT = 3


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CIFAR10, "examples_per_batch", COUNT)


def pictures() -> tuple[np.ndarray, np.ndarray]:
    """(18, 32, 32, 3) images and their labels, six batches of three."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (18, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, 18)


def write(folder: Path, binary: bool) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = pictures()
    for index, name in enumerate(BATCHES):
        part = slice(index * COUNT, (index + 1) * COUNT)
        planes = images[part].transpose(0, 3, 1, 2).reshape(COUNT, -1)
        if binary:
            rows = np.hstack([labels[part, np.newaxis].astype(np.uint8), planes])
            (folder / f"{name}.bin").write_bytes(rows.tobytes())
        else:
            (folder / name).write_bytes(pickle.dumps({b"data": planes, b"labels": labels[part].tolist()}, 3))
    return folder


@pytest.mark.parametrize("binary", [True, False])
def test_the_pictures_come_back_in_rows_columns_channels(tmp_path: Path, said: list[str], binary: bool) -> None:
    write(tmp_path / (BINARY_FOLDER if binary else PICKLE_FOLDER), binary)
    dataset = CIFAR10().load(tmp_path, None, said.append)
    images, labels = pictures()
    assert np.array_equal(dataset.train_inputs, images[:15])
    assert np.array_equal(dataset.train_targets, labels[:15])
    assert dataset.test_inputs is not None
    assert dataset.test_targets is not None
    assert np.array_equal(dataset.test_inputs, images[15:])
    assert np.array_equal(dataset.test_targets, labels[15:])
    assert dataset.train_inputs.flags.c_contiguous
    assert dataset.classes == CLASSES
    assert (dataset.input_shape, dataset.outputs, dataset.task) == ((32, 32, 3), 10, "classification")
    assert dataset.notes == ()


def test_a_red_pixel_of_a_record_is_the_first_channel(tmp_path: Path, said: list[str]) -> None:
    folder = write(tmp_path / BINARY_FOLDER, True)
    record = bytearray(RECORD * COUNT)
    record[0], record[1 + 33] = 6, 255  # label 6; red plane, row 1, column 1
    (folder / "data_batch_1.bin").write_bytes(record)
    dataset = CIFAR10().load(tmp_path, None, said.append)
    assert dataset.train_targets[0] == 6
    assert dataset.train_inputs[0, 1, 1].tolist() == [255, 0, 0]
    assert dataset.train_inputs[0].sum() == 255


def test_binary_batches_win_over_pickles_and_a_note_says_so(tmp_path: Path, said: list[str]) -> None:
    write(tmp_path / BINARY_FOLDER, True)
    write(tmp_path / PICKLE_FOLDER, False)
    dataset = CIFAR10().load(tmp_path, None, said.append)
    assert dataset.origin.startswith("binary batches")
    assert "not the Python batches" in dataset.notes[0]


@pytest.mark.parametrize("inner", ["", BINARY_FOLDER])
def test_a_path_of_one_s_own_replaces_the_data_folder(tmp_path: Path, said: list[str], inner: str) -> None:
    write(tmp_path / "mine" / inner, True)
    dataset = CIFAR10().load(tmp_path / "nowhere", tmp_path / "mine", said.append)
    assert len(dataset.train_inputs) == 15


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("place", ["", "archives"])
def test_an_archive_that_lies_there_is_unpacked(tmp_path: Path, said: list[str], binary: bool, place: str) -> None:
    name = BINARY_FOLDER if binary else PICKLE_FOLDER
    (tmp_path / "data" / place).mkdir(parents=True)
    archive = tmp_path / "data" / place / f"cifar-10-{'binary' if binary else 'python'}.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(write(tmp_path / "source" / name, binary), name)
    dataset = CIFAR10().load(tmp_path / "data", None, said.append, download=False)
    assert np.array_equal(dataset.train_inputs, pictures()[0][:15])
    assert said == [f"unpacking {archive}"]
    assert (tmp_path / "data" / name / BATCHES[0]).exists() or binary


def test_a_path_may_be_an_archive(tmp_path: Path, said: list[str]) -> None:
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(write(tmp_path / "source", False), PICKLE_FOLDER)
    assert len(CIFAR10().load(tmp_path / "nowhere", archive, said.append).train_inputs) == 15
    other = archive.rename(tmp_path / "mine.tar.gz")
    (tmp_path / PICKLE_FOLDER).rename(tmp_path / "moved")
    with pytest.raises(DataError, match="is no CIFAR-10 archive"):
        CIFAR10().load(tmp_path / "nowhere", other, said.append)


def test_nothing_there_names_every_form_and_the_way_out(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        CIFAR10().load(tmp_path, None, said.append, download=False)
    for part in (
        str(tmp_path),
        "data_batch_1.bin",
        "data_batch_1 ",
        "cifar-10-binary.tar.gz",
        "configs/quickstart.yaml",
    ):
        assert part.strip() in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_path_without_cifar10_is_not_downloaded_into(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(DataError, match="there is no CIFAR-10 in"):
        CIFAR10().load(tmp_path, tmp_path / "mine", said.append)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_batch_is_named(tmp_path: Path, said: list[str]) -> None:
    (write(tmp_path / BINARY_FOLDER, True) / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"it lacks data_batch_3\.bin"):
        CIFAR10().load(tmp_path, None, said.append)


def test_a_missing_batch_is_named_even_beside_an_archive_and_the_folder_is_left_alone(
    tmp_path: Path, said: list[str]
) -> None:
    folder = write(tmp_path / BINARY_FOLDER, True)
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as packed:
        packed.add(folder, BINARY_FOLDER)
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"it lacks data_batch_3\.bin"):
        CIFAR10().load(tmp_path, None, said.append)
    assert len(list(folder.iterdir())) == 5


@pytest.mark.parametrize(("change", "reason"), [(-1, "cut short"), (1, "too long"), (-RECORD, "cut short")])
def test_a_binary_batch_of_the_wrong_size_is_refused(tmp_path: Path, said: list[str], change: int, reason: str) -> None:
    file = write(tmp_path / BINARY_FOLDER, True) / "test_batch.bin"
    file.write_bytes((file.read_bytes() + b"\0")[: COUNT * RECORD + change])
    with pytest.raises(DataError, match=rf"test_batch\.bin: .*{reason}"):
        CIFAR10().load(tmp_path, None, said.append)


def test_a_binary_label_out_of_range_is_refused(tmp_path: Path, said: list[str]) -> None:
    file = write(tmp_path / BINARY_FOLDER, True) / "data_batch_2.bin"
    file.write_bytes(b"\x0a" + file.read_bytes()[1:])
    with pytest.raises(DataError, match=r"data_batch_2\.bin: label 10 is outside 0\.\.9"):
        CIFAR10().load(tmp_path, None, said.append)


DATA = np.zeros((COUNT, 3072), np.uint8)


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        ({b"data": DATA}, "keys data and labels"),
        ({b"data": DATA, b"labels": [1, 2, 10]}, "label 10 is outside"),
        ({b"data": DATA, b"labels": [1, 2, -1]}, "label -1 is outside"),
        ({b"data": DATA, b"labels": [1, 2, "cat"]}, "label 'cat' is outside"),
        ({b"data": DATA, b"labels": [1, 2, True]}, "label True is outside"),
        ({b"data": DATA, b"labels": [1, 2]}, "2 labels"),
        ({b"data": DATA[:, :10], b"labels": [1, 2, 3]}, r"shape \(3, 10\)"),
        ([1, 2], "holds a list, not a dict"),
    ],
)
def test_a_pickle_that_is_no_batch_is_refused(tmp_path: Path, said: list[str], batch: object, reason: str) -> None:
    (write(tmp_path / PICKLE_FOLDER, False) / "data_batch_4").write_bytes(pickle.dumps(batch, 3))
    with pytest.raises(DataError, match=f"data_batch_4.*{reason}"):
        CIFAR10().load(tmp_path, None, said.append)


def test_a_batch_that_would_run_code_is_refused_by_name(tmp_path: Path, said: list[str]) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, ("exit",)

    (write(tmp_path / PICKLE_FOLDER, False) / "data_batch_1").write_bytes(pickle.dumps({"data": Hostile()}))
    with pytest.raises(DataError, match=r"data_batch_1: refused: it asks for \w+\.system"):
        CIFAR10().load(tmp_path, None, said.append)
