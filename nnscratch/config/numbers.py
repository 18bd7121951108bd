"""What a number must be that a person writes in a sweep file or on a command line: finite, whole, within bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nnscratch.config.node import LARGEST_INTEGER, Node
from nnscratch.config.problems import shown
from nnscratch.errors import Problem, UsageError


@dataclass(frozen=True)
class Number:
    """A finite number; a whole one, and within bounds, when that is asked for."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    whole: bool = False

    def takes(self, value: object) -> bool:
        """Whether the value is such a number; `true` is none, and 1.0 is not whole."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            return False
        if not math.isfinite(value) or (self.whole and not isinstance(value, int)):
            return False
        return not (
            (self.least is not None and value < self.least)
            or (self.above is not None and value <= self.above)
            or (self.most is not None and value > self.most)
        )

    def __str__(self) -> str:
        """What is expected: `a whole number from 1 on`, `a finite number greater than 0`."""
        words = ["a whole number" if self.whole else "a finite number"]
        if self.least is not None and self.most is not None:
            words.append(f"from {self.least:,} to {self.most:,}")
        elif self.least is not None:
            words.append(f"from {self.least:,} on")
        elif self.most is not None:
            words.append(f"up to {self.most:,}")
        if self.above is not None:
            words.append(f"greater than {self.above:,}")
        return " ".join(words)

    def read(self, node: Node, path: str, problems: list[Problem]) -> float | None:
        """The number that a node holds; None, and a problem at its place, when it holds none such."""
        value = node.content
        if self.takes(value) and isinstance(value, int | float):
            return value
        problems.append(node.place.problem(path, f"expected {self}, got {shown(node.plain())}"))
        return None

    def require(self, option: str, value: object) -> None:
        """Raises UsageError when the value of a command's option is no such number."""
        if not self.takes(value):
            raise UsageError(f"{option} {value}: expected {self}")
