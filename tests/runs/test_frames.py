from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnscratch.runs import layout
from nnscratch.runs.directory import RunDirectory
from nnscratch.runs.frames import MOST, Frame, append_frame, keep_frames, read_frames, spacing


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path, "filmed")


def film(run: RunDirectory, first: int, last: int) -> None:
    for epoch in range(first, last + 1):
        if epoch % spacing(epoch) == 0 or epoch == last:
            append_frame(run, Frame.of(epoch, np.full((4, 4, 2), epoch % 255, np.uint8)))


def epochs(run: RunDirectory) -> list[int]:
    return [frame.epoch for frame in read_frames(run)]


@pytest.mark.parametrize("last", [1, MOST, MOST + 1, 2 * MOST + 3, 1000])
def test_of_however_many_epochs_few_frames_are_kept_the_first_and_the_last_among_them(
    run: RunDirectory, last: int
) -> None:
    film(run, 0, last)
    kept = epochs(run)
    assert kept[0] == 0
    assert kept[-1] == last
    assert len(kept) <= MOST + 2
    assert set(np.diff(kept[:-1])) <= {spacing(last)}


@pytest.mark.parametrize("stopped", [(59, 59), (70, 66), (130, 61), (150, 119)])
def test_a_film_that_goes_on_from_an_earlier_checkpoint_has_the_frames_of_one_that_was_never_stopped(
    run: RunDirectory, tmp_path: Path, stopped: tuple[int, int]
) -> None:
    whole = RunDirectory.create(tmp_path, "whole")
    film(whole, 0, 300)
    came_to, checkpoint = stopped
    film(run, 0, came_to)
    keep_frames(run, checkpoint)
    film(run, checkpoint + 1, 300)
    assert read_frames(run) == read_frames(whole)


def test_probabilities_come_back_to_a_255th_and_numbers_as_they_were() -> None:
    p = np.array([[0.0, 1.0], [0.25, 0.75]])
    assert Frame.of(1, np.rint(255 * p).astype(np.uint8)).array((2, 2)) == pytest.approx(p, abs=1 / 255)
    y = np.array([1e9, -3.25], np.float32)
    assert np.array_equal(Frame.of(1, y).array((2,)), y)  # type: ignore[arg-type]


def test_a_frame_that_is_damaged_too_large_or_of_another_shape_is_none(run: RunDirectory) -> None:
    frame = Frame.of(3, np.zeros((2, 2), np.uint8))
    assert frame.array((2, 3)) is None
    assert Frame(3, (2, 2), "|O", frame.values).array((2, 2)) is None
    assert Frame(3, (2, 2), "|u1", frame.values[:-6]).array((2, 2)) is None
    bomb = Frame.of(3, np.zeros((1000, 1000), np.uint8)).values
    assert Frame(3, (2, 2), "|u1", bomb).array((2, 2)) is None
    assert Frame.of(3, np.array([np.nan], np.float32)).array((1,)) is None
    append_frame(run, frame)
    with (run.path / layout.FRAMES).open("a") as file:
        file.write('{"epoch": 4, "sha')
    assert epochs(run) == [3]
