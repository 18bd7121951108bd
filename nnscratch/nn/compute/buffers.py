"""Memory that is allocated once and reused: the arrays of a step, sized for the largest batch seen."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]


class Buffers:
    """Named arrays that keep their memory between steps.

    A smaller shape is a view of the front of the same memory, so a last, shorter batch allocates nothing. The contents
    are whatever was last written there.
    """

    def __init__(self) -> None:
        self._memory: dict[str, Array] = {}
        self._views: dict[tuple[str, Shape, npt.DTypeLike], Array] = {}

    def __deepcopy__(self, memo: dict[int, object]) -> Buffers:
        return Buffers()  # what is only memory between steps, a copy makes anew

    def get(self, name: str, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        """The buffer of that name as an array of that shape; in another dtype than before it is new memory."""
        view = self._views.get((name, shape, dtype))
        if view is not None:
            return view
        size = math.prod(shape)
        memory = self._memory.get(name)
        if memory is None or memory.size < size or memory.dtype != dtype:
            # Views of the outgrown memory would keep it alive and no longer share with the new one.
            self._views = {key: kept for key, kept in self._views.items() if key[0] != name}
            memory = self._memory[name] = np.empty(size, dtype)
        view = self._views[name, shape, dtype] = memory[:size].reshape(shape)
        return view

    @property
    def nbytes(self) -> int:
        """Bytes held by all buffers."""
        return sum(memory.nbytes for memory in self._memory.values())
