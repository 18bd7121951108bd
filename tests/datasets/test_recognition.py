"""What a path holds is recognized by what lies there, or refused with what could be meant."""

from __future__ import annotations

import gzip
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nnscratch.datasets import recognition
from nnscratch.datasets.formats.folder import walk
from nnscratch.datasets.recognition import recognize
from nnscratch.datasets.sources.own_data import required_path
from nnscratch.datasets.tables.reader import read_table
from nnscratch.errors import DataError


def laid_out(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_files_are_known_by_their_suffix_and_any_other_is_tried_as_a_table(tmp_path: Path) -> None:
    laid_out(tmp_path, "a.npz", "b.tsv", "c.measured")
    assert [recognize(tmp_path / name)[0] for name in ("a.npz", "b.tsv", "c.measured")] == ["npz", "csv", "csv"]


def test_a_folder_with_a_training_table_is_a_table_with_its_test_file(tmp_path: Path) -> None:
    assert recognize(laid_out(tmp_path, "train.csv", "test.csv")) == ("csv", tmp_path)


def test_a_folder_of_folders_with_pictures_is_one_of_pictures(tmp_path: Path) -> None:
    assert recognize(laid_out(tmp_path, "labels.csv", "cat/1.png", "dog/2.JPG")) == ("image_folder", tmp_path)


def test_links_to_folders_count_and_many_other_files_hide_no_picture(tmp_path: Path) -> None:
    apart = laid_out(tmp_path / "apart", *(f"texts/{number}.txt" for number in range(10_500)), "cat/1.png")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "cat").symlink_to(apart / "cat")
    for folder in (apart, tmp_path / "linked"):
        assert recognize(folder) == ("image_folder", folder)


def test_a_training_table_beside_folders_of_pictures_is_not_taken_for_what_is_meant(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds train.csv and folders of pictures, cat/ and others"):
        recognize(laid_out(tmp_path, "train.csv", "cat/1.png", "dog/2.JPG"))
    assert recognize(laid_out(tmp_path / "other", "train.csv", "plots/1.png")) == ("csv", tmp_path / "other")


def test_a_folder_that_may_not_be_looked_into_hides_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> Iterator[tuple[Path, str]]:
        if folder.name == "locked":
            raise PermissionError
        return walk(folder)

    laid_out(tmp_path, "data.csv", "locked/1.png")
    monkeypatch.setattr(recognition, "walk", refuse)
    assert recognize(tmp_path) == ("csv", tmp_path / "data.csv")


def test_files_of_other_formats_are_named_with_what_to_do(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "images-idx3-ubyte.gz", "wb") as file:
        file.write(bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4]))
    with pytest.raises(DataError, match=r"is an IDX file(.|\n)*numpy.savez"):
        recognize(tmp_path / "images-idx3-ubyte.gz")
    with tarfile.open(tmp_path / "cats.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "images-idx3-ubyte.gz", "cat/1.png")
    with pytest.raises(DataError, match="is a tar archive"):
        recognize(tmp_path / "cats.tar.gz")
    with gzip.open(tmp_path / "houses.csv.gz", "wb") as file:
        file.write(b"a,y\n1,2\n")
    assert recognize(tmp_path / "houses.csv.gz")[0] == "csv"


def test_the_only_file_of_a_folder_is_meant(tmp_path: Path) -> None:
    assert recognize(laid_out(tmp_path, "houses.csv", ".hidden", "README.md")) == ("csv", tmp_path / "houses.csv")


def test_several_files_are_named_and_none_is_taken(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds several files of data: a.csv, b.csv"):
        recognize(laid_out(tmp_path, "a.csv", "b.csv"))


@pytest.mark.parametrize(
    ("name", "said"), [("nowhere", "does not exist"), ("one.png", "a single picture"), (".", "no data that is read")]
)
def test_what_holds_no_data_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    laid_out(tmp_path / "empty", "one.png")
    if name == ".":
        (tmp_path / "empty" / "one.png").unlink()
    with pytest.raises(DataError, match=said):
        recognize(tmp_path / "empty" / name)


@pytest.mark.parametrize("read", [recognize, read_table, lambda path: required_path(path, "csv", "a table")])
def test_a_pipe_and_a_device_are_refused_and_neither_waited_for_nor_read_to_their_end(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    os.mkfifo(tmp_path / "a.csv")
    for path in (tmp_path / "a.csv", Path("/dev/zero")):
        with pytest.raises(DataError, match="is neither a file nor a folder"):
            read(path)


@pytest.mark.parametrize(
    "name", ["cifar-10-batches-py/data_batch_1", "cifar-10-batches-bin/test_batch.bin", "cifar-10-python.tar.gz"]
)
def test_files_of_cifar_10_are_known_and_who_reads_them_is_said(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"\x80\x02}")
    for path in (file, file.parent, tmp_path):
        with pytest.raises(DataError, match=r"is CIFAR-10(.|\n)*dataset: cifar10"):
            recognize(path)


@pytest.mark.parametrize("beside", ["cifar-10-python.tar.gz", "cifar-10-batches-py/data_batch_1"])
def test_files_of_cifar_10_beside_other_data_are_not_what_is_meant(tmp_path: Path, beside: str) -> None:
    laid_out(tmp_path / "pictures", "train/cat/1.png", "test/cat/2.png", beside)
    assert recognize(tmp_path / "pictures") == ("image_folder", tmp_path / "pictures")
    laid_out(tmp_path / "table", "mine.csv", beside)
    assert recognize(tmp_path / "table") == ("csv", tmp_path / "table" / "mine.csv")
