"""The real datasets, where they lie; the seconds of a core that loading may take are many times what was measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nnscratch.datasets.dataset import Dataset, Source
from nnscratch.datasets.sources.cifar10 import BINARY_FOLDER, CIFAR10, PICKLE_FOLDER
from nnscratch.datasets.sources.fashion_mnist import CSV_FOLDER, IDX_FOLDER, FashionMNIST

PublicData = Callable[[str], Path]


def load(source: Source, folder: Path, seconds: float) -> Dataset:
    start = time.process_time()  # of this process alone: others may be busy
    dataset = source.load(folder.parent, folder, print, download=False)
    assert time.process_time() - start < seconds
    return dataset


@pytest.mark.parametrize("name", [BINARY_FOLDER, PICKLE_FOLDER])
def test_cifar10_has_5000_and_1000_images_of_each_class_and_its_known_mean(public_data: PublicData, name: str) -> None:
    dataset = load(CIFAR10(), public_data(name), 15)
    assert dataset.train_inputs.shape == (50_000, 32, 32, 3)
    assert dataset.test_targets is not None
    assert np.bincount(dataset.train_targets).tolist() == [5000] * 10
    assert np.bincount(dataset.test_targets).tolist() == [1000] * 10
    mean = dataset.train_inputs.mean(axis=(0, 1, 2)) / 255
    assert mean == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.003)


def test_both_forms_of_cifar10_hold_the_same_arrays(public_data: PublicData) -> None:
    binary, pickles = (load(CIFAR10(), public_data(name), 15) for name in (BINARY_FOLDER, PICKLE_FOLDER))
    assert binary.digest() == pickles.digest()


def test_fashion_mnist_has_6000_and_1000_images_of_each_class_and_its_known_mean(public_data: PublicData) -> None:
    dataset = load(FashionMNIST(), public_data(IDX_FOLDER), 10)
    assert dataset.train_inputs.shape == (60_000, 28, 28, 1)
    assert np.bincount(dataset.train_targets).tolist() == [6000] * 10
    assert dataset.train_inputs.mean() / 255 == pytest.approx(0.2860, abs=1e-4)
    assert dataset.train_inputs.std() / 255 == pytest.approx(0.3530, abs=1e-4)


def test_the_csv_form_of_fashion_mnist_holds_the_same_images(public_data: PublicData) -> None:
    table = load(FashionMNIST(), public_data(CSV_FOLDER), 30)
    files = load(FashionMNIST(), public_data(IDX_FOLDER), 10)
    assert sorted(table.train_targets.tolist()) == sorted(files.train_targets.tolist())
    assert np.array_equal(table.train_inputs.sum(axis=(0, 3)), files.train_inputs.sum(axis=(0, 3)))
