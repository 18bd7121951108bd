from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from nnscratch.datasets.formats.idx import idx_bytes
from nnscratch.datasets.sources.fashion_mnist import FashionMNIST
from nnscratch.datasets.sources.grey_images import IDX_FILES
from nnscratch.datasets.sources.mnist import FOLDER, MNIST
from nnscratch.errors import DataError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 28, 28), dtype=np.uint8)
LABELS = np.array([9, 0, 1, 1, 2, 3], np.uint8)


def write(folder: Path, labels: np.ndarray = LABELS, compress: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in IDX_FILES:
        contents = idx_bytes(IMAGES if "images" in name else labels)
        (folder / (f"{name}.gz" if compress else name)).write_bytes(gzip.compress(contents) if compress else contents)
    return folder


@pytest.fixture(autouse=True)
def small_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MNIST, "counts", (6, 6))
    monkeypatch.setattr(FashionMNIST, "counts", (6, 6))


@pytest.mark.parametrize("compress", [True, False])
def test_the_digits_are_read_packed_and_unpacked(tmp_path: Path, said: list[str], compress: bool) -> None:
    write(tmp_path / FOLDER, compress=compress)
    dataset = MNIST().load(tmp_path, None, said.append, download=False)
    assert np.array_equal(dataset.train_inputs, IMAGES[..., np.newaxis])
    assert dataset.train_targets.tolist() == LABELS.tolist()
    assert dataset.classes == tuple("0123456789")
    assert dataset.name == "mnist"


def test_both_datasets_lie_in_one_data_folder_each_in_its_own(tmp_path: Path, said: list[str]) -> None:
    write(tmp_path / FOLDER)
    write(tmp_path / FashionMNIST.download_folder, labels=LABELS[::-1])
    assert MNIST().load(tmp_path, None, said.append).train_targets.tolist() == LABELS.tolist()
    assert FashionMNIST().load(tmp_path, None, said.append).train_targets.tolist() == LABELS[::-1].tolist()


@pytest.mark.parametrize(("wanted", "there"), [(MNIST, FashionMNIST), (FashionMNIST, MNIST)])
def test_the_files_of_one_are_not_taken_for_the_other_s(
    wanted: type[MNIST | FashionMNIST],
    there: type[MNIST | FashionMNIST],
    tmp_path: Path,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(there, "per_class", tuple(np.bincount(LABELS, minlength=10).tolist()))
    folder = write(tmp_path / "files")
    assert there().load(tmp_path, folder, said.append).name == there.name
    with pytest.raises(DataError, match=f"sizes of {there.name}, not those of {wanted.name}") as caught:
        wanted().load(tmp_path, folder, said.append)
    assert f"data.dataset: {there.name}" in (caught.value.hint or "")


def test_nothing_there_names_the_four_files(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(
        DataError, match=r"there is no MNIST in .*mnist/ \(train-images-idx3-ubyte\.gz, .*t10k"
    ) as caught:
        MNIST().load(tmp_path, None, said.append, download=False)
    assert "nnscratch data fetch mnist" in (caught.value.hint or "")


def test_class_counts_add_up_to_the_training_split() -> None:
    assert sum(MNIST.per_class) == sum(FashionMNIST.per_class) == 60_000
