"""The processes that train one network together, and what they tell each other: arrays, all in the same order.

Every process calls the same methods at the same time. What comes back is the same on each of them to the last bit:
sums are taken in the order of the ranks, so that they do not depend on who was first.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from nnscratch.nn.compute.buffers import Array


class Communicator:
    """A process alone: all sums are its own. Others derive from it, and bring `stack`, `reduce_scatter`, `all_gather`.

    Of a vector that is shared out, rank r owns vector[borders[r] : borders[r + 1]].
    """

    rank: int = 0
    size: int = 1

    def __deepcopy__(self, memo: dict[int, object]) -> Communicator:
        return self  # the processes are shared by whoever copies what uses them

    def stack(self, values: Array) -> Array:
        """(size, ...): everybody's values, which have one shape and type, in the order of the ranks."""
        return values[np.newaxis]

    def zeros(self, size: int, dtype: npt.DTypeLike) -> Array:
        """A vector that `reduce_scatter` and `all_gather` are quick with."""
        return np.zeros(size, dtype)

    def common(self, size: int, dtype: npt.DTypeLike) -> Array | None:
        """One vector of zeros that all write to and read; None when they do not share memory.

        What somebody has written is there for the others after `wait`, or `all_gather` of a part of it.
        """
        return None

    def wait(self) -> None:
        """Returns when everybody is here."""

    def reduce_scatter(self, vector: Array, borders: Sequence[int]) -> None:
        """vector[own] = sum over the ranks of vector[own], in place; the rest is anything."""

    def all_gather(self, vector: Array, borders: Sequence[int]) -> None:
        """Fills the parts that others own, in place."""

    def sum(self, values: Array) -> Array:
        """The sum over the ranks; for few numbers, since everybody is sent everybody's."""
        return values if self.size == 1 else np.asarray(np.sum(self.stack(values), axis=0))

    def texts(self, text: str) -> list[str]:
        """Everybody's text, in the order of the ranks."""
        own = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)  # a path need not be UTF-8
        sizes = self.stack(np.array([own.size]))[:, 0]
        borders = [0, *np.cumsum(sizes).tolist()]
        together = np.empty(borders[-1], np.uint8)
        together[borders[self.rank] : borders[self.rank + 1]] = own
        self.all_gather(together, borders)
        return [together[start:stop].tobytes().decode("utf-8", "surrogatepass") for start, stop in pairwise(borders)]

    def first_text(self, text: str | None) -> str | None:
        """The text of the first rank that has one; None when nobody has."""
        if self.size == 1:
            return text
        return next((each for each in self.texts(text or "") if each), None)

    def copy_from_first(self, vector: Array) -> None:
        """Makes everybody's vector that of rank 0, in place."""
        self.all_gather(vector, [0, *[vector.size] * self.size])

    def share(self, length: int) -> slice:
        """Which of `length` rows are this process's: as many as the others', or one less."""
        return self.share_of(self.rank, length)

    def share_of(self, rank: int, length: int) -> slice:
        """Which are that rank's."""
        return slice(length * rank // self.size, length * (rank + 1) // self.size)


ALONE = Communicator()
