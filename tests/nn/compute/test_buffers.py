"""Memory that is reused from step to step."""

from __future__ import annotations

import numpy as np

from nnscratch.nn.compute.buffers import Buffers


def test_a_smaller_shape_is_the_front_of_the_same_memory() -> None:
    buffers = Buffers()
    large = buffers.get("y", (4, 3))
    small = buffers.get("y", (2, 3))
    small[...] = 7
    assert large.tolist() == [[7, 7, 7], [7, 7, 7], *large[2:].tolist()]
    assert buffers.nbytes == 4 * 12
    assert buffers.get("y", (4, 3)) is large


def test_a_larger_shape_is_new_memory_for_all() -> None:
    buffers = Buffers()
    outgrown = buffers.get("y", (2, 3))
    assert buffers.get("y", (4, 3)).size == 12
    assert not np.shares_memory(outgrown, buffers.get("y", (2, 3)))


def test_another_dtype_is_new_memory_however_it_is_written() -> None:
    buffers = Buffers()
    single = buffers.get("y", (2, 3), np.float32)
    assert np.shares_memory(single, buffers.get("y", (2, 3), np.dtype("float32")))
    double = buffers.get("y", (2, 3), np.float64)
    assert double.dtype == np.float64
    assert not np.shares_memory(single, double)
    assert buffers.get("y", (2, 3), np.float32).dtype == np.float32
