from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nnscratch.datasets.formats.idx import idx_bytes
from nnscratch.datasets.sources.fashion_mnist import CSV_FILES, CSV_FOLDER, IDX_FOLDER, FashionMNIST
from nnscratch.datasets.sources.grey_images import IDX_FILES
from nnscratch.errors import DataError

RNG = np.random.default_rng(0)
TRAIN = RNG.integers(0, 256, (6, 28, 28), dtype=np.uint8), np.array([9, 0, 1, 2, 3, 4], np.uint8)
TEST = RNG.integers(0, 256, (4, 28, 28), dtype=np.uint8), np.array([5, 6, 7, 8], np.uint8)


@pytest.fixture(autouse=True)
def small_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FashionMNIST, "counts", (6, 4))


def write_idx(folder: Path, compress: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(IDX_FILES, (*TRAIN, *TEST), strict=True):
        file = folder / (f"{name}.gz" if compress else name)
        file.write_bytes(gzip.compress(idx_bytes(array)) if compress else idx_bytes(array))
    return folder


def write_csv(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    header = ",".join(["label", *(f"pixel{index}" for index in range(1, 785))])
    for name, (images, labels) in zip(CSV_FILES, (TRAIN, TEST), strict=True):
        rows = [",".join(map(str, [label, *image.ravel()])) for label, image in zip(labels, images, strict=True)]
        (folder / name).write_text("\n".join([header, *rows, ""]))
    return folder


@pytest.mark.parametrize("form", ["gz", "raw", "csv"])
def test_every_form_gives_the_same_arrays(tmp_path: Path, said: list[str], form: str) -> None:
    if form == "csv":
        write_csv(tmp_path / CSV_FOLDER)
    else:
        write_idx(tmp_path / IDX_FOLDER, compress=form == "gz")
    dataset = FashionMNIST().load(tmp_path, None, said.append, download=False)
    assert np.array_equal(dataset.train_inputs, TRAIN[0][..., np.newaxis])
    assert np.array_equal(dataset.train_targets, TRAIN[1])
    assert dataset.test_inputs is not None
    assert np.array_equal(dataset.test_inputs, TEST[0][..., np.newaxis])
    assert (dataset.input_shape, dataset.outputs) == ((28, 28, 1), 10)
    assert dataset.train_inputs.flags.c_contiguous


def test_idx_wins_over_csv_and_a_note_says_so(tmp_path: Path, said: list[str]) -> None:
    write_idx(tmp_path / IDX_FOLDER)
    write_csv(tmp_path / CSV_FOLDER)
    dataset = FashionMNIST().load(tmp_path, None, said.append)
    assert dataset.origin.startswith("IDX files")
    assert "not the CSV files" in dataset.notes[0]


@pytest.mark.parametrize("write", [write_idx, write_csv])
def test_a_path_of_one_s_own_may_be_the_folder_itself(
    tmp_path: Path, said: list[str], write: Callable[[Path], Path]
) -> None:
    write(tmp_path / "mine")
    assert len(FashionMNIST().load(tmp_path / "nowhere", tmp_path / "mine", said.append).train_inputs) == 6


def test_nothing_there_names_every_form_and_the_way_out(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        FashionMNIST().load(tmp_path, None, said.append, download=False)
    for part in (str(tmp_path), "t10k-labels-idx1-ubyte.gz", "fashion-mnist_test.csv", "configs/quickstart.yaml"):
        assert part in str(caught.value)


@pytest.mark.parametrize("write", [write_idx, write_csv])
def test_a_missing_file_is_named(tmp_path: Path, said: list[str], write: Callable[[Path], Path]) -> None:
    last = sorted(write(tmp_path / "mine").iterdir())[-1]
    last.unlink()
    with pytest.raises(DataError, match=f"mine is incomplete: it lacks {re.escape(last.name)}"):
        FashionMNIST().load(tmp_path, tmp_path / "mine", said.append)


def test_images_and_labels_of_different_number_are_refused(tmp_path: Path, said: list[str]) -> None:
    (write_idx(tmp_path / IDX_FOLDER) / "train-labels-idx1-ubyte.gz").write_bytes(idx_bytes(TRAIN[1][:5]))
    with pytest.raises(DataError, match=r"6 images.*5 labels"):
        FashionMNIST().load(tmp_path, None, said.append)


def test_swapped_splits_are_noticed(tmp_path: Path, said: list[str]) -> None:
    folder = write_idx(tmp_path / IDX_FOLDER)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(idx_bytes(TEST[0]))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(idx_bytes(TEST[1]))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: 4 images, expected 6"):
        FashionMNIST().load(tmp_path, None, said.append)


def test_images_of_another_size_are_refused(tmp_path: Path, said: list[str]) -> None:
    folder = write_idx(tmp_path / IDX_FOLDER)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(idx_bytes(np.zeros((6, 32, 32), np.uint8)))
    with pytest.raises(DataError, match=r"\(32, 32\) pixels, expected \(28, 28\)"):
        FashionMNIST().load(tmp_path, None, said.append)


def test_a_label_out_of_range_is_refused_in_every_form(tmp_path: Path, said: list[str]) -> None:
    folder = write_idx(tmp_path / "idx")
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(idx_bytes(np.array([1, 2, 10, 3], np.uint8)))
    with pytest.raises(DataError, match="label 10 of example 2 is outside"):
        FashionMNIST().load(tmp_path, folder, said.append)
    file = write_csv(tmp_path / "csv") / CSV_FILES[0]
    file.write_text(file.read_text().replace("\n9,", "\n99,", 1))
    with pytest.raises(DataError, match="label 99 of example 0 is outside"):
        FashionMNIST().load(tmp_path, tmp_path / "csv", said.append)


def test_a_bad_cell_of_the_csv_is_named_by_line_and_column(tmp_path: Path, said: list[str]) -> None:
    file = write_csv(tmp_path / CSV_FOLDER) / CSV_FILES[1]
    lines = file.read_text().split("\n")
    lines[2] = "6,cat," + lines[2].split(",", 2)[2]
    file.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"fashion-mnist_test\.csv:3:3: field 2 is 'cat'"):
        FashionMNIST().load(tmp_path, None, said.append)


def test_the_data_folder_may_be_the_folder_with_the_files(tmp_path: Path) -> None:
    folder = write_idx(tmp_path / IDX_FOLDER)
    (found,) = FashionMNIST().locate(folder)
    assert found.folder == folder
    assert FashionMNIST().folder_for_downloads(folder) == folder
    assert FashionMNIST().folder_for_downloads(tmp_path) == folder
