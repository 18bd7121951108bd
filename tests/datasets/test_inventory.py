from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

import nnscratch.datasets as datasets
from nnscratch.component import catalogue
from nnscratch.datasets.dataset import Source
from nnscratch.datasets.formats.idx import idx_bytes
from nnscratch.datasets.inventory import content_digest, describe, verify
from nnscratch.datasets.sources.fashion_mnist import IDX_FOLDER, FashionMNIST
from nnscratch.datasets.sources.grey_images import IDX_FILES
from nnscratch.errors import DataError, UsageError

IMAGES = np.arange(5 * 784, dtype=np.uint64).astype(np.uint8).reshape(5, 28, 28)
LABELS = np.array([0, 1, 2, 2, 9], np.uint8)


@pytest.fixture
def fashion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(FashionMNIST, "counts", (5, 5))
    (tmp_path / IDX_FOLDER).mkdir()
    for name, array in zip(IDX_FILES, (IMAGES, LABELS) * 2, strict=True):
        (tmp_path / IDX_FOLDER / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array), mtime=0))
    return tmp_path


def test_every_source_is_in_the_catalogue() -> None:
    names = {"cifar10", "csv", "fashion_mnist", "image_folder", "mnist", "npz", "shapes"}
    names |= {"circles", "moons", "sine", "spiral", "xor"}
    assert set(catalogue(Source)) == names
    assert "Dataset" in datasets.__all__


def test_the_list_tells_what_is_there_and_what_would_be_downloaded(fashion: Path) -> None:
    listings = {listing.name: listing for listing in describe(fashion)}
    assert listings["fashion_mnist"].available
    assert listings["fashion_mnist"].found[0].format == "IDX files"
    assert listings["fashion_mnist"].found[0].size == sum(
        file.stat().st_size for file in (fashion / IDX_FOLDER).iterdir()
    )
    assert not listings["cifar10"].available
    assert listings["cifar10"].download_size == 170_052_171
    assert listings["shapes"].available
    assert listings["moons"].available
    assert all(listing.summary for listing in listings.values())


def test_verifying_counts_the_classes_and_says_it_is_not_the_publisher_s(fashion: Path, said: list[str]) -> None:
    (copy,) = verify("fashion_mnist", fashion, said.append)
    assert copy.problem is None
    assert copy.official is False
    assert [file.official for file in copy.files] == [False] * 4
    assert [split.examples for split in copy.splits] == [5, 5]
    assert dict(copy.splits[0].per_class)["Pullover"] == 2
    assert dict(copy.splits[0].per_class)["Bag"] == 0


def test_verifying_recognises_the_publisher_s_files_and_content(
    fashion: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = {
        file.name: "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()
        for file in (fashion / IDX_FOLDER).iterdir()
    }
    monkeypatch.setattr(FashionMNIST, "official_files", digests)
    assert verify("fashion_mnist", fashion, said.append)[0].official is True
    monkeypatch.setattr(FashionMNIST, "official_files", {})
    digest = content_digest(IMAGES[::-1], LABELS[::-1].astype(np.int64))
    monkeypatch.setattr(FashionMNIST, "official_content", {"train": digest, "test": digest})
    assert verify("fashion_mnist", fashion, said.append)[0].official is True


def test_verifying_a_damaged_copy_tells_the_problem(fashion: Path, said: list[str]) -> None:
    (fashion / IDX_FOLDER / f"{IDX_FILES[0]}.gz").write_bytes(b"nonsense")
    (copy,) = verify("fashion_mnist", fashion, said.append)
    assert copy.official is False
    assert copy.splits == ()
    assert "wrong magic number" in (copy.problem or "")


def test_verifying_what_is_not_there_is_an_error(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(DataError, match="there is no CIFAR-10"):
        verify("cifar10", tmp_path, said.append)
    with pytest.raises(UsageError, match="nothing to verify"):
        verify("shapes", tmp_path, said.append)


def test_the_content_digest_does_not_depend_on_the_order_but_on_every_pixel_and_label() -> None:
    labels = LABELS.astype(np.int64)
    digest = content_digest(IMAGES, labels)
    assert content_digest(IMAGES[::-1], labels[::-1]) == digest
    assert content_digest(IMAGES, labels[::-1]) != digest
    assert content_digest(IMAGES ^ np.uint8(1), labels) != digest


@pytest.mark.parametrize(("name", "file"), [("cifar10", "test_batch.bin"), ("mnist", "t10k-labels-idx1-ubyte")])
def test_verifying_a_copy_that_is_not_whole_says_what_it_lacks(
    tmp_path: Path, said: list[str], name: str, file: str
) -> None:
    (tmp_path / file).touch()
    with pytest.raises(DataError, match=r"is incomplete: it lacks (data_batch_1\.bin|train-images-idx3-ubyte)"):
        verify(name, tmp_path, said.append)
