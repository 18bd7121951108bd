from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nnscratch.datasets.dataset import Dataset
from nnscratch.datasets.sources.image_folder import ImageFolder
from nnscratch.datasets.sources.own_data import TrainedOn
from nnscratch.errors import ConfigError, DataError


def saved(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def folder_of(base: Path, **pictures: int) -> Path:
    """base/<class>/<i>.png, each of one grey, 4 x 6 pixels."""
    for name, count in pictures.items():
        (base / name).mkdir(parents=True)
        for index in range(count):
            saved(base / name / f"{index}.png", np.full((4, 6, 3), 10 * index, np.uint8))
    return base


def load(folder: Path, **settings: object) -> Dataset:
    return ImageFolder(**{"size": 2, **settings}).load(folder / "data", folder, lambda text: None)  # type: ignore[arg-type]  # fields by name


def test_folders_are_classes_and_pictures_are_resized(tmp_path: Path) -> None:
    folder_of(tmp_path, dog=5, cat=10)
    (tmp_path / "cat" / "notes.txt").write_text("not a picture")
    dataset = load(tmp_path, size=3)
    assert dataset.classes == ("cat", "dog")
    assert dataset.train_inputs.shape == (12, 3, 3, 3)
    assert dataset.test_targets is not None
    assert dataset.test_targets.tolist() == [0, 0, 1]
    assert dataset.train_inputs.dtype == np.uint8
    assert dataset.description.left_out == {".txt files": 1}
    assert dataset.description.facts == {"pictures": 15, "sizes": "6x4 (15)", "colours": "RGB (15)"}


def test_grey_mode_has_one_channel(tmp_path: Path) -> None:
    dataset = load(folder_of(tmp_path, a=2, b=1), size=4, mode="grey", test=0)
    assert dataset.train_inputs.shape == (3, 4, 4, 1)
    assert dataset.train_inputs[:, 0, 0, 0].tolist() == [0, 10, 0]


def test_classes_and_files_are_in_the_order_in_which_people_count(tmp_path: Path) -> None:
    dataset = load(folder_of(tmp_path, **{"10": 1, "2": 1, "1": 12}), test=0)
    assert dataset.classes == ("1", "2", "10")
    assert dataset.train_inputs[:12, 0, 0, 0].tolist() == [10 * index for index in range(12)]
    assert dataset.example_names["train"][9:] == ("1/9.png", "1/10.png", "1/11.png", "2/0.png", "10/0.png")


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("Training", "Testing"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("training_set", "test_set"),
        ("mine/train", "mine/test"),
    ],
)
def test_folders_of_splits_that_share_their_classes_are_the_splits(tmp_path: Path, train: str, test: str) -> None:
    folder_of(tmp_path / train, a=3, b=3)
    folder_of(tmp_path / test, a=1, b=2)
    dataset = load(tmp_path)
    assert len(dataset.train_inputs) == 6
    assert dataset.test_targets is not None
    assert dataset.test_targets.tolist() == [0, 1, 1]
    assert dataset.description.guesses[0].taken == f"train: {train}/, test: {test}/"


def test_a_validation_folder_is_the_validation_split_and_a_test_split_is_held_out(tmp_path: Path) -> None:
    folder_of(tmp_path / "train", cat=10, dog=10)
    folder_of(tmp_path / "val", cat=2, dog=3)
    dataset = load(tmp_path)
    assert dataset.validation_targets is not None
    assert dataset.validation_targets.tolist() == [0, 0, 1, 1, 1]
    assert dataset.test_targets is not None
    assert (len(dataset.train_inputs), len(dataset.test_targets)) == (16, 4)
    assert dataset.example_names["val"] == tuple(
        f"val/{name}.png" for name in ("cat/0", "cat/1", "dog/0", "dog/1", "dog/2")
    )
    told = {guess.what: guess.taken for guess in dataset.description.guesses}
    assert told["validation"] == "val/"
    assert told["test split"] == "4 pictures held out"


def test_classes_that_a_split_lacks_or_has_more_are_named(tmp_path: Path) -> None:
    folder_of(tmp_path / "train", a=3, b=3, c=2)
    folder_of(tmp_path / "test", a=1, d=2, e=1)
    dataset = load(tmp_path)
    assert dataset.test_targets is not None
    assert dataset.test_targets.tolist() == [0]
    assert dataset.notes[-2:] == (
        "test/ has classes that training has not; they are left out: d (2), e (1)",
        "test/ has no pictures of b, c",
    )
    assert dataset.description.left_out == {"pictures of classes that only test/ has": 3}


def test_a_test_folder_without_classes_is_left_out_with_a_word(tmp_path: Path) -> None:
    folder_of(tmp_path / "train", a=5, b=5)
    folder_of(tmp_path, test=3)
    dataset = load(tmp_path)
    assert dataset.classes == ("a", "b")
    assert "test/ holds pictures but no classes of the others: it is not read" in dataset.notes


@pytest.mark.parametrize("names", [("train", "val", "train_2"), ("other", "Validation"), ("test", "val")])
def test_folders_of_folders_that_are_no_splits_are_not_taken_for_classes(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        folder_of(tmp_path / name, cat=3, dog=3)
    with pytest.raises(DataError, match=r"folders of folders are no classes(.|\n)*set data\.path to the training"):
        load(tmp_path)


def test_a_class_of_pictures_may_be_called_like_a_split(tmp_path: Path) -> None:
    assert load(folder_of(tmp_path, train=5, car=5)).classes == ("car", "train")


def test_splits_inside_the_folders_of_the_classes_are_the_splits(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        folder_of(tmp_path / name, train=5, testing=3, **({"val": 2} if name == "dog" else {}))
    dataset = load(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert (len(dataset.train_inputs), len(dataset.example_names["test"]), len(dataset.example_names["val"])) == (
        10,
        6,
        2,
    )
    assert all("/testing/" in name for name in dataset.example_names["test"])
    assert any(note.startswith("splits: train: cat/train/, val: cat/val/, test: cat/test/") for note in dataset.notes)
    assert "no pictures of cat for val" in dataset.description.warnings


def test_folders_called_like_splits_in_some_classes_alone_are_only_warned_of(tmp_path: Path) -> None:
    folder_of(tmp_path / "cat", train=5, test=3)
    folder_of(tmp_path, dog=5)
    dataset = load(tmp_path)
    assert len(dataset.train_inputs) + len(dataset.example_names["test"]) == 13
    assert any("called like splits" in warning for warning in dataset.description.warnings)


def test_what_programs_leave_in_folders_is_no_example(tmp_path: Path) -> None:
    folder_of(tmp_path, cat=2, dog=2, __MACOSX=2, **{".ipynb_checkpoints": 1, "@eaDir": 1})
    saved(tmp_path / "cat" / "._1.png", np.zeros((2, 2, 3), np.uint8))
    folder_of(tmp_path / "dog", **{"@eaDir": 2})
    for name in ("Thumbs.db", ".DS_Store"):
        (tmp_path / "cat" / name).write_bytes(b"x")
    dataset = load(tmp_path, test=0)
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.train_inputs) == 4
    assert dataset.description.left_out == {"hidden files and folders": 7}
    assert dataset.notes == ("not read: 7 hidden files and folders",)


def test_links_are_followed_once_circles_end_and_broken_ones_are_counted(tmp_path: Path) -> None:
    folder_of(tmp_path / "elsewhere", more=3)
    base = folder_of(tmp_path / "mine", cat=2, dog=2)
    (base / "cat" / "more").symlink_to(tmp_path / "elsewhere" / "more")
    (base / "cat" / "round").symlink_to(base / "cat")
    (base / "dog" / "up").symlink_to("..")  # whose cats are no dogs
    (base / "dog" / "gone.png").symlink_to(tmp_path / "nothing.png")
    (base / "dog" / "own.png").symlink_to("own.png")
    os.mkfifo(base / "dog" / "pipe.png")
    dataset = load(base, test=0)
    assert dataset.train_targets.tolist() == [0] * 5 + [1] * 2
    assert dataset.description.left_out == {
        "links to a folder that is read already": 2,
        "broken links": 2,
        "neither files nor folders": 1,
    }


def test_every_unreadable_picture_is_named_at_once_or_left_out_on_request(tmp_path: Path) -> None:
    folder_of(tmp_path, a=4, b=4)
    for name in ("a/1.png", "a/2.png", "b/3.png"):
        (tmp_path / name).write_bytes(b"hello")
    with pytest.raises(
        DataError, match=r"3 of 8 pictures(.|\n)*a/1\.png: unr(.|\n)*a/2\.png(.|\n)*b/3\.png(.|\n)*skip"
    ):
        load(tmp_path)
    dataset = load(tmp_path, unreadable="skip", test=0)
    assert dataset.train_inputs[:, 0, 0, 0].tolist() == [0, 30, 0, 10, 20]
    assert dataset.train_targets.tolist() == [0, 0, 1, 1, 1]
    assert dataset.example_names["train"] == ("a/0.png", "a/3.png", "b/0.png", "b/1.png", "b/2.png")
    assert dataset.description.left_out == {"unreadable pictures": 3}
    assert "3 pictures cannot be read and are left out" in dataset.notes[-1]


def test_pictures_of_twelve_bits_are_scaled_alike_by_the_brightest_and_that_is_said(tmp_path: Path) -> None:
    folder_of(tmp_path, b=1)
    (tmp_path / "a").mkdir()
    for name, value in (("dark", 100), ("bright", 4000)):
        saved(tmp_path / "a" / f"{name}.png", np.full((2, 2), value, np.uint16))
    dataset = load(tmp_path, test=0, mode="grey")
    assert dataset.train_inputs[:, 0, 0, 0].tolist() == [round(4000 * 255 / 4095), round(100 * 255 / 4095), 0]
    assert dataset.white == 4095
    assert "white: 4095 (the brightest of 2 pictures with more than 8 bits holds 4000)" in dataset.notes


def deep_folder(folder: Path, **pixels: np.ndarray) -> Path:
    for name, values in pixels.items():
        (folder / name).mkdir(parents=True)
        saved(folder / name / ("1.tif" if values.dtype == np.float32 else "1.png"), values)
    return folder


def test_pictures_with_negative_numbers_are_named_not_clipped(tmp_path: Path) -> None:
    deep_folder(tmp_path, a=np.full((2, 2), -0.5, np.float32), b=np.ones((2, 2), np.float32))
    with pytest.raises(DataError, match=r"pixels have no negative values: a/1\.tif from -0\.5 to -0\.5"):
        load(tmp_path, test=0)


def test_fractions_beside_whole_numbers_are_refused_and_both_named(tmp_path: Path) -> None:
    deep_folder(tmp_path, a=np.full((2, 2), 0.5, np.float32), b=np.full((2, 2), 60_000, np.uint16))
    told = r"others whole numbers: a/1\.tif from 0\.5 to 0\.5; b/1\.png from 60000 to 60000"
    with pytest.raises(DataError, match=told):
        load(tmp_path, test=0)


def test_one_dark_picture_of_broken_numbers_is_no_other_range_and_is_told(tmp_path: Path) -> None:
    folders = {f"b{number}": np.full((2, 2), 60_000, np.uint16) for number in range(11)}
    deep_folder(tmp_path, a=np.full((2, 2), 0.5, np.float32), **folders)
    dataset = load(tmp_path, test=0)
    assert dataset.train_inputs[0].max() == 0
    assert "where 65535 is white, fractions are all but black: a/1.tif from 0.5 to 0.5" in dataset.notes


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_run_of_before_reads_its_pictures_as_it_was_trained(tmp_path: Path, in_memory: bool) -> None:
    values = np.array([[0, 0.5], [1, 1.0001]], np.float32)
    folder = deep_folder(tmp_path / "pictures", a=values, b=-values)

    def read(trained_on: TrainedOn) -> tuple[list[int], float | None]:
        source = ImageFolder(size=2, mode="grey", test=0)
        data = source.load(tmp_path / "data", folder, lambda text: None, in_memory=in_memory, trained_on=trained_on)
        return data.train_inputs[0].ravel().tolist(), data.white

    assert read(TrainedOn(white=255.0)) == ([0, 0, 1, 1], 255.0)
    assert read(TrainedOn(white=1.0)) == ([0, 128, 255, 255], 1.0)
    assert read(TrainedOn(white=255.0)) == ([0, 0, 1, 1], 255.0)


def test_a_folder_that_is_no_dataset_says_what_it_should_look_like(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.path: is missing"):
        ImageFolder().load(tmp_path, None, print)
    with pytest.raises(DataError, match="at least two; found none"):
        load(tmp_path)
    folder_of(tmp_path, cat=1)
    with pytest.raises(DataError, match="found only 'cat'"):
        load(tmp_path)
    (tmp_path / "dog").mkdir()
    with pytest.raises(DataError, match="no pictures in dog/"):
        load(tmp_path)
    folder_of(tmp_path, cow=1)
    assert load(tmp_path, test=0).notes == ("no pictures in dog/: no class is made of them",)
    with pytest.raises(DataError, match="is a file"):
        ImageFolder().load(tmp_path, tmp_path / "cat" / "0.png", print)


def test_a_folder_called_test_beside_the_classes_is_one_and_that_is_said(tmp_path: Path) -> None:
    folder_of(tmp_path, cat=3, dog=3, test=3)
    dataset = load(tmp_path, test=0)
    assert dataset.classes == ("cat", "dog", "test")
    (warning,) = dataset.description.warnings
    assert warning.startswith("test/ is taken as a class, as pictures lie in it")
    assert warning.endswith("test/CLASS/*.png, and train/CLASS/*.png beside it, would make a split of it")


def test_a_class_called_like_a_split_is_told_how_it_may_be_one(tmp_path: Path) -> None:
    for name in ("train", "bus"):
        folder_of(tmp_path / name, **{"2020": 1, "2021": 1})
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert "called like a split needs its pictures right in it, or another name" in str(caught.value)


def test_a_table_beside_pictures_is_said_not_to_be_read(tmp_path: Path) -> None:
    folder_of(tmp_path, images=3)
    (tmp_path / "labels.csv").write_text("file,label\n0.png,cat\n1.png,dog\n")
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert "labels.csv is not read for the classes of pictures: lay the pictures out as" in str(caught.value)
