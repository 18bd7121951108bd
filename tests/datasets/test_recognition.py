"""What a path holds is recognized by what lies there, or refused with what could be meant."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

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
