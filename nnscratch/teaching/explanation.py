"""A training step as it is told: its parts in order, each with words, arrays and equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.equations import Equation

SMALL = 24
"""Arrays up to this size are shown in full."""

EXCERPT = 8
"""Rows and columns of a larger matrix that a page shows."""

Phase = Literal["forward", "loss", "backward", "update", "average"]


@dataclass(frozen=True)
class ArrayView:
    """An array by name: in full when it is small, else by its shape and figures."""

    name: str
    shape: tuple[int, ...]
    values: list[Any] | None
    figures: dict[str, float]
    excerpt: list[list[float]] | None = None
    """The upper left corner of a matrix that is not shown in full."""

    @classmethod
    def of(cls, name: str, array: Array) -> ArrayView:
        figures = {
            "min": float(array.min()),
            "max": float(array.max()),
            "mean": float(array.mean()),
            "norm": float(np.sqrt(np.sum(np.square(array)))),
        }
        is_small = array.size <= SMALL
        corner = None if is_small or array.ndim != 2 else array[:EXCERPT, :EXCERPT].tolist()
        return cls(name, tuple(array.shape), array.tolist() if is_small else None, figures, corner)

    @property
    def text(self) -> str:
        shape = " x ".join(map(str, self.shape))
        if self.values is not None:
            shown = np.array2string(np.array(self.values), precision=6, separator=", ", max_line_width=10_000)
            return f"{self.name} ({shape}) = {' '.join(shown.split())}"
        figures = ", ".join(f"{name} {value:.6g}" for name, value in self.figures.items())
        return f"{self.name} ({shape}): {figures}"


@dataclass(frozen=True)
class Section:
    """A part of the step: what the code's own words say, the arrays, and equations of single entries.

    It is of one phase, and at one place: a layer by its path, or an entry of the weights.
    """

    phase: Phase
    place: str
    words: str
    arrays: tuple[ArrayView, ...]
    equations: tuple[Equation, ...]

    @property
    def title(self) -> str:
        """`forward 2.dense`."""
        return f"{self.phase} {self.place}".rstrip()


@dataclass(frozen=True)
class Node:
    """A layer of the network's graph, with what one example is on its way through: y of x, and dx of dy."""

    path: str
    weights: tuple[tuple[str, tuple[int, ...]], ...]
    """Its own arrays, each by name and shape."""
    x: ArrayView
    y: ArrayView
    dy: ArrayView | None
    dx: ArrayView | None
    chains: tuple[tuple[Node, ...], ...] = ()
    """Of a container; x goes into each of them."""
    joins: str = ""
    """How a container makes y of what its chains give."""


@dataclass(frozen=True)
class Example:
    """The example of the batch that the equations are of."""

    index: int
    """In the batch, from 0."""
    row: int
    """In the training data as it was read."""
    target: str
    picture: bytes | None = None
    """As PNG, before any augmentation."""


@dataclass(frozen=True)
class Explanation:
    """The step in order: forward, loss, backward, update; and the network as a graph."""

    name: str
    step: int
    examples: int
    """So many are shown of arrays with a row for each, from the chosen one on."""
    batch: int
    """Examples of the step."""
    example: Example
    sections: tuple[Section, ...]
    network: tuple[Node, ...]
    loss: float

    @property
    def equations(self) -> list[Equation]:
        return [equation for section in self.sections for equation in section.equations]

    @property
    def introduction(self) -> str:
        first, last = self.example.index, self.example.index + self.examples - 1
        which = (
            f"number {first}" if first == last else f"the first {self.examples}" if first == 0 else f"{first} to {last}"
        )
        shown = f", of which arrays show {which}" if self.examples < self.batch else ""
        batch = "the one example" if self.batch == 1 else f"the {self.batch} examples"
        return (
            f"Training step {self.step} of {self.name}, with {batch} of its batch{shown}, in float64. Of every array "
            f"the entry farthest from zero, of example {first} where it has one per example, is computed by hand, from "
            "the numbers shown."
        )
