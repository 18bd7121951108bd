"""Fashion-MNIST: 70,000 grey pictures of clothes, 28 x 28 pixels, in ten classes.

Source: Xiao, Rasul, Vollgraf 2017, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnscratch.datasets.dataset import Array
from nnscratch.datasets.download import RemoteFile
from nnscratch.datasets.formats.byte_table import read_byte_table
from nnscratch.datasets.sources.grey_images import SIDE, Form, GreyImages, idx_downloads, idx_form

CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
IDX_FOLDER, CSV_FOLDER = "fashion-mnist", "Fashion_Dataset"
CSV_FILES = ("fashion-mnist_train.csv", "fashion-mnist_test.csv")

_BASES = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
_SIZES_AND_DIGESTS = (
    (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
)


def _read_csv(files: Sequence[Path]) -> tuple[Array, Array]:
    table = read_byte_table(files[0], 1 + SIDE * SIDE, header="label")
    images = np.ascontiguousarray(table[:, 1:]).reshape(-1, SIDE, SIDE, 1)
    return images, table[:, 0]


@dataclass
class FashionMNIST(GreyImages):
    """60,000 training and 10,000 test images, (N, 28, 28, 1) uint8, from the IDX files or Kaggle's CSV."""

    name: ClassVar[str] = "fashion_mnist"
    title: ClassVar[str] = "Fashion-MNIST"
    class_names: ClassVar[tuple[str, ...] | None] = CLASSES
    summary: ClassVar[str] = "clothes, 28 x 28 grey, 10 classes, 60,000 + 10,000"
    per_class: ClassVar[tuple[int, ...]] = (6_000,) * 10
    forms: ClassVar[tuple[Form, ...]] = (
        idx_form(IDX_FOLDER),
        Form("CSV files", CSV_FOLDER, CSV_FILES, _read_csv),
    )
    download_folder: ClassVar[str] = IDX_FOLDER
    downloads: ClassVar[tuple[RemoteFile, ...]] = idx_downloads(_BASES, _SIZES_AND_DIGESTS)
    official_files: ClassVar[Mapping[str, str]] = {file.name: f"sha256:{file.sha256}" for file in downloads}
    official_content: ClassVar[Mapping[str, str]] = {
        "train": "9b59105b0403efb11e8b880a02c46894ebc04265c845ebcbb781b324c4fdd377",
        "test": "42d9ee570837aba1cd0b32741e8c1a09f099a3abe1ff438da2b17208614d12f5",
    }
