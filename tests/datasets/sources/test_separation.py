"""`split_by` and `split: last` of arrays and pictures: by a named array, by a part of the file names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nnscratch.config.config import config_from_mapping
from nnscratch.config.data import Splits, load_dataset, split_dataset
from nnscratch.datasets.dataset import Dataset
from nnscratch.errors import ConfigError, DataError

N, PATIENTS = 120, 20


def loaded(path: Path, name: str, fold: dict[str, int] | None = None, **dataset: Any) -> tuple[Dataset, Splits]:
    data = {"dataset": {"name": name, **dataset}, "path": str(path), "validation": 0.2}
    config = config_from_mapping({"data": data | ({"fold": fold} if fold else {}), "model": {"hidden_layers": []}})
    found = load_dataset(config, path.parent, lambda _: None)
    return found, split_dataset(config, found)


def patient_of(example: int) -> int:
    return example * 7 % PATIENTS


def write_arrays(path: Path, **more: Any) -> None:
    """The feature of an example is its number."""
    x = np.arange(N, dtype=np.float32)[:, None]
    patients = np.array([f"p{patient_of(each)}" for each in range(N)])
    np.savez(path, x=x, y=np.arange(N) % 2, **({"patient": patients} | more))


def write_pictures(folder: Path, name: str) -> None:
    """The red of a picture is its number; `name` has its patient p and number n in it."""
    for example in range(N):
        place = folder / "ab"[example % 2] / name.format(p=patient_of(example), n=example)
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2), (example, 0, 0)).save(place)


def examples_in(splits: Splits) -> dict[str, set[int]]:
    found = {}
    for name in ("train", "val", "test"):
        split = splits.named(name)
        assert split is not None
        found[name] = set(split.inputs[split.rows].reshape(len(split.rows), -1)[:, 0].astype(int).tolist())
    return found


def require_whole_patients(splits: Splits) -> None:
    examples = examples_in(splits)
    patients = [{patient_of(each) for each in part} for part in examples.values()]
    assert sum(map(len, examples.values())) == len(set.union(*examples.values())) == N
    assert sum(map(len, patients)) == len(set.union(*patients)) == PATIENTS
    assert all(patients)


@pytest.mark.parametrize("in_memory", [True, False])
def test_no_group_of_a_named_array_is_in_two_splits(tmp_path: Path, in_memory: bool) -> None:
    write_arrays(tmp_path / "a.npz")
    data = {"dataset": {"name": "npz", "split_by": "patient"}, "path": str(tmp_path / "a.npz"), "in_memory": in_memory}
    config = config_from_mapping({"data": data, "model": {"hidden_layers": []}})
    dataset = load_dataset(config, tmp_path, lambda _: None)
    splits = split_dataset(config, dataset)
    require_whole_patients(splits)
    told = splits.report(dataset)
    assert told.held_out.startswith("20 groups by 'patient': ")
    assert told.held_out.endswith("none in two splits")
    assert not any("patient" in each for each in told.warnings)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("p{p}_{n}.png", "{group}_*"), ("scan{n}-{p}.png", "*-{group}.png"), ("{p}/{n}.png", "{group}/*")],
)
def test_no_group_of_a_part_of_the_file_names_is_in_two_splits(tmp_path: Path, name: str, pattern: str) -> None:
    write_pictures(tmp_path / "pictures", name)
    dataset, splits = loaded(tmp_path / "pictures", "image_folder", size=2, split_by=pattern)
    require_whole_patients(splits)
    assert splits.report(dataset).held_out.startswith(f"20 groups by '{pattern}'")


def test_each_group_of_pictures_is_in_one_fold(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", "{p}_{n}.png")
    seen: list[int] = []
    for number in (1, 2, 3):
        fold = {"number": number, "of": 3}
        _, splits = loaded(tmp_path / "pictures", "image_folder", fold, size=2, test=0, split_by="{group}_*")
        inside = examples_in(splits)
        assert not {patient_of(each) for each in inside["test"]} & {patient_of(each) for each in inside["train"]}
        seen += inside["test"]
    assert sorted(seen) == list(range(N))


def test_groups_in_several_splits_of_ones_own_are_warned_of(tmp_path: Path) -> None:
    more = {"x_test": np.arange(6, dtype=np.float32)[:, None], "y_test": np.arange(6) % 2}
    write_arrays(tmp_path / "a.npz", **more, patient_test=np.array(["p1", "p1", "x", "x", "x", "y"]))
    dataset, splits = loaded(tmp_path / "a.npz", "npz", split_by="patient")
    (warning,) = (each for each in splits.report(dataset).warnings if "patient" in each)
    assert "1 values of 'patient' are in " in warning
    assert "2 of 6 test examples" in warning
    assert splits.report(dataset).held_out.endswith("some in two splits")


def test_groups_that_keep_nothing_together_are_warned_of(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", "{p}_{n}.png")
    dataset, splits = loaded(tmp_path / "pictures", "image_folder", size=2, split_by="*_{group}.png")
    assert any("keeps nothing together" in each for each in splits.report(dataset).warnings)


def test_the_last_pictures_by_their_names_are_held_out_of_every_class(tmp_path: Path) -> None:
    write_pictures(tmp_path / "whole", "day{n}.png")
    dataset, splits = loaded(tmp_path / "whole", "image_folder", size=2, split="last")
    expected = {"train": set(range(77)), "val": set(range(77, 96)), "test": set(range(96, N))}
    assert examples_in(splits) == expected
    assert splits.report(dataset).held_out == "the last by the file names"
    write_pictures(tmp_path / "part", "{p}_day{n}.png")
    _, splits = loaded(tmp_path / "part", "image_folder", size=2, split="last", order_by="*_{order}.png")
    assert examples_in(splits) == expected


@pytest.mark.parametrize("as_text", [False, True])
def test_the_last_by_a_named_array_are_held_out(tmp_path: Path, as_text: bool) -> None:
    days = np.arange(N) * 11 % N
    dates = np.datetime64("2024-01-01") + days
    write_arrays(tmp_path / "a.npz", day=dates.astype(str) if as_text else days)
    _, splits = loaded(tmp_path / "a.npz", "npz", split="last", order_by="day")
    of_split = {name: {each * 11 % N for each in part} for name, part in examples_in(splits).items()}
    assert of_split == {"train": set(range(77)), "val": set(range(77, 96)), "test": set(range(96, N))}


@pytest.mark.parametrize(
    ("settings", "more", "problem"),
    [
        ({"split_by": "patent"}, {}, "has no array 'patent'; did you mean patient"),
        ({"split_by": "g"}, {"g": np.arange(3)}, "120 train targets but 3 values in g"),
        ({"split_by": "g"}, {"g": np.where(np.arange(N) == 5, np.nan, 1.0)}, "g: split_by: example 5, counted from 0"),
        ({"split_by": "g"}, {"g": np.where(np.arange(N) == 7, "NA", "a")}, "g: split_by: example 7, counted from 0"),
        ({"split": "last", "order_by": "patient"}, {}, "order_by: Error parsing datetime string"),
        ({"split": "last", "order_by": "t"}, {"t": np.where(np.arange(N) == 2, np.nan, 1.0)}, "order_by: example 2"),
    ],
)
def test_arrays_that_cannot_separate_are_refused(
    settings: dict[str, Any], more: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    write_arrays(tmp_path / "a.npz", **more)
    with pytest.raises(DataError) as raised:
        loaded(tmp_path / "a.npz", "npz", **settings)
    assert problem in str(raised.value)


def test_pictures_that_are_not_called_so_are_named(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", "{p}_{n}.png")
    (tmp_path / "pictures" / "a" / "0_0.png").rename(tmp_path / "pictures" / "a" / "zero.png")
    with pytest.raises(DataError, match=r"1 of 120 pictures are not called '\{group\}_\*': zero\.png"):
        loaded(tmp_path / "pictures", "image_folder", size=2, split_by="{group}_*")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"split_by": "patient_*"}, "must have {group} in it once"),
        ({"split_by": "{group}*.png"}, "nothing says where {group} ends"),
        ({"split_by": "*?{group}.png"}, "nothing says where {group} ends"),
        ({"split_by": "{group}_*", "split": "last"}, "keep one of them"),
        ({"order_by": "{order}.png"}, "has no effect without split: last"),
    ],
)
def test_patterns_that_mean_nothing_are_refused(settings: dict[str, Any], problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, "image_folder", **settings)
    assert problem in str(raised.value)
