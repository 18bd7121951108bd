"""Batches: every example of an epoch exactly once, gathered and scaled."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nnscratch.nn.random_streams import RandomStreams
from nnscratch.training.batches import Batches, TrainingBatches
from nnscratch.training.examples import Examples
from nnscratch.training.scaling import affine


def numbered(count: int, rows: np.ndarray | None = None) -> Examples:
    """Examples whose input and target say their row number."""
    numbers = np.arange(count)
    return Examples(numbers[:, None].astype(np.float32), numbers, numbers if rows is None else rows)


@settings(deadline=None)
@given(
    count=st.integers(1, 60),
    batch_size=st.integers(1, 70),
    seed=st.integers(0, 5),
    data=st.data(),
)
def test_batches_cover_an_epoch_exactly_once(count: int, batch_size: int, seed: int, data: st.DataObject) -> None:
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1))))
    batches = TrainingBatches(numbered(count, rows), affine(1.0, 0.0), batch_size, RandomStreams(seed))
    for epoch in range(2):
        seen = []
        for step in range(batches.steps):
            x, t = batches.batch(epoch, step)
            assert len(x) <= batch_size
            np.testing.assert_array_equal(x[:, 0], t)
            seen += t.tolist()
        assert sorted(seen) == rows.tolist()


def test_an_epoch_of_another_number_has_another_order_and_the_same_has_the_same() -> None:
    batches = TrainingBatches(numbered(50), affine(1.0, 0.0), 50, RandomStreams(1))

    def order(epoch: int) -> list[int]:
        return [int(label) for label in batches.batch(epoch, 0)[1]]

    first = order(0)
    assert first != order(1)
    assert first == order(0)
    assert first != list(range(50))


def test_any_batch_of_any_epoch_can_be_asked_for_in_any_order() -> None:
    batches = TrainingBatches(numbered(10), affine(1.0, 0.0), 4, RandomStreams(1))
    places = [(epoch, step) for epoch in range(3) for step in range(3)]
    forwards = [batches.batch(*place)[1].tolist() for place in places]
    backwards = [batches.batch(*place)[1].tolist() for place in reversed(places)]
    assert forwards == backwards[::-1]
    assert [len(labels) for labels in forwards[:3]] == [4, 4, 2]


def test_bytes_are_scaled_per_batch_and_stay_bytes_in_memory() -> None:
    inputs = np.array([[0, 51], [255, 102]], np.uint8)
    batches = Batches(Examples.all_of(inputs, np.array([0, 1])), affine(1 / 255, 0.0), 2)
    x, t = batches.load(0)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, [[0, 0.2], [1, 0.4]], rtol=1e-6)
    assert t.tolist() == [0, 1]
    assert inputs.dtype == np.uint8
