"""A training step as it is told: its parts in order, each with words, arrays and equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.equations import Equation

SMALL = 24
"""Arrays up to this size are shown in full."""


@dataclass(frozen=True)
class ArrayView:
    """An array by name: in full when it is small, else by its shape and figures."""

    name: str
    shape: tuple[int, ...]
    values: list[Any] | None
    figures: dict[str, float]

    @classmethod
    def of(cls, name: str, array: Array) -> ArrayView:
        figures = {
            "min": float(array.min()),
            "max": float(array.max()),
            "mean": float(array.mean()),
            "norm": float(np.sqrt(np.sum(np.square(array)))),
        }
        return cls(name, tuple(array.shape), array.tolist() if array.size <= SMALL else None, figures)

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
    """A part of the step: what the code's own words say, the arrays, and equations of single entries."""

    title: str
    words: str
    arrays: tuple[ArrayView, ...]
    equations: tuple[Equation, ...]


@dataclass(frozen=True)
class Explanation:
    """The step in order: forward, loss, backward, update."""

    name: str
    step: int
    examples: int
    """So many are shown of arrays with a row for each."""
    batch: int
    """Examples of the step."""
    sections: tuple[Section, ...]

    @property
    def equations(self) -> list[Equation]:
        return [equation for section in self.sections for equation in section.equations]

    @property
    def introduction(self) -> str:
        shown = f", of which arrays show the first {self.examples}" if self.examples < self.batch else ""
        return (
            f"Training step {self.step} of {self.name}, with the {self.batch} examples of its batch{shown}, in "
            "float64. Of every array the entry with the largest value is computed by hand, from the numbers shown."
        )
