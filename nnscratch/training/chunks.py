"""The flat vector of parameters, cut: into parts that processes own, and into pieces for cores and their caches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.parameters import Group, Segment

CHUNK = 1 << 18
"""Numbers in a chunk: large enough that handing one to a thread costs little, small enough to stay in cache."""


@dataclass(eq=False)
class Chunk:
    """A piece of theta with its gradient g and its part of the optimizer's state.

    They are views, to be written into: `chunk.theta -= s` does, and so does `chunk.theta[...] = ...`.
    """

    theta: Array
    g: Array
    state: tuple[Array, ...]
    group: Group

    def __setattr__(self, name: str, value: object) -> None:
        if vars(self).get(name, value) is not value:
            raise AttributeError(f"chunk.{name} cannot become another array: write into it, chunk.{name}[...] = ...")
        vars(self)[name] = value

    def decay(self, share: float) -> None:
        """theta -= share theta, on weights alone: decay that no moment sees."""
        if share and self.group.decay:
            self.theta *= 1 - share


def part_of(segment: Segment, own: slice) -> Iterator[Segment]:
    """What of the segment lies in that part of the vector, if anything."""
    start, stop = max(segment.start, own.start), min(segment.stop, own.stop)
    if start < stop:
        yield Segment(segment.group, start, stop)


def pieces_of(segment: Segment) -> list[slice]:
    """The segment in equal pieces of about CHUNK numbers; an even number of them, for two cores to share fairly."""
    return equal_pieces(segment, 2 * round((segment.stop - segment.start) / CHUNK / 2))


def equal_pieces(segment: Segment, count: int) -> list[slice]:
    """The segment in so many pieces, and at least one."""
    size, count = segment.stop - segment.start, max(count, 1)
    borders = [segment.start + size * index // count for index in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(borders)]
