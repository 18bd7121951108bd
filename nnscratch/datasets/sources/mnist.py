"""MNIST: 70,000 grey pictures of handwritten digits, 28 x 28 pixels.

Source: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", section III.A.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from nnscratch.datasets.download import RemoteFile
from nnscratch.datasets.sources.grey_images import Form, GreyImages, idx_downloads, idx_form

FOLDER = "mnist"

_BASES = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_SIZES_AND_DIGESTS = (
    (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
)


@dataclass
class MNIST(GreyImages):
    """60,000 training and 10,000 test images of handwritten digits, (N, 28, 28, 1) uint8, from the IDX files."""

    name: ClassVar[str] = "mnist"
    title: ClassVar[str] = "MNIST"
    class_names: ClassVar[tuple[str, ...] | None] = tuple("0123456789")
    summary: ClassVar[str] = "handwritten digits, 28 x 28 grey, 10 classes, 60,000 + 10,000"
    per_class: ClassVar[tuple[int, ...]] = (5_923, 6_742, 5_958, 6_131, 5_842, 5_421, 5_918, 6_265, 5_851, 5_949)
    forms: ClassVar[tuple[Form, ...]] = (idx_form(FOLDER),)
    download_folder: ClassVar[str] = FOLDER
    downloads: ClassVar[tuple[RemoteFile, ...]] = idx_downloads(_BASES, _SIZES_AND_DIGESTS)
    official_files: ClassVar[Mapping[str, str]] = {file.name: f"sha256:{file.sha256}" for file in downloads}
